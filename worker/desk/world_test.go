package desk_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/payload"
	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/desk"
	"postlink/worker/event"
	"postlink/worker/instance"
	"postlink/worker/ledger"
	"postlink/worker/outbox"
	"postlink/worker/posts"
)

func TestMain(m *testing.M) { bustest.Main(m) }

// instances are contoso, which makes cases and complaints, and fabrikam, which makes leads.
const instances = `
instances:
  - name: contoso
    url: https://contoso.crm.dynamics.com
    auth: {kind: static, token: {env: TOKEN}}
    entities: [{name: incident}, {name: new_complaint}]
  - name: fabrikam
    url: https://fabrikam.crm.dynamics.com
    auth: {kind: static, token: {env: TOKEN}}
    entities: [{name: lead}]
`

// world is a NATS with all kept things, an organization for each instance, and a desk. No worker runs: what stages would do,
// tests do with the kept things.
type world struct {
	*desk.Desk
	t        *testing.T
	server   *bus.Server
	bus      *bus.Bus
	opts     desk.Options // what the desk works with
	contoso  *sandbox.Sandbox
	fabrikam *sandbox.Sandbox

	client func(dynamics.Instance) (*dynamics.Client, error) // may be replaced
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	ctx := t.Context()
	var err error
	w.server, err = bus.StartServer(ctx, bus.ServerOptions{Dir: t.TempDir(), SyncInterval: time.Minute})
	must(t, err)
	t.Cleanup(w.server.Shutdown)
	w.bus, err = bus.Connect(ctx, bus.Options{Server: w.server})
	must(t, err)
	t.Cleanup(w.bus.Close)

	o := &w.opts
	o.Posts, err = posts.Open(ctx, w.bus, posts.Options{Remembered: ledger.DefaultAge})
	must(t, err)
	o.Ledger, err = ledger.Open(ctx, w.bus, ledger.Options{})
	must(t, err)
	o.Outboxes = outbox.New(w.bus, 0)
	o.Letters, err = deadletter.Open(ctx, w.bus, 0)
	must(t, err)
	o.Events, err = event.Open(ctx, w.bus, 0)
	must(t, err)
	o.Statuses, err = instance.Open(ctx, w.bus)
	must(t, err)
	o.Catalog, err = catalog.Open(ctx, w.bus, catalog.Options{})
	must(t, err)
	w.organizations()
	o.Client = func(i dynamics.Instance) (*dynamics.Client, error) { return w.client(i) }
	w.Desk, err = desk.New(*o)
	must(t, err)
	return w
}

// organizations plays contoso and fabrikam.
func (w *world) organizations() {
	w.t.Helper()
	var err error
	w.contoso, err = sandbox.New(sandbox.Options{Name: "contoso", Tokens: []string{"t"}})
	must(w.t, err)
	w.fabrikam, err = sandbox.New(sandbox.Options{Name: "fabrikam", Tokens: []string{"t"}})
	must(w.t, err)
	mux, err := sandbox.NewMux(w.contoso, w.fabrikam)
	must(w.t, err)
	web := httptest.NewServer(mux)
	w.t.Cleanup(web.Close)
	w.client = func(i dynamics.Instance) (*dynamics.Client, error) {
		i.URL = web.URL + "/" + i.Name
		return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken("t"), Transport: web.Client().Transport})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func second[T any](_ T, err error) error { return err }

// refused is the refusal that an error is, of the kind wanted.
func refused(t *testing.T, err error, kind string) desk.Refusal {
	t.Helper()
	refusal, ok := errors.AsType[*desk.Refusal](err)
	if !ok {
		t.Fatalf("error %v, want a refusal of kind %s", err, kind)
	}
	if refusal.Kind != kind {
		t.Fatalf("refused as %s (%s), want %s", refusal.Kind, refusal.Text, kind)
	}
	return *refusal
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

// revision is the catalog in force.
func (w *world) revision() *catalog.Revision {
	w.t.Helper()
	r, err := w.opts.Catalog.Current(w.t.Context())
	must(w.t, err)
	return r
}

func text(id int) string {
	return fmt.Sprintf(`{"post":{"id":%d,"externalId":"x%d","postType":"post","uri":"https://www.twitter.com/a/status/%d",`+
		`"publicationDate":"2026-01-02T03:04:05Z","profile":{"externalHandle":"ann%d","displayName":"Ann %d","externalId":"u%d"},`+
		`"source":{"param":"Twitter"},"content":{"text":"text of %d"}}}`, id, id, id, id%7, id%7, id%7, id)
}

func key(id int) ledger.Key { return ledger.Key{Network: "twitter", PostID: fmt.Sprint(id)} }

// publish appends posts to the stream, the first of which is @1.
func (w *world) publish(texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		must(w.t, w.opts.Posts.Publish(w.t.Context(), "twitter", []byte(text)))
	}
}

