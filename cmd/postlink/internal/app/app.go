// Package app assembles a postlink process out of its parts: the bus, the catalog, the two stages and the console. It decides
// what depends on what and in which order things start and stop, and nothing else.
package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/console"
	"postlink/worker/ledger"
)

// Options say what a process is made of.
type Options struct {
	Bus      bus.Options
	Dial     worker.Dial // default: each instance as its catalog entry says
	OnLinked func(worker.Event)
	Listen   string // address of the console; port 0 picks a free one
	Public   string // URL under which people reach the console; default http:// and the address
	Tokens   []console.Token
	Slots    int           // deliveries to one instance at once; 0 for the default
	MaxAge   time.Duration // see worker.DelivererOptions; 0 for the default
	Log      *zap.Logger
}

// App is a process that is connected and ready to run.
type App struct {
	Bus     *bus.Bus
	Ledger  *ledger.Ledger
	Catalog *catalog.Store

	live      *catalog.Live
	matcher   *worker.Matcher
	deliverer *worker.Deliverer
	journal   *worker.Journal
	registry  *prometheus.Registry
	listener  net.Listener
	handler   http.Handler
	stopping  chan struct{} // closed when Run ends, so that streams of the console end
}

// New connects to NATS, listens, and puts the parts together. Whoever gets an App calls Close.
func New(ctx context.Context, opts Options) (a *App, err error) {
	a = &App{registry: prometheus.NewRegistry(), stopping: make(chan struct{})}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := CheckListen(opts.Listen, opts.Tokens); err != nil {
		return a, err
	}
	if a.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", opts.Listen); err != nil {
		return a, fmt.Errorf("listen on %s: %w; choose another address with --listen", opts.Listen, err)
	}
	public := opts.Public
	if public == "" {
		public = a.URL()
	}
	if a.Bus, err = bus.Connect(ctx, opts.Bus); err != nil {
		return a, err
	}
	a.Ledger = ledger.New(a.Bus, nil)
	if a.Catalog, err = OpenCatalog(a.Bus); err != nil {
		return a, err
	}
	metrics := worker.NewMetrics(a.registry)
	dial := opts.Dial
	if dial == nil {
		dial = Dial
	}
	clients := worker.NewClients(dial)
	a.deliverer, err = worker.NewDeliverer(worker.DelivererOptions{
		Bus: a.Bus, Ledger: a.Ledger, Catalog: a.Catalog, Dial: clients.Client, Metrics: metrics, Log: opts.Log, OnLinked: opts.OnLinked,
		Backlink: func(post ledger.Key) string { return public + "/posts/" + worker.PostURLName(post) },
		Slots:    opts.Slots, MaxAge: opts.MaxAge,
	})
	if err != nil {
		return a, err
	}
	a.live, err = catalog.NewLive(catalog.LiveOptions{
		Store: a.Catalog,
		OnChange: func(r *catalog.Revision) {
			opts.Log.Info("catalog in force", zap.String("revision", r.ID), zap.String("author", r.Author), zap.Int("rules", len(r.Catalog.Rules)))
			a.deliverer.Follow(r)
		},
		OnError: func(err error) {
			opts.Log.Error("the catalog cannot be followed; the last good one stays", zap.Error(err))
		},
	})
	if err != nil {
		return a, err
	}
	if a.matcher, err = worker.NewMatcher(worker.MatcherOptions{
		Bus: a.Bus, Ledger: a.Ledger, Catalog: a.live, Metrics: metrics, Log: opts.Log,
	}); err != nil {
		return a, err
	}
	if a.journal, err = worker.NewJournal(a.Bus, opts.Log, nil); err != nil {
		return a, err
	}
	linker, err := worker.NewLinker(worker.LinkerOptions{
		Bus: a.Bus, Ledger: a.Ledger, Catalog: a.live.Current, Clients: clients, Log: opts.Log,
	})
	if err != nil {
		return a, err
	}
	reader, err := worker.NewReader(a.Bus, a.Ledger, a.live.Current)
	if err != nil {
		return a, err
	}
	administrator, err := worker.NewAdministrator(worker.AdministratorOptions{Bus: a.Bus, Catalog: a.Catalog, Clients: clients})
	if err != nil {
		return a, err
	}
	a.handler, err = console.New(console.Options{
		Bus: a.Bus, Catalog: a.Catalog, Linker: linker, Reader: reader, Administrator: administrator, Journal: a.journal,
		Tokens: opts.Tokens, Stopping: a.stopping, Gatherer: a.registry, Metrics: a.registry, Log: opts.Log,
		Ready: []console.Check{
			{Name: "catalog", OK: func() bool { return a.live.Current() != nil }},
			{Name: "nats", OK: a.Bus.Connected},
			{Name: "posts", OK: a.matcher.Pulling},
			{Name: "outboxes", OK: a.deliverer.Pulling},
		},
	})
	return a, err
}

// CheckListen refuses an address that other machines reach while there are no tokens.
func CheckListen(listen string, tokens []console.Token) error {
	if console.Open(tokens) || loopback(listen) {
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

// URL is the console's address on this machine.
func (a *App) URL() string { return "http://" + a.listener.Addr().String() }

// Run works until ctx ends, then stops in order: nothing new is taken, what is under way is finished or given back.
func (a *App) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.live.Run(ctx) })
	g.Go(func() error { return a.matcher.Run(ctx) })
	g.Go(func() error { return a.deliverer.Run(ctx) })
	g.Go(func() error { return a.journal.Run(ctx) })
	g.Go(func() error { return Serve(ctx, a.listener, a.handler) })
	defer context.AfterFunc(ctx, func() { close(a.stopping) })()
	return g.Wait()
}

// Close ends the connections. It comes after Run.
func (a *App) Close() {
	if a.listener != nil {
		_ = a.listener.Close() // closed already when the console ran
	}
	if a.Bus != nil {
		a.Bus.Close()
	}
}

// OpenCatalog opens the shared catalog.
func OpenCatalog(b *bus.Bus) (*catalog.Store, error) {
	return catalog.New(catalog.Options{KV: b.Catalog(), Blobs: b.CatalogBlobs()})
}
