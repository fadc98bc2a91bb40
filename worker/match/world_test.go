package match_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/event"
	"postlink/worker/ledger"
	"postlink/worker/match"
	"postlink/worker/outbox"
	"postlink/worker/posts"
)

func TestMain(m *testing.M) { bustest.Main(m) }

// patience is how long a fact may take to become true before a test gives up. It is below the time after which NATS delivers
// a post again that nobody settled, so that no test passes by waiting for that.
const patience = 20 * time.Second

// plainCatalog sends complaints to contoso, as cases, and praise to fabrikam, as leads.
const plainCatalog = `
instances:
  - name: contoso
    url: https://contoso.crm.dynamics.com
    auth: {kind: static, token: {env: TOKEN}}
    entities: [{name: incident}, {name: new_complaint}]
  - name: fabrikam
    url: https://fabrikam.crm.dynamics.com
    auth: {kind: static, token: {env: TOKEN}}
    entities: [{name: lead}]
rules:
  - name: complaints
    when: post.sentiment == "negative"
    link: {instance: contoso, entity: incident, notes: call back}
  - name: praise
    when: post.sentiment == "positive"
    link: {instance: fabrikam, entity: lead}
`

// world is a NATS with all that the first stage meets there.
type world struct {
	t        *testing.T
	opts     match.Options // what matchers are made with, apart from catalog and metrics
	store    *catalog.Store
	registry *prometheus.Registry // of all its matchers
	metrics  *match.Metrics
}

func newWorld(t *testing.T, outboxLimit int64) *world {
	t.Helper()
	ctx := t.Context()
	b := bustest.New(t)
	w := &world{t: t, registry: prometheus.NewRegistry()}
	var err error
	w.metrics = match.NewMetrics(w.registry)
	w.opts = match.Options{Outboxes: outbox.New(b, outboxLimit), Log: zap.NewNop()}
	w.opts.Posts, err = posts.Open(ctx, b, posts.Options{Remembered: ledger.DefaultAge})
	must(t, err)
	w.opts.Ledger, err = ledger.Open(ctx, b, ledger.Options{})
	must(t, err)
	w.opts.Letters, err = deadletter.Open(ctx, b, 0)
	must(t, err)
	w.opts.Events, err = event.Open(ctx, b, 0)
	must(t, err)
	w.store, err = catalog.Open(ctx, b, catalog.Options{})
	must(t, err)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// apply puts a catalog in force.
func (w *world) apply(yaml string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "catalog.yaml")
	must(w.t, os.WriteFile(file, []byte(yaml), 0o600))
	c, err := catalog.Load(file)
	must(w.t, err)
	_, _, err = w.store.Apply(w.t.Context(), c, catalog.Commit{Author: "test"})
	must(w.t, err)
}

// matcher makes a matcher that follows the catalog until the test ends.
func (w *world) matcher() *match.Matcher {
	w.t.Helper()
	live, err := catalog.NewLive(catalog.LiveOptions{Store: w.store})
	must(w.t, err)
	w.background(live.Run)
	opts := w.opts
	opts.Catalog, opts.Metrics = live, w.metrics
	m, err := match.New(opts)
	must(w.t, err)
	return m
}

// work runs a matcher until the test ends or the function returned is called.
func (w *world) work() (stop func()) {
	w.t.Helper()
	return w.background(w.matcher().Run)
}

func (w *world) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run(ctx); err != nil {
			w.t.Errorf("it ended: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	w.t.Cleanup(stop)
	return stop
}

func post(id int, sentiment string) string {
	return fmt.Sprintf(`{"post":{"id":%d,"postType":"post","publicationDate":"2026-01-02T03:04:05Z",`+
		`"profile":{"externalHandle":"ann"},"source":{"param":"Twitter"},"content":{"text":"text of %d"},"sentiment":{"polarity":%q}}}`,
		id, id, sentiment)
}

func key(id int) ledger.Key { return ledger.Key{Network: "twitter", PostID: fmt.Sprint(id)} }

func (w *world) publish(posts ...string) {
	w.t.Helper()
	for _, p := range posts {
		must(w.t, w.opts.Posts.Publish(w.t.Context(), "twitter", []byte(p)))
	}
}

// eventually waits until a fact is true.
func (w *world) eventually(what string, fact func() (bool, error)) {
	w.t.Helper()
	bustest.Eventually(w.t, patience, what, fact)
}

// settled waits until no post is on its way.
func (w *world) settled() {
	w.t.Helper()
	w.eventually("all posts are settled", func() (bool, error) {
		n, err := w.opts.Posts.Backlog(w.t.Context())
		return err == nil && n == 0, err
	})
}

// links is how many links wait for an instance.
func (w *world) links(instance string) uint64 {
	w.t.Helper()
	held, err := w.opts.Outboxes.Waiting(w.t.Context(), instance)
	must(w.t, err)
	return held.Messages
}

// link is the current link of a post.
func (w *world) link(id int) *ledger.Link {
	w.t.Helper()
	entry, err := w.opts.Ledger.Find(w.t.Context(), key(id))
	must(w.t, err)
	return entry.Current()
}

// take calls visit with the links that wait for an instance, until it has seen n, and takes them out of the outbox.
func (w *world) take(instance string, n int, visit func(outbox.Entry)) {
	w.t.Helper()
	ctx, done := context.WithTimeout(w.t.Context(), patience)
	defer done()
	seen := 0
	w.opts.Outboxes.Take(ctx, instance, bus.Consumption{Slots: 1, Buffer: 100, Drain: time.Second, Log: zap.NewNop()},
		func(_ context.Context, d bus.Delivery) bus.Settlement {
			entry, err := outbox.Read(d.Message)
			if err != nil {
				w.t.Errorf("read an entry: %v", err)
			}
			visit(entry)
			if seen++; seen == n {
				done()
			}
			return bus.Ack()
		})
	if seen != n {
		w.t.Fatalf("%d links came, want %d", seen, n)
	}
}

// letters are all dead letters with their posts, by sequence of the post.
func (w *world) letters() map[uint64]deadletter.Letter {
	w.t.Helper()
	all := map[uint64]deadletter.Letter{}
	must(w.t, w.opts.Letters.Backwards(w.t.Context(), deadletter.Filter{}, 0, func(l deadletter.Letter) (bool, error) {
		whole, err := w.opts.Letters.Read(w.t.Context(), l.Sequence)
		all[l.PostSequence] = whole
		return true, err
	}))
	return all
}

// counted are the values of a counter by its label, or by "" without one.
func (w *world) counted(name string) map[string]float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	must(w.t, err)
	values := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			label := ""
			if len(m.GetLabel()) > 0 {
				label = m.GetLabel()[0].GetValue()
			}
			values[label] = m.GetCounter().GetValue()
		}
	}
	return values
}