// link links a post by hand, as ann, and returns its entry.
func (w *world) link(post, instance, entity string) ledger.Entry {
	w.t.Helper()
	entry, err := w.Links.Link(w.t.Context(), desk.Request{Post: post, Instance: instance, Entity: entity, By: "ann"})
	must(w.t, err)
	return entry
}

// entry is what the ledger has of a post.
func (w *world) entry(id int) ledger.Entry {
	w.t.Helper()
	entry, err := w.opts.Ledger.Find(w.t.Context(), key(id))
	must(w.t, err)
	return entry
}

// current is the newest link of a post.
func (w *world) current(id int) *ledger.Link {
	w.t.Helper()
	entry := w.entry(id)
	return entry.Current()
}

// deliver makes the record of a post's queued link, and empties the outbox of its instance.
func (w *world) deliver(id int) *ledger.Link {
	w.t.Helper()
	ctx := w.t.Context()
	entry := w.entry(id)
	link := entry.Current()
	post, err := payload.DecodePost([]byte(text(id)))
	must(w.t, err)
	activity, err := payload.Build(post, payload.Options{Entity: link.Entity, Notes: link.Notes})
	must(w.t, err)
	client, err := w.client(dynamics.Instance{Name: link.Instance})
	must(w.t, err)
	defer client.CloseIdleConnections()
	err = client.Create(ctx, dynamics.Activity{ID: link.ID, Network: post.Network, SocialActivity: activity})
	must(w.t, err)
	org, err := client.Organization(ctx)
	must(w.t, err)
	must(w.t, w.opts.Statuses.Update(ctx, link.Instance, func(s *instance.Status) { s.Organization = org.ID }))
	entry, err = w.opts.Ledger.Move(ctx, entry, ledger.Step{State: ledger.Linked, By: "postlink"}, func(l *ledger.Link) { l.Organization = org.ID })
	must(w.t, err)
	w.emptyOutbox(link.Instance)
	return entry.Current()
}

// die moves the queued link of a post to dead, and buries it.
func (w *world) die(id int) {
	w.t.Helper()
	entry, err := w.opts.Ledger.Move(w.t.Context(), w.entry(id), ledger.Step{State: ledger.Dead, By: "postlink", Reason: "a field is too long", Code: "0x80044331"}, nil)
	must(w.t, err)
	must(w.t, w.opts.Letters.BuryLink(w.t.Context(), entry, []byte(text(id))))
	w.emptyOutbox(entry.Current().Instance)
}

// waiting are the entries of an instance's outbox, oldest first.
func (w *world) waiting(instance string) []outbox.Entry {
	w.t.Helper()
	var all []outbox.Entry
	w.eachWaiting(instance, func(m bus.Message) error {
		entry, err := outbox.Read(m)
		all = append([]outbox.Entry{entry}, all...)
		return err
	})
	return all
}

func (w *world) emptyOutbox(instance string) {
	w.t.Helper()
	w.eachWaiting(instance, func(m bus.Message) error {
		return w.bus.Delete(w.t.Context(), w.bus.StreamName("OUTBOX_"+instance), m.Sequence)
	})
}

func (w *world) eachWaiting(instance string, visit func(bus.Message) error) {
	w.t.Helper()
	must(w.t, w.opts.Outboxes.Declare(w.t.Context(), instance))
	var all []bus.Message // a work queue has one reader, so the messages are read one by one
	info, _, err := w.bus.StreamInfo(w.t.Context(), w.bus.StreamName("OUTBOX_"+instance))
	must(w.t, err)
	for sequence := info.State.LastSeq; info.State.Msgs > 0 && sequence >= info.State.FirstSeq; sequence-- {
		m, err := w.bus.Message(w.t.Context(), info.Config.Name, sequence)
		if !errors.Is(err, bus.ErrNoMessage) {
			must(w.t, err)
			all = append(all, m)
		}
	}
	for _, m := range all {
		must(w.t, visit(m))
	}
}

// events counts the events of links that were published in a state.
func (w *world) events(state ledger.State) uint64 {
	w.t.Helper()
	n, err := w.bus.Count(w.t.Context(), w.bus.StreamName("EVENTS"), w.bus.Subject("events", "link", string(state), "*"))
	must(w.t, err)
	return n
}

func (w *world) fault(s *sandbox.Sandbox, f sandbox.Fault) {
	w.t.Helper()
	_, err := s.AddFault(f)
	must(w.t, err)
}

func activityID(instance string, id, generation int) uuid.UUID {
	return payload.ActivityID(instance, "twitter", fmt.Sprint(id), generation)
}
