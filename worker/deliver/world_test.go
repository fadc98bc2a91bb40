package deliver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/deliver"
	"postlink/worker/event"
	"postlink/worker/instance"
	"postlink/worker/ledger"
	"postlink/worker/outbox"
)

func TestMain(m *testing.M) { bustest.Main(m) }

// patience is how long a fact may take to become true before a test gives up. It is below the time after which NATS delivers
// an entry again that nobody settled, so that no test passes by waiting for that.
const patience = 20 * time.Second

// twoInstances are what most tests deliver to.
const twoInstances = `
instances:
  - name: contoso
    url: https://contoso.crm.dynamics.com
    auth: {kind: static, token: {env: TOKEN}}
    entities: [{name: incident}]
  - name: fabrikam
    url: https://fabrikam.crm.dynamics.com
    auth: {kind: static, token: {env: TOKEN}}
    entities: [{name: lead}]
`

// onlyContoso is the same without fabrikam.
var onlyContoso = twoInstances[:strings.Index(twoInstances, "  - name: fabrikam")]

// world is a NATS and three organizations: contoso, fabrikam, and one at the address to which contoso moves.
type world struct {
	t         *testing.T
	bus       *bus.Bus
	opts      deliver.Options // what deliverers are made with, apart from catalog and metrics
	contoso   *sandbox.Sandbox
	fabrikam  *sandbox.Sandbox
	elsewhere *sandbox.Sandbox
	clients   *dynamics.Clients
	registry  *prometheus.Registry
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{t: t, registry: prometheus.NewRegistry(), bus: bustest.New(t)}
	var err error
	w.opts = deliver.Options{
		Outboxes: outbox.New(w.bus, 0), Log: zap.NewNop(), PostsURL: "https://console.example/posts/",
		Pauses: deliver.Pauses{First: 10 * time.Millisecond, Most: 50 * time.Millisecond, Probe: 20 * time.Millisecond},
	}
	w.opts.Ledger, err = ledger.Open(ctx, w.bus, ledger.Options{})
	must(t, err)
	w.opts.Letters, err = deadletter.Open(ctx, w.bus, 0)
	must(t, err)
	w.opts.Events, err = event.Open(ctx, w.bus, 0)
	must(t, err)
	w.opts.Statuses, err = instance.Open(ctx, w.bus)
	must(t, err)
	w.opts.Catalog, err = catalog.Open(ctx, w.bus, catalog.Options{})
	must(t, err)
	w.opts.Metrics = deliver.NewMetrics(w.registry)
	w.organizations()
	return w
}

func (w *world) organizations() {
	w.t.Helper()
	var err error
	for name, s := range map[string]**sandbox.Sandbox{"contoso": &w.contoso, "fabrikam": &w.fabrikam, "elsewhere": &w.elsewhere} {
		*s, err = sandbox.New(sandbox.Options{Name: name, Tokens: []string{"t"}})
		must(w.t, err)
	}
	mux, err := sandbox.NewMux(w.contoso, w.fabrikam, w.elsewhere)
	must(w.t, err)
	web := httptest.NewServer(mux)
	w.t.Cleanup(web.Close)
	w.clients = dynamics.NewClients(func(i dynamics.Instance) (*dynamics.Client, error) {
		at, err := url.Parse(i.URL)
		if err != nil {
			return nil, err
		}
		i.URL = web.URL + "/" + strings.TrimSuffix(at.Host, ".crm.dynamics.com")
		return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken("t"), Transport: web.Client().Transport})
	})
	w.t.Cleanup(w.clients.Close)
	w.opts.Client = w.clients.Client
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
	_, _, err = w.opts.Catalog.Apply(w.t.Context(), c, catalog.Commit{Author: "test"})
	must(w.t, err)
}

// work runs a deliverer that follows the catalog, until the test ends or the function returned is called.
func (w *world) work() (d *deliver.Deliverer, stop func()) {
	w.t.Helper()
	live := w.live()
	w.background(live.Run)
	return w.deliverer(live)
}

func (w *world) live() *catalog.Live {
	w.t.Helper()
	live, err := catalog.NewLive(catalog.LiveOptions{Store: w.opts.Catalog})
	must(w.t, err)
	return live
}

