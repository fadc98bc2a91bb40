package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// ErrUnreachable says that NATS, or its JetStream, does not answer.
var ErrUnreachable = errors.New("NATS cannot be reached")

// pingEvery is how often a silent connection is probed: a server that froze is found out after three times as long.
const pingEvery = 5 * time.Second

// Day is the unit in which the limits below are given.
const Day = 24 * time.Hour

// Options say which NATS to use, and the limits of what is kept there.
type Options struct {
	Server *Server // the embedded server of this process; otherwise:
	URL    string  // nats://host:port, several separated by commas

	Credentials string // file with a user's JWT and key, as nsc writes it
	TLS         TLS
	Name        string // how the connection calls itself; default "postlink"

	Prefix   string // put before every name and subject except the posts', so that several postlinks can share an account
	Replicas int    // copies of everything that is kept; default 1, three in a cluster

	Posts         Posts
	LedgerAge     time.Duration // how long the ledger remembers a post; default 400 days
	DeadAge       time.Duration // default 30 days
	EventAge      time.Duration // default 8 days
	OutboxEntries int64         // links that may wait for one instance before matching has to wait as well; default 1,000,000

	Log *zap.Logger // nil logs nothing
}

// TLS names the files that prove who we are and whom we trust; all of them may be empty.
type TLS struct {
	CA, Cert, Key string
}

// Posts say where the posts arrive.
type Posts struct {
	Stream   string        // default POSTS. A stream that already exists and is not ours keeps its own settings
	Subjects []string      // default posts.>
	Age      time.Duration // how long posts are kept; default 7 days
	Bytes    int64         // the most that posts may take on disk; default unlimited
}

func (o *Options) validate() error {
	if (o.Server == nil) == (o.URL == "") {
		return errors.New("either an embedded server or a NATS url is needed")
	}
	defaultTo(&o.Name, "postlink")
	defaultTo(&o.Replicas, 1)
	defaultTo(&o.Posts.Stream, "POSTS")
	defaultTo(&o.Posts.Age, 7*Day)
	defaultTo(&o.LedgerAge, 400*Day)
	defaultTo(&o.DeadAge, 30*Day)
	defaultTo(&o.EventAge, 8*Day)
	defaultTo(&o.OutboxEntries, 1_000_000)
	if len(o.Posts.Subjects) == 0 {
		o.Posts.Subjects = []string{"posts.>"}
	}
	if o.LedgerAge <= o.Posts.Age {
		return fmt.Errorf("the ledger would forget posts (after %s) that the posts stream still keeps (for %s), and they could be linked twice; set ledger.max_age above posts.max_age", o.LedgerAge, o.Posts.Age)
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return nil
}

func defaultTo[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Bus is a connection to NATS on which everything is declared. It is safe for concurrent use.
type Bus struct {
	opts       Options
	nc         *nats.Conn
	js         jetstream.JetStream
	attachment *attachment

	ledger    jetstream.KeyValue
	catalog   jetstream.KeyValue
	instances jetstream.KeyValue
	blobs     jetstream.ObjectStore
}

// Connect connects and declares the streams, consumers and buckets; those that exist are brought to the limits in opts.
// The error is ErrUnreachable when NATS does not answer. Close ends the connection.
func Connect(ctx context.Context, opts Options) (*Bus, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("configure the bus: %w", err)
	}
	attachment := newAttachment()
	nc, err := nats.Connect(opts.URL, opts.connection(attachment)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w: %w", opts.URL, ErrUnreachable, err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to NATS at %s: %w", opts.URL, err)
	}
	b := &Bus{opts: opts, nc: nc, js: js, attachment: attachment}
	if err := b.declare(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return b, nil
}

func (o *Options) connection(attachment *attachment) []nats.Option {
	log := o.Log
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectBufSize(-1), // a publish into a lost connection is an error, not a surprise after the reconnect
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(2),
		nats.ClosedHandler(func(*nats.Conn) { attachment.disconnected() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			attachment.disconnected()
			if err != nil {
				log.Warn("lost the connection to NATS, reconnecting", zap.Error(err))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			attachment.connected()
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

// Close ends the connection; what is in flight on it is lost, so close last.
func (b *Bus) Close() { b.nc.Close() }

// Connected reports whether NATS can be talked to right now.
func (b *Bus) Connected() bool { return b.nc.IsConnected() }

// Ledger is the bucket of links, by post.
func (b *Bus) Ledger() jetstream.KeyValue { return b.ledger }

// Catalog is the bucket whose key "current" points to the catalog in force.
func (b *Bus) Catalog() jetstream.KeyValue { return b.catalog }

// CatalogBlobs holds the catalog's revisions by their content.
func (b *Bus) CatalogBlobs() jetstream.ObjectStore { return b.blobs }

// Instances is the bucket of what is known of each instance: its organization, whether it is parked, when it was seen.
func (b *Bus) Instances() jetstream.KeyValue { return b.instances }
