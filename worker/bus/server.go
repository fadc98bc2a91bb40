package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
)

// readyWait bounds how long a server may take to recover its files before it counts as broken.
const readyWait = 60 * time.Second

// readyLook is how long one look whether it is ready takes, and so the longest that a start goes on after it was interrupted.
const readyLook = 200 * time.Millisecond

// ServerOptions configure the embedded NATS server.
type ServerOptions struct {
	Dir    string // where JetStream keeps its files; created when missing
	Listen string // host:port for other processes, port 0 picks a free one; empty serves this process only
	// SyncInterval is how long acknowledged writes may stay unsynced on disk; 0 syncs every write before its ack. The
	// NATS default of two minutes is never used: it loses acknowledged posts when the machine loses power.
	SyncInterval time.Duration
	Log          *zap.Logger // nil logs nothing
}

// Server is an embedded NATS server with JetStream.
type Server struct {
	ns   *server.Server
	lock *flock.Flock
}

// ErrDirInUse says that another process has the data directory.
var ErrDirInUse = errors.New("another process uses this data directory; stop it, or give this one a data.dir of its own")

// StartServer runs an embedded server until Shutdown is called, and returns when it takes connections. The data directory is
// locked meanwhile: two servers on the same files would destroy them. Errors are ErrDirInUse, or what is wrong with the
// options; the context's when that ends first.
func StartServer(ctx context.Context, opts ServerOptions) (*Server, error) {
	so, err := opts.server()
	if err != nil {
		return nil, fmt.Errorf("start embedded NATS: %w", err)
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("start embedded NATS: %w; choose another data.dir", err)
	}
	s := &Server{lock: flock.New(filepath.Join(opts.Dir, "postlink.lock"))}
	if held, err := s.lock.TryLock(); err != nil || !held {
		return nil, errors.Join(fmt.Errorf("start embedded NATS in %s: %w", opts.Dir, cmp.Or(err, ErrDirInUse)), s.lock.Close())
	}
	if err := free(ctx, opts.Listen); err != nil {
		return nil, errors.Join(fmt.Errorf("start embedded NATS: %w", err), s.lock.Unlock())
	}
	if s.ns, err = server.NewServer(so); err != nil {
		return nil, errors.Join(fmt.Errorf("start embedded NATS in %s: %w", opts.Dir, err), s.lock.Unlock())
	}
	if opts.Log != nil {
		s.ns.SetLoggerV2(serverLog{opts.Log.Sugar()}, false, false, false)
	}
	if err := s.start(ctx); err != nil {
		s.Shutdown()
		return nil, fmt.Errorf("start embedded NATS in %s: %w", opts.Dir, err)
	}
	return s, nil
}

func (o ServerOptions) server() (*server.Options, error) {
	if o.Dir == "" {
		return nil, errors.New("no data directory; set data.dir")
	}
	so := &server.Options{
		ServerName:             "postlink",
		JetStream:              true,
		StoreDir:               o.Dir,
		SyncInterval:           o.SyncInterval,
		SyncAlways:             o.SyncInterval == 0,
		DontListen:             o.Listen == "",
		NoSigs:                 true,
		NoLog:                  o.Log == nil,
		DisableJetStreamBanner: true,
	}
	if o.Listen == "" {
		return so, nil
	}
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("data.listen %q: %w; write host:port", o.Listen, err)
	}
	if so.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("data.listen %q: the port is not a number", o.Listen)
	}
	if so.Port == 0 {
		so.Port = server.RANDOM_PORT
	}
	so.Host = host
	return so, nil
}

// free makes sure that an address can be listened on; the server itself would only log that it cannot.
func free(ctx context.Context, listen string) error {
	if listen == "" {
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("data.listen: %w; choose another address, or stop what listens there", err)
	}
	return listener.Close()
}

// start waits until the server has recovered its files and takes connections.
func (s *Server) start(ctx context.Context) error {
	var starting sync.WaitGroup
	starting.Go(s.ns.Start) // which returns when the files are recovered
	defer starting.Wait()
	end := time.Now().Add(readyWait)
	for !s.ns.ReadyForConnections(readyLook) || !s.ns.JetStreamEnabled() {
		switch {
		case ctx.Err() != nil:
			s.ns.Shutdown()
			return ctx.Err()
		case time.Now().After(end):
			s.ns.Shutdown()
			return fmt.Errorf("not ready within %s; look into its log, and at the disk", readyWait)
		}
	}
	return ctx.Err()
}

// URL is the address for other processes, or empty when the server does not listen.
func (s *Server) URL() string {
	if s.ns.Addr() == nil {
		return ""
	}
	return s.ns.ClientURL()
}

// InProcessConn connects this process without a port; it makes Server usable with nats.InProcessServer.
func (s *Server) InProcessConn() (net.Conn, error) { return s.ns.InProcessConn() }

// Shutdown stops the server, waits until its files are closed, and unlocks the directory.
func (s *Server) Shutdown() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	_ = s.lock.Unlock() // the end of the process does it too
}

// serverLog passes the server's own talk to our logger, one level quieter: what it calls a notice is debugging to us.
type serverLog struct{ log *zap.SugaredLogger }

func (l serverLog) Noticef(format string, v ...any) { l.log.Debugf(format, v...) }
func (l serverLog) Warnf(format string, v ...any)   { l.log.Warnf(format, v...) }
func (l serverLog) Errorf(format string, v ...any)  { l.log.Errorf(format, v...) }
func (l serverLog) Fatalf(format string, v ...any)  { l.log.Errorf(format, v...) }
func (l serverLog) Debugf(string, ...any)           {}
func (l serverLog) Tracef(string, ...any)           {}
