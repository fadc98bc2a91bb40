package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/payload"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
	"postlink/worker/deliver"
	"postlink/worker/ledger"
)

func TestMain(m *testing.M) { bustest.Main(m) }

// patience is how long a fact may take to become true before a test gives up.
const patience = 30 * time.Second

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

// world is a NATS, an organization for each instance, and any number of workers. The worker that it begins with does not run:
// tests look through it.
type world struct {
	*worker.Worker
	t        *testing.T
	server   *bus.Server
	contoso  *sandbox.Sandbox
	fabrikam *sandbox.Sandbox
	url      string                // of both
	change   func(*worker.Options) // what workers are made with; may be nil
}

func newWorld(t *testing.T, change func(*worker.Options)) *world {
	t.Helper()
	server := bustest.Server(t)
	w := &world{t: t, server: server, change: change}
	var err error
	w.contoso, err = sandbox.New(sandbox.Options{Name: "contoso", Tokens: []string{"t"}})
	must(t, err)
	w.fabrikam, err = sandbox.New(sandbox.Options{Name: "fabrikam", Tokens: []string{"t"}})
	must(t, err)
	mux, err := sandbox.NewMux(w.contoso, w.fabrikam)
	must(t, err)
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	w.url = web.URL
	w.Worker = w.open()
	return w
}

// open makes a worker that does not run.
func (w *world) open() *worker.Worker {
	w.t.Helper()
	made, err := w.try()
	must(w.t, err)
	w.t.Cleanup(made.Close)
	return made
}

func (w *world) try() (*worker.Worker, error) {
	opts := worker.Options{
		NATS: bus.Options{Server: w.server},
		Dial: func(i dynamics.Instance) (*dynamics.Client, error) {
			i.URL = w.url + "/" + i.Name
			return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken("t")})
		},
		ConsoleURL: "https://console.example",
		Pauses:     deliver.Pauses{First: 10 * time.Millisecond, Most: 50 * time.Millisecond, Probe: 20 * time.Millisecond},
		Log:        zap.NewNop(),
	}
	if w.change != nil {
		w.change(&opts)
	}
	return worker.New(w.t.Context(), opts)
}

// work runs a worker until the test ends or stop is called.
func (w *world) work() (stop func()) {
	w.t.Helper()
	made := w.open()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := made.Run(ctx); err != nil {
			w.t.Errorf("the worker ended: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		made.Close()
	})
	w.t.Cleanup(stop)
	return stop
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
	_, _, err = w.Catalog.Apply(w.t.Context(), c, catalog.Commit{Author: "test"})
	return err
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
		must(w.t, w.Posts.Publish(w.t.Context(), "twitter", []byte(p)))
	}
}

// eventually waits until a fact is true.
func (w *world) eventually(what string, fact func() (bool, error)) {
	w.t.Helper()
	bustest.Eventually(w.t, patience, what, fact)
}

// settled waits until no post and no link is on its way.
func (w *world) settled() {
	w.t.Helper()
	w.eventually("all posts and links have reached their place", func() (bool, error) {
		waiting, err := w.Posts.Backlog(w.t.Context())
		for _, name := range []string{"contoso", "fabrikam"} {
			if err != nil || waiting > 0 {
				return false, err
			}
			held, heldErr := w.Outboxes.Waiting(w.t.Context(), name)
			waiting, err = held.Messages, heldErr
		}
		return waiting == 0 && err == nil, err
	})
}

// reaches waits until the current link of a post is in a state, and returns it.
func (w *world) reaches(id int, state ledger.State) *ledger.Link {
	w.t.Helper()
	var link *ledger.Link
	w.eventually(fmt.Sprintf("post %d is %s", id, state), func() (bool, error) {
		entry, err := w.Ledger.Find(w.t.Context(), key(id))
		if err != nil {
			return false, err
		}
		link = entry.Current()
		return link.State == state, nil
	})
	return link
}

// unlinked makes sure that a post was not linked.
func (w *world) unlinked(id int) {
	w.t.Helper()
	if entry, err := w.Ledger.Find(w.t.Context(), key(id)); err == nil {
		w.t.Errorf("post %d was linked: %+v", id, entry.Current())
	}
}

// record is what an organization holds of a post's first link.
func (w *world) record(s *sandbox.Sandbox, instance string, id int) (record map[string]any) {
	w.t.Helper()
	want := payload.ActivityID(instance, "twitter", fmt.Sprint(id), 1)
	for r := range s.Records("socialactivity") {
		if r.ID == want {
			must(w.t, json.Unmarshal(r.Record, &record))
			return record
		}
	}
	w.t.Fatalf("%s has no social activity %s", instance, want)
	return nil
}

// activities counts the social activities of an organization, each of which has a GUID of its own.
func activities(s *sandbox.Sandbox) int {
	seen := map[uuid.UUID]bool{}
	for r := range s.Records("socialactivity") {
		seen[r.ID] = true
	}
	return len(seen)
}
