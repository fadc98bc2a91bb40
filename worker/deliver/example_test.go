package deliver_test

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"postlink/dynamics"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/deliver"
	"postlink/worker/event"
	"postlink/worker/instance"
	"postlink/worker/ledger"
	"postlink/worker/outbox"
)

// The second stage alone, as a process that only delivers: links that wait in outboxes become records.
func Example() {
	run := func(ctx context.Context, b *bus.Bus, metrics prometheus.Registerer, log *zap.Logger) error {
		clients := dynamics.NewClients(nil) // one for each instance, with the url and auth of the catalog
		defer clients.Close()
		opts := deliver.Options{
			Outboxes: outbox.New(b, 0), Client: clients.Client, Metrics: deliver.NewMetrics(metrics), Log: log,
			Slots: 16, MaxAge: 3 * bus.Day, Pauses: deliver.Pauses{Probe: time.Minute},
		}
		var err error
		if opts.Ledger, err = ledger.Open(ctx, b, ledger.Options{}); err != nil {
			return err
		}
		if opts.Letters, err = deadletter.Open(ctx, b, 0); err != nil {
			return err
		}
		if opts.Events, err = event.Open(ctx, b, 0); err != nil {
			return err
		}
		if opts.Statuses, err = instance.Open(ctx, b); err != nil {
			return err
		}
		if opts.Catalog, err = catalog.Open(ctx, b, catalog.Options{}); err != nil {
			return err
		}
		if opts.Live, err = catalog.NewLive(catalog.LiveOptions{Store: opts.Catalog}); err != nil {
			return err
		}
		deliverer, err := deliver.New(opts)
		if err != nil {
			return err
		}
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return opts.Live.Run(ctx) }) // lanes come, go and change with it
		g.Go(func() error { return deliverer.Run(ctx) })
		return g.Wait()
	}
	_ = run
}
