package worker_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/payload"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/ledger"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The object store publishes asynchronously, for which nats.go 1.55.0 starts a goroutine that outlives its connection.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

// patience is how long a fact may take to become true before a test gives up.
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

// world is a NATS, an organization for each instance, and any number of workers.
type world struct {
	t         *testing.T
	bus       *bus.Bus
	ledger    *ledger.Ledger
	store     *catalog.Store
	contoso   *sandbox.Sandbox
	fabrikam  *sandbox.Sandbox
	url       string
	clients   *worker.Clients
	revision  func() *catalog.Revision       // in force, as the newest worker sees it
	deliverer func(*worker.DelivererOptions) // changes what workers are made with
	slots     int
}

func newWorld(t *testing.T, opts bus.Options) *world {
	t.Helper()
	server, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir(), SyncInterval: time.Minute})
	must(t, err)
	t.Cleanup(server.Shutdown)
	opts.Server = server
	w := &world{t: t, deliverer: func(*worker.DelivererOptions) {}}
	w.bus, err = bus.Connect(t.Context(), opts)
	must(t, err)
	t.Cleanup(w.bus.Close)
	w.ledger = ledger.New(w.bus, nil)
	w.store, err = catalog.New(catalog.Options{KV: w.bus.Catalog(), Blobs: w.bus.CatalogBlobs()})
	must(t, err)
	w.contoso, err = sandbox.New(sandbox.Options{Name: "contoso", Tokens: []string{"t"}})
	must(t, err)
	w.fabrikam, err = sandbox.New(sandbox.Options{Name: "fabrikam", Tokens: []string{"t"}})
	must(t, err)
	mux, err := sandbox.NewMux(w.contoso, w.fabrikam)
	must(t, err)
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	w.url = web.URL
	w.clients = worker.NewClients(func(i dynamics.Instance) (*dynamics.Client, error) {
		i.URL = w.url + "/" + i.Name
		return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken("t"), Transport: web.Client().Transport})
	})
	w.revision = func() *catalog.Revision {
		r, err := w.store.Current(context.Background())
		if err != nil {
			return nil
		}
		return r
	}
	return w
}

func (w *world) linker() *worker.Linker {
	w.t.Helper()
	l, err := worker.NewLinker(worker.LinkerOptions{Bus: w.bus, Ledger: w.ledger, Catalog: w.revision, Clients: w.clients, Log: zap.NewNop()})
	must(w.t, err)
	return l
}

func (w *world) reader() *worker.Reader {
	w.t.Helper()
	r, err := worker.NewReader(w.bus, w.ledger, w.revision)
	must(w.t, err)
	return r
}

