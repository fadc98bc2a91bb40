// Package app runs a worker and the console that serves it in one process, as postlink serve and postlink demo do. It decides
// nothing but their order: who may use the console, which NATS is used and what is logged comes from its callers.
package app

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"postlink/worker"
	"postlink/worker/console"
)

// Options say what a process is made of.
type Options struct {
	Worker   worker.Options  // ConsoleURL is http:// and the console's address when empty; Metrics is filled in
	Listener net.Listener    // of the console; Run closes it
	Tokens   []console.Token // who may use the console
}

// App is a worker with its console, connected and ready to run. The worker's fields may be used before, during and after Run, until
// Close.
type App struct {
	*worker.Worker
	listener net.Listener
	handler  http.Handler
	registry *prometheus.Registry
	stopping chan struct{} // closed when Run ends, so that streams of the console end
}

// New puts the worker and its console together. Whoever gets an App calls Close, after Run. It connects to NATS and puts a catalog in
// force, and does not serve yet. After an error nothing is left open but the listener, which stays the caller's until Run.
func New(ctx context.Context, opts Options) (*App, error) {
	a := &App{listener: opts.Listener, registry: prometheus.NewRegistry(), stopping: make(chan struct{})}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	opts.Worker.Metrics = a.registry
	opts.Worker.ConsoleURL = cmp.Or(opts.Worker.ConsoleURL, a.URL())
	var err error
	if a.Worker, err = worker.New(ctx, opts.Worker); err != nil {
		return nil, err
	}
	a.handler, err = console.New(console.Options{
		Worker: a.Worker, Tokens: opts.Tokens, Stopping: a.stopping, Gatherer: a.registry, Metrics: a.registry, Log: opts.Worker.Log,
	})
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// CheckListen refuses an address that other machines reach while there are no tokens. Of host names only localhost counts as
// this machine, since any other may resolve to an address of the network. An address without a host, as in :8080, is refused too.
func CheckListen(listen string, tokens []console.Token) error {
	if console.Protected(tokens) || loopback(listen) {
		return nil
	}
	return fmt.Errorf("listen on %s: without tokens everybody who reaches the console may do everything; "+
		"configure tokens, or listen on 127.0.0.1", listen)
}

// loopback reports whether an address is reached from this machine only.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// URL is the console's address on this machine. With a listener on all interfaces it is of no use to other machines, so
// worker.Options.ConsoleURL has to be set where records of real instances shall lead to the console.
func (a *App) URL() string { return "http://" + a.listener.Addr().String() }

// Run works until ctx ends, then stops: nothing new is taken, what is under way is finished or given back. It returns nil then. When
// the worker or the console fails, the other is stopped too, and the error is the first one. Streams of the console are ended at
// once, or each stop would wait out its grace for them.
func (a *App) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Worker.Run(ctx) })
	g.Go(func() error { return console.Serve(ctx, a.listener, a.handler) })
	defer context.AfterFunc(ctx, func() { close(a.stopping) })()
	return g.Wait()
}

// Counted reads one of our own counters, by its name and the value of its first label. One that was never counted is 0.
func (a *App) Counted(name, label string) (int, error) {
	families, err := a.registry.Gather()
	if err != nil {
		return 0, err
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == label {
				return int(m.GetCounter().GetValue()), nil
			}
		}
	}
	return 0, nil
}
