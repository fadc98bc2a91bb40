package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"postlink/dynamics"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/deliver"
	"postlink/worker/desk"
	"postlink/worker/event"
	"postlink/worker/instance"
	"postlink/worker/ledger"
	"postlink/worker/match"
	"postlink/worker/outbox"
	"postlink/worker/posts"
)

// Options say what a worker is made of. NATS and Log are needed; everything else has a default.
type Options struct {
	NATS bus.Options

	Posts       posts.Options // Remembered is filled in
	LedgerAge   time.Duration // how long links are remembered; default ledger.DefaultAge
	DeadAge     time.Duration // how long dead letters are kept; default deadletter.DefaultAge
	OutboxLimit int64         // links that may wait for one instance; default outbox.DefaultLimit

	Catalog *catalog.Catalog // put in force at the start, if it changed since it last was; may be nil
	Author  string           // who does that

	Dial       func(dynamics.Instance) (*dynamics.Client, error) // default: as the instance's catalog entry says
	ConsoleURL string                                            // under which people reach the console; empty: records carry no link to it

	Slots  int // deliveries to one instance at once; see deliver.Options, as for the three below
	MaxAge time.Duration
	Drain  time.Duration
	Pauses deliver.Pauses

	Now     func() time.Time      // the clock of steps, ages and pauses; default time.Now
	Metrics prometheus.Registerer // default: nobody sees them
	Log     *zap.Logger
}

func (o *Options) validate() error {
	if o.Log == nil {
		return errors.New("make a worker: a log is needed")
	}
	o.LedgerAge = cmp.Or(o.LedgerAge, ledger.DefaultAge)
	o.Posts.Remembered = o.LedgerAge
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.NATS.Log == nil {
		o.NATS.Log = o.Log.Named("nats")
	}
	return nil
}

// Worker is everything that runs in one process: both stages, the catalog that they follow, and what people do by hand. Its
// fields are for those who serve it, as the console does, and for tests.
type Worker struct {
	Bus      *bus.Bus
	Posts    *posts.Posts
	Ledger   *ledger.Ledger
	Outboxes *outbox.Outboxes
	Letters  *deadletter.Letters
	Events   *event.Events
	Counts   *event.Counts
	Statuses *instance.Statuses
	Catalog  *catalog.Store
	Live     *catalog.Live
	Desk     *desk.Desk

	clients   *dynamics.Clients
	matcher   *match.Matcher
	deliverer *deliver.Deliverer
}

// New connects to NATS, declares what is kept there, and puts the parts together. Whoever gets a Worker calls Close.
func New(ctx context.Context, opts Options) (*Worker, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	w := &Worker{clients: dynamics.NewClients(opts.Dial)}
	if err := w.assemble(ctx, opts); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// assemble makes the parts in the order in which they need each other, in one straight line.
func (w *Worker) assemble(ctx context.Context, opts Options) (err error) {
	if w.Bus, err = bus.Connect(ctx, opts.NATS); err != nil {
		return err
	}
	w.Outboxes = outbox.New(w.Bus, opts.OutboxLimit)
	if err := w.Outboxes.Claim(ctx); err != nil {
		return err
	}
	if w.Posts, err = posts.Open(ctx, w.Bus, opts.Posts); err != nil {
		return err
	}
	if w.Ledger, err = ledger.Open(ctx, w.Bus, ledger.Options{Age: opts.LedgerAge, Now: opts.Now}); err != nil {
		return err
	}
	if w.Letters, err = deadletter.Open(ctx, w.Bus, opts.DeadAge); err != nil {
		return err
	}
	if w.Events, err = event.Open(ctx, w.Bus, 0); err != nil {
		return err
	}
	if w.Statuses, err = instance.Open(ctx, w.Bus); err != nil {
		return err
	}
	if w.Catalog, err = catalog.Open(ctx, w.Bus, catalog.Options{}); err != nil {
		return err
	}
	w.Counts = event.NewCounts(w.Events, opts.Log, opts.Now)
	if w.Live, err = catalog.NewLive(catalog.LiveOptions{
		Store: w.Catalog,
		OnChange: func(r *catalog.Revision) {
			opts.Log.Info("catalog in force", zap.String("revision", r.ID), zap.String("author", r.Author), zap.Int("rules", len(r.Catalog.Rules)))
		},
		OnError: func(err error) {
			opts.Log.Error("the catalog cannot be followed; the last good one stays", zap.Error(err))
		},
	}); err != nil {
		return err
	}
	if w.matcher, err = match.New(match.Options{
		Posts: w.Posts, Ledger: w.Ledger, Outboxes: w.Outboxes, Letters: w.Letters, Events: w.Events, Catalog: w.Live,
		Metrics: match.NewMetrics(opts.Metrics), Log: opts.Log, Now: opts.Now,
	}); err != nil {
		return err
	}
	postsURL := ""
	if opts.ConsoleURL != "" {
		postsURL = opts.ConsoleURL + "/posts/"
	}
	if w.deliverer, err = deliver.New(deliver.Options{
		Ledger: w.Ledger, Outboxes: w.Outboxes, Letters: w.Letters, Events: w.Events, Statuses: w.Statuses,
		Live: w.Live, Catalog: w.Catalog, Client: w.clients.Client, Metrics: deliver.NewMetrics(opts.Metrics), Log: opts.Log,
		PostsURL: postsURL, Slots: opts.Slots, MaxAge: opts.MaxAge, Drain: opts.Drain, Pauses: opts.Pauses, Now: opts.Now,
	}); err != nil {
		return err
	}
	if w.Desk, err = desk.New(desk.Options{
		Posts: w.Posts, Ledger: w.Ledger, Outboxes: w.Outboxes, Letters: w.Letters, Events: w.Events, Statuses: w.Statuses,
		Catalog: w.Catalog, Client: w.clients.Client, Log: opts.Log, Now: opts.Now,
	}); err != nil {
		return err
	}
	if opts.Catalog == nil {
		return nil
	}
	by := catalog.Commit{Author: opts.Author, Message: "put in force at the start"}
	if _, err := w.Catalog.ApplyAtStart(ctx, opts.Catalog, by); err != nil {
		return fmt.Errorf("put the catalog in force: %w", err)
	}
	return nil
}

// Run works until ctx ends, then stops: nothing new is taken, what is under way is finished within its drain time or given
// back.
func (w *Worker) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{w.Live.Run, w.Counts.Run, w.matcher.Run, w.deliverer.Run} {
		g.Go(func() error { return run(ctx) })
	}
	defer w.clients.Close() // an instance that stops with us would wait for connections that are kept for later
	return g.Wait()
}

// Ready says which conditions of readiness hold, by name. Dynamics being up is never one: links wait for it without harm.
func (w *Worker) Ready() map[string]bool {
	return map[string]bool{
		"catalog":  w.Live.Current() != nil,
		"nats":     w.Bus.Connected(),
		"posts":    w.matcher.Pulling(),
		"outboxes": w.deliverer.Pulling(),
	}
}

// Close ends the connections. It comes after Run.
func (w *Worker) Close() {
	w.clients.Close()
	if w.Bus != nil {
		w.Bus.Close()
	}
}
