package match_test

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/event"
	"postlink/worker/ledger"
	"postlink/worker/match"
	"postlink/worker/outbox"
	"postlink/worker/posts"
)

// The first stage alone, as a process that only matches: posts become links that wait in outboxes.
func Example() {
	run := func(ctx context.Context, b *bus.Bus, metrics prometheus.Registerer, log *zap.Logger) error {
		opts := match.Options{Outboxes: outbox.New(b, 0), Metrics: match.NewMetrics(metrics), Log: log, Drain: 5 * time.Second}
		var err error
		if opts.Posts, err = posts.Open(ctx, b, posts.Options{Remembered: ledger.DefaultAge}); err != nil {
			return err
		}
		if opts.Ledger, err = ledger.Open(ctx, b, ledger.Options{}); err != nil {
			return err
		}
		if opts.Letters, err = deadletter.Open(ctx, b, 0); err != nil {
			return err
		}
		if opts.Events, err = event.Open(ctx, b, 0); err != nil {
			return err
		}
		store, err := catalog.Open(ctx, b, catalog.Options{})
		if err != nil {
			return err
		}
		if opts.Catalog, err = catalog.NewLive(catalog.LiveOptions{Store: store}); err != nil {
			return err
		}
		matcher, err := match.New(opts)
		if err != nil {
			return err
		}
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return opts.Catalog.Run(ctx) }) // posts are taken once it has a catalog
		g.Go(func() error { return matcher.Run(ctx) })
		return g.Wait()
	}
	_ = run
}