// journal runs a Journal until stop is called.
func (w *world) journal(now func() time.Time) (j *worker.Journal, stop func()) {
	w.t.Helper()
	j, err := worker.NewJournal(w.bus, zap.NewNop(), now)
	must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := j.Run(ctx); err != nil {
			w.t.Errorf("the journal ended: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	w.t.Cleanup(stop)
	return j, stop
}

func (w *world) administrator() *worker.Administrator {
	w.t.Helper()
	a, err := worker.NewAdministrator(worker.AdministratorOptions{Bus: w.bus, Catalog: w.store, Clients: w.clients})
	must(w.t, err)
	return a
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
	must(w.t, w.tryApply(yaml))
}

func (w *world) tryApply(yaml string) error {
	file := filepath.Join(w.t.TempDir(), "catalog.yaml")
	must(w.t, os.WriteFile(file, []byte(yaml), 0o600))
	c, err := catalog.Load(file)
	if err != nil {
		return err
	}
	_, _, err = w.store.Apply(w.t.Context(), c, catalog.Commit{Author: "test"})
	return err
}

// work runs a worker until the test ends or the function returned is called.
func (w *world) work() (stop func()) {
	w.t.Helper()
	deliverer, live, matcher := w.worker()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{live.Run, deliverer.Run, matcher.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				w.t.Errorf("a stage ended: %v", err)
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *world) worker() (*worker.Deliverer, *catalog.Live, *worker.Matcher) {
	w.t.Helper()
	metrics := worker.NewMetrics(prometheus.NewRegistry())
	opts := worker.DelivererOptions{
		Bus: w.bus, Ledger: w.ledger, Catalog: w.store, Metrics: metrics, Log: zap.NewNop(), Slots: w.slots,
		Dial:       w.clients.Client,
		Backlink:   func(post ledger.Key) string { return "https://console.example/posts/" + post.Encode() },
		RetryFirst: 10 * time.Millisecond, RetryMost: 50 * time.Millisecond, ProbeEvery: 20 * time.Millisecond,
	}
	w.deliverer(&opts)
	deliverer, err := worker.NewDeliverer(opts)
	must(w.t, err)
	live, err := catalog.NewLive(catalog.LiveOptions{Store: w.store, OnChange: deliverer.Follow})
	must(w.t, err)
	matcher, err := worker.NewMatcher(worker.MatcherOptions{
		Bus: w.bus, Ledger: w.ledger, Catalog: live, Metrics: metrics, Log: zap.NewNop(),
	})
	must(w.t, err)
	return deliverer, live, matcher
}

// posts is the consumer that the matchers share.
func (w *world) posts() jetstream.Consumer {
	w.t.Helper()
	consumer, err := w.bus.Posts(w.t.Context())
	must(w.t, err)
	return consumer
}

func post(id int, sentiment string) string {
	return fmt.Sprintf(`{"post":{"id":%d,"externalId":"x%d","postType":"post","uri":"https://www.twitter.com/a/status/%d",`+
		`"publicationDate":"2026-01-02T03:04:05Z","profile":{"externalHandle":"ann%d","displayName":"Ann %d","externalId":"u%d"},`+
		`"source":{"param":"Twitter"},"content":{"text":"text of %d"},"sentiment":{"polarity":%q}}}`, id, id, id, id%7, id%7, id%7, id, sentiment)
}

func key(id int) ledger.Key { return ledger.Key{Network: "twitter", PostID: fmt.Sprint(id)} }

func (w *world) publish(posts ...string) {
	w.t.Helper()
	for _, p := range posts {
		must(w.t, w.bus.PublishPost(w.t.Context(), "twitter", []byte(p)))
	}
}

// eventually waits until a fact is true.
func (w *world) eventually(what string, fact func() (bool, error)) {
	w.t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	end := time.After(patience)
	for {
		ok, err := fact()
		if ok {
			return
		}
		select {
		case <-look.C:
		case <-end:
			w.t.Fatalf("never true: %s; last error %v", what, err)
		}
	}
}

// settled waits until no post and no link is on its way.
func (w *world) settled() {
	w.t.Helper()
	w.eventually("all posts and links settled", func() (bool, error) {
		waiting, err := w.bus.Backlog(w.t.Context())
		for _, name := range []string{"contoso", "fabrikam"} {
			if err != nil || waiting > 0 {
				return false, err
			}
			outbox, err := w.bus.Outbox(w.t.Context(), name)
			if err != nil {
				return false, err
			}
			if waiting, err = outbox.Waiting(w.t.Context()); err != nil {
				return false, err
			}
		}
		return waiting == 0, err
	})
}

// reaches waits until the current link of a post is in a state, and returns it.
func (w *world) reaches(id int, state ledger.State) *ledger.Link {
	w.t.Helper()
	var link *ledger.Link
	w.eventually(fmt.Sprintf("post %d is %s", id, state), func() (bool, error) {
		entry, err := w.ledger.Find(w.t.Context(), key(id))
		if err != nil {
			return false, err
		}
		link = entry.Current()
		return link.State == state, nil
	})
	return link
}

// parked waits until an instance is parked, and returns why.
func (w *world) parked(instance string) string {
	w.t.Helper()
	var state worker.InstanceState
	w.eventually(instance+" is parked", func() (bool, error) {
		var err error
		state, err = worker.State(w.t.Context(), w.bus, instance)
		return state.Parked != "", err
	})
	return state.Parked
}

// deadLetters are the dead letters there are, of posts or of links.
func (w *world) deadLetters(subject string) []bus.Message {
	w.t.Helper()
	var letters []bus.Message
	must(w.t, w.bus.DeadLettersBefore(w.t.Context(), subject, 0, func(l bus.Message) bool {
		letters = append(letters, l)
		return true
	}))
	return letters
}

// activities are the social activities of an organization, by id.
func activities(s *sandbox.Sandbox) map[uuid.UUID]sandbox.Record {
	all := map[uuid.UUID]sandbox.Record{}
	for r := range s.Records("socialactivity") {
		all[r.ID] = r
	}
	return all
}

func activityID(instance string, id, generation int) uuid.UUID {
	return payload.ActivityID(instance, "twitter", fmt.Sprint(id), generation)
}

func (w *world) fault(s *sandbox.Sandbox, f sandbox.Fault) {
	w.t.Helper()
	_, err := s.AddFault(f)
	must(w.t, err)
}
