package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// Day is the unit in which ages are given.
const Day = 24 * time.Hour

// pingEvery is how often a silent connection is probed. A server that froze is noticed after three times as long.
const pingEvery = 5 * time.Second

// Options say which NATS to use.
type Options struct {
	Server *Server // the embedded server of this process; otherwise:
	URL    string  // nats://host:port, several separated by commas

	Credentials string // file with a user's JWT and key, as nsc writes it
	TLS         TLS

	Namespace string // begins the name of everything that we keep; default "postlink". Lower case letters, digits and dashes
	Replicas  int    // copies of everything that we keep; default 1, three in a cluster

	// Guest uses what exists as it is, and only makes what is missing. It is for processes beside the workers, which do not know
	// their settings: a worker brings what exists to its own.
	Guest bool

	Log *zap.Logger // nil logs nothing
}

// TLS names the files that prove who we are and whom we trust; all of them may be empty.
type TLS struct {
	CA, Cert, Key string
}

var namespaces = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

func (o *Options) validate() error {
	if (o.Server == nil) == (o.URL == "") {
		return errors.New("either an embedded server or a NATS url is needed")
	}
	o.Namespace = cmp.Or(o.Namespace, "postlink")
	o.Replicas = cmp.Or(o.Replicas, 1)
	o.Log = cmp.Or(o.Log, zap.NewNop())
	if !namespaces.MatchString(o.Namespace) {
		return fmt.Errorf("namespace %q: write up to 32 lower case letters, digits and dashes, a letter first", o.Namespace)
	}
	if o.Replicas < 1 || o.Replicas > 5 {
		return fmt.Errorf("%d replicas: NATS keeps 1 to 5; write 1 for a single server, 3 for a cluster", o.Replicas)
	}
	return nil
}

// where names the server for people, without the passwords that its addresses may hold.
func (o *Options) where() string {
	if o.Server != nil {
		return "the embedded server"
	}
	addresses := strings.Split(o.URL, ",")
	for i, address := range addresses {
		address = strings.TrimSpace(address)
		addresses[i] = address
		if _, host, ok := strings.Cut(address, "@"); ok {
			addresses[i] = host
			if u, err := url.Parse(address); err == nil {
				addresses[i] = u.Redacted()
			}
		}
	}
	return strings.Join(addresses, ", ")
}

// Bus is a connection to NATS. It is safe for concurrent use.
type Bus struct {
	opts       Options
	nc         *nats.Conn
	js         jetstream.JetStream
	attachment *attachment
}

// Connect connects to NATS; Close ends the connection. A connection that is lost is made again for as long as it takes. The
// error is ErrUnreachable when NATS does not answer now. It is not when NATS answers and refuses, or when a file that Options
// name cannot be used: trying again does not help then.
func Connect(ctx context.Context, opts Options) (*Bus, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("configure the bus: %w", err)
	}
	b := &Bus{opts: opts, attachment: newAttachment()}
	var err error
	if b.nc, err = nats.Connect(opts.URL, b.connection()...); err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", opts.where(), Unreachable(err))
	}
	if b.js, err = jetstream.New(b.nc); err == nil {
		_, err = b.js.AccountInfo(ctx)
	}
	if err != nil {
		b.nc.Close()
		return nil, fmt.Errorf("connect to JetStream at %s: %w", opts.where(), Unreachable(err))
	}
	return b, nil
}

func (b *Bus) connection() []nats.Option {
	o, log := &b.opts, b.opts.Log
	opts := []nats.Option{
		nats.Name("postlink"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectBufSize(-1), // a publish into a lost connection is an error, not a surprise after the reconnect
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(2),
		nats.ClosedHandler(func(*nats.Conn) { b.attachment.disconnected() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			b.attachment.disconnected()
			if err != nil {
				log.Warn("lost the connection to NATS, reconnecting", zap.Error(err))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			b.attachment.connected()
			log.Info("connected to NATS again")
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Debug("NATS reported an error", zap.Error(err))
		}),
	}
	if o.Server != nil {
		return append(opts, nats.InProcessServer(o.Server))
	}
	if o.Credentials != "" {
		opts = append(opts, nats.UserCredentials(o.Credentials))
	}
	if o.TLS.CA != "" {
		opts = append(opts, nats.RootCAs(o.TLS.CA))
	}
	if o.TLS.Cert != "" || o.TLS.Key != "" {
		opts = append(opts, nats.ClientCert(o.TLS.Cert, o.TLS.Key))
	}
	return opts
}

// Close ends the connection. What is in flight on it is lost, so close last.
func (b *Bus) Close() { b.nc.Close() }

// Connected reports whether NATS can be talked to right now.
func (b *Bus) Connected() bool { return b.nc.IsConnected() }

// Log is the logger of the connection, for what takes messages over it.
func (b *Bus) Log() *zap.Logger { return b.opts.Log }
