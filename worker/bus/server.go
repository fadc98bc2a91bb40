package bus

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
)

// readyWait bounds how long a server may take to recover its files before it counts as broken.
const readyWait = 60 * time.Second

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
	ns *server.Server
}

// StartServer runs an embedded server until Shutdown is called, and returns when it takes connections.
func StartServer(opts ServerOptions) (*Server, error) {
	if opts.Dir == "" {
		return nil, errors.New("start embedded NATS: no data directory; set data.dir")
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("start embedded NATS: %w", err)
	}
	so := &server.Options{
		ServerName:             "postlink",
		JetStream:              true,
		StoreDir:               opts.Dir,
		SyncInterval:           opts.SyncInterval,
		SyncAlways:             opts.SyncInterval == 0,
		DontListen:             opts.Listen == "",
		NoSigs:                 true,
		NoLog:                  opts.Log == nil,
		DisableJetStreamBanner: true,
	}
	if opts.Listen != "" {
		host, port, err := net.SplitHostPort(opts.Listen)
		if err != nil {
			return nil, fmt.Errorf("start embedded NATS: listen address %q: %w", opts.Listen, err)
		}
		if so.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("start embedded NATS: listen address %q: the port is not a number", opts.Listen)
		}
		if so.Port == 0 {
			so.Port = server.RANDOM_PORT
		}
		so.Host = host
	}
	ns, err := server.NewServer(so)
	if err != nil {
		return nil, fmt.Errorf("start embedded NATS in %s: %w", opts.Dir, err)
	}
	if opts.Log != nil {
		ns.SetLoggerV2(serverLog{opts.Log.Sugar()}, false, false, false)
	}
	ns.Start()
	if !ns.ReadyForConnections(readyWait) || !ns.JetStreamEnabled() {
		ns.Shutdown()
		ns.WaitForShutdown()
		return nil, fmt.Errorf("start embedded NATS in %s: not ready within %s; is another process using the directory or the address %q?", opts.Dir, readyWait, opts.Listen)
	}
	return &Server{ns}, nil
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

// Shutdown stops the server and waits until its files are closed.
func (s *Server) Shutdown() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

// serverLog passes the server's own talk to our logger, one level quieter: what it calls a notice is debugging to us.
type serverLog struct{ log *zap.SugaredLogger }

func (l serverLog) Noticef(format string, v ...any) { l.log.Debugf(format, v...) }
func (l serverLog) Warnf(format string, v ...any)   { l.log.Warnf(format, v...) }
func (l serverLog) Errorf(format string, v ...any)  { l.log.Errorf(format, v...) }
func (l serverLog) Fatalf(format string, v ...any)  { l.log.Errorf(format, v...) }
func (l serverLog) Debugf(string, ...any)           {}
func (l serverLog) Tracef(string, ...any)           {}