func (w *world) deliverer(live *catalog.Live) (d *deliver.Deliverer, stop func()) {
	w.t.Helper()
	opts := w.opts
	opts.Live = live
	d, err := deliver.New(opts)
	must(w.t, err)
	return d, w.background(d.Run)
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

func post(id int) []byte {
	return fmt.Appendf(nil, `{"post":{"id":%d,"externalId":"x%d","postType":"post","uri":"https://www.twitter.com/a/status/%d",`+
		`"publicationDate":"2026-01-02T03:04:05Z","profile":{"externalHandle":"ann%d","displayName":"Ann %d","externalId":"u%d"},`+
		`"source":{"param":"Twitter"},"content":{"text":"text of %d"},"sentiment":{"polarity":"negative"}}}`, id, id, id, id%7, id%7, id%7, id)
}

func key(id int) ledger.Key { return ledger.Key{Network: "twitter", PostID: fmt.Sprint(id)} }

var (
	toContoso  = ledger.Decision{Instance: "contoso", Entity: "incident", Rule: "complaints", Notes: "call back", By: "rule complaints"}
	toFabrikam = ledger.Decision{Instance: "fabrikam", Entity: "lead", Rule: "praise", By: "rule praise"}
)

// queue decides about a post and puts its link into its outbox, as the first stage does.
func (w *world) queue(id int, d ledger.Decision) ledger.Entry {
	w.t.Helper()
	entry, _, err := w.opts.Ledger.Freeze(w.t.Context(), key(id), uint64(id), d)
	must(w.t, err)
	w.put(entry, id)
	return entry
}

func (w *world) put(entry ledger.Entry, id int) {
	w.t.Helper()
	must(w.t, w.opts.Outboxes.Put(w.t.Context(), entry, post(id)))
}

// eventually waits until a fact is true.
func (w *world) eventually(what string, fact func() (bool, error)) {
	w.t.Helper()
	eventually(w.t, what, fact)
}

func eventually(t *testing.T, what string, fact func() (bool, error)) {
	t.Helper()
	bustest.Eventually(t, patience, what, fact)
}

// waiting is how many links wait for an instance.
func (w *world) waiting(instance string) (uint64, error) {
	held, err := w.opts.Outboxes.Waiting(w.t.Context(), instance)
	return held.Messages, err
}

// settled waits until no link is on its way.
func (w *world) settled() {
	w.t.Helper()
	w.eventually("all links are settled", func() (bool, error) {
		for _, name := range []string{"contoso", "fabrikam"} {
			if n, err := w.waiting(name); err != nil || n > 0 {
				return false, err
			}
		}
		return true, nil
	})
}

// reaches waits until the current link of a post is in a state, and returns it.
func (w *world) reaches(id int, state ledger.State) *ledger.Link {
	w.t.Helper()
	var link *ledger.Link
	w.eventually(fmt.Sprintf("post %d is %s", id, state), func() (bool, error) {
		entry, err := w.opts.Ledger.Find(w.t.Context(), key(id))
		if err != nil {
			return false, err
		}
		link = entry.Current()
		return link.State == state, nil
	})
	return link
}

// status waits until what is known of an instance is as wanted, and returns it.
func (w *world) status(name, what string, wanted func(instance.Status) bool) instance.Status {
	w.t.Helper()
	var s instance.Status
	w.eventually(name+": "+what, func() (bool, error) {
		var err error
		s, err = w.opts.Statuses.Read(w.t.Context(), name)
		return err == nil && wanted(s), err
	})
	return s
}

// letters are all dead letters with their posts, newest first.
func (w *world) letters() []deadletter.Letter {
	w.t.Helper()
	var all []deadletter.Letter
	must(w.t, w.opts.Letters.Backwards(w.t.Context(), deadletter.Filter{}, 0, func(l deadletter.Letter) (bool, error) {
		whole, err := w.opts.Letters.Read(w.t.Context(), l.Sequence)
		all = append(all, whole)
		return true, err
	}))
	return all
}

// event waits until the change of a post's link to a state is published, and returns it.
func (w *world) event(id int, state ledger.State) event.Event {
	w.t.Helper()
	var found event.Event
	w.eventually(fmt.Sprintf("the event that post %d is %s", id, state), func() (bool, error) {
		found = event.Event{}
		err := w.bus.Backwards(w.t.Context(), bus.Read{Stream: w.bus.StreamName("EVENTS")}, func(m bus.Message) (bool, error) {
			var e event.Event
			err := json.Unmarshal(m.Data, &e)
			if e.Post == key(id) && e.State == state {
				found = e
			}
			return found.ID == uuid.Nil, err
		})
		return found.ID != uuid.Nil, err
	})
	return found
}

// counted is the value of a counter with these values of its labels.
func (w *world) counted(name string, labels ...string) float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	must(w.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if f.GetName() == name && strings.Join(values, " ") == strings.Join(labels, " ") {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// activities are the social activities of an organization, by id.
func activities(s *sandbox.Sandbox) map[uuid.UUID]sandbox.Record {
	all := map[uuid.UUID]sandbox.Record{}
	for r := range s.Records("socialactivity") {
		all[r.ID] = r
	}
	return all
}

func (w *world) fault(s *sandbox.Sandbox, f sandbox.Fault) {
	w.t.Helper()
	_, err := s.AddFault(f)
	must(w.t, err)
}
