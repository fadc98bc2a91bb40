package console_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
	"postlink/worker/console"
	"postlink/worker/deadletter"
	"postlink/worker/deliver"
	"postlink/worker/ledger"
)

func TestMain(m *testing.M) { bustest.Main(m) }

// patience is how long a fact may take to become true before a test gives up.
const patience = 20 * time.Second

// plainCatalog sends complaints to contoso, as cases, and has room for manual links and for entities nobody uses.
const plainCatalog = `
instances:
  - name: contoso
    url: https://contoso.crm.dynamics.com
    default: true
    auth: {kind: static, token: {env: TOKEN}}
    entities: [{name: incident, fields: [title, ticketnumber]}, {name: new_complaint}]
  - name: fabrikam
    url: https://fabrikam.crm.dynamics.com
    auth: {kind: static, token: {env: TOKEN}}
    entities: [{name: lead}]
rules:
  - name: complaints
    when: post.sentiment == "negative"
    link: {instance: contoso, entity: incident, notes: call back}
  - name: sleeping / rule
    active: false
    when: post.sentiment == "positive"
    link: {instance: fabrikam, entity: lead}
`

// world is a NATS, two organizations, a worker, and a console over them.
type world struct {
	*worker.Worker
	t        testing.TB
	ctx      context.Context //nolint:containedctx // it ends after the test's own, so that stages can be stopped in order
	contoso  *sandbox.Sandbox
	fabrikam *sandbox.Sandbox
	logs     *observer.ObservedLogs
	server   *bus.Server
	handler  http.Handler
	opts     console.Options
	stopping chan struct{}
	document *document
}

// token is a role's token in every world that has tokens.
func token(role console.Role) string { return "the secret of the " + role.String() }

func tokens() []console.Token {
	var list []console.Token
	for r := console.Reader; r <= console.Administrator; r++ {
		list = append(list, console.Token{Name: r.String() + "@example.com", Role: r, Hash: sha256.Sum256([]byte(token(r)))})
	}
	return list
}

// newWorld makes a world in which plainCatalog is in force and a worker runs; change may change the console's options.
func newWorld(t testing.TB, change ...func(*console.Options)) *world {
	t.Helper()
	w := newQuietWorld(t, change...)
	w.apply(plainCatalog)
	return w
}

// newQuietWorld is newWorld without a catalog.
func newQuietWorld(t testing.TB, change ...func(*console.Options)) *world {
	t.Helper()
	server := bustest.Server(t)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, server: server, stopping: make(chan struct{})}
	var err error
	w.contoso, err = sandbox.New(sandbox.Options{Name: "contoso", Tokens: []string{"t"}})
	must(t, err)
	w.fabrikam, err = sandbox.New(sandbox.Options{Name: "fabrikam", Tokens: []string{"t"}})
	must(t, err)
	mux, err := sandbox.NewMux(w.contoso, w.fabrikam)
	must(t, err)
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)

	core, logs := observer.New(zapcore.DebugLevel)
	w.logs = logs
	registry := prometheus.NewRegistry()
	w.Worker, err = worker.New(ctx, worker.Options{
		NATS: bus.Options{Server: server},
		Dial: func(i dynamics.Instance) (*dynamics.Client, error) {
			i.URL = web.URL + "/" + i.Name
			return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken("t")})
		},
		Pauses:  deliver.Pauses{First: 10 * time.Millisecond, Most: 50 * time.Millisecond, Probe: 20 * time.Millisecond},
		Metrics: registry, Log: zap.NewNop(),
	})
	must(t, err)
	t.Cleanup(w.Close)
	opts := console.Options{
		Worker: w.Worker, Tokens: tokens(), Stopping: w.stopping, Gatherer: registry, Metrics: registry, Log: zap.New(core),
	}
	for _, c := range change {
		c(&opts)
	}
	w.opts = opts
	w.handler, err = console.New(opts)
	must(t, err)
	w.document = readDocument(t, w.handler)

	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("the worker ended: %v", err)
		}
	})
	t.Cleanup(func() {
		// nats.go leaves a goroutine behind when it is stopped while it reads an object: let the worker have the newest catalog.
		if newest, err := w.Catalog.Current(ctx); err == nil {
			w.follows(newest.Number)
			w.rests()
		}
		cancel()
		wg.Wait()
	})
	return w
}

// withCatalog is a worker whose catalog is kept behind another view of its bucket.
func withCatalog(t testing.TB, of *worker.Worker, view func(jetstream.KeyValue) jetstream.KeyValue) *worker.Worker {
	t.Helper()
	kv, err := of.Bus.DeclareBucket(t.Context(), jetstream.KeyValueConfig{Bucket: "catalog", History: jetstream.KeyValueMaxHistory})
	must(t, err)
	blobs, err := of.Bus.DeclareObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "catalog"})
	must(t, err)
	other := *of
	other.Catalog = catalog.New(view(kv), blobs, catalog.Options{Tries: 2})
	return &other
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// apply puts a catalog in force, and waits until the worker follows it.
func (w *world) apply(yaml string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "catalog.yaml")
	must(w.t, os.WriteFile(file, []byte(yaml), 0o600))
	c, err := catalog.Load(file)
	must(w.t, err)
	revision, _, err := w.Catalog.Apply(w.ctx, c, catalog.Commit{Author: "test"})
	must(w.t, err)
	w.follows(revision.Number)
}

// loseNATS ends the NATS server.
func (w *world) loseNATS() {
	w.t.Helper()
	w.rests()
	w.server.Shutdown()
}

// rests waits until each lane takes links or is held back. A NATS server that ends while it makes a stream leaves goroutines
// behind.
func (w *world) rests() {
	w.t.Helper()
	w.eventually("each lane rests", func() bool { return !w.Bus.Connected() || w.Live.Current() == nil || w.Ready()["outboxes"] })
}

func (w *world) follows(number uint64) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("revision %d in force", number), func() bool {
		return w.Live.Current() != nil && w.Live.Current().Number >= number
	})
}

// eventually waits until a fact is true.
func (w *world) eventually(what string, fact func() bool) {
	w.t.Helper()
	bustest.Eventually(w.t, patience, what, func() (bool, error) { return fact(), nil })
}

func post(id int, sentiment string) string {
	return fmt.Sprintf(`{"post":{"id":%d,"externalId":"x%d","postType":"post","uri":"https://www.twitter.com/a/status/%d",`+
		`"publicationDate":"2026-01-02T03:04:05Z","profile":{"externalHandle":"ann%d","displayName":"Ann %d","externalId":"u%d"},`+
		`"source":{"param":"Twitter"},"content":{"text":"text of %d"},"sentiment":{"polarity":%q}}}`, id, id, id, id%7, id%7, id%7, id, sentiment)
}

func key(id int) ledger.Key { return ledger.Key{Network: "twitter", PostID: fmt.Sprint(id)} }

// name is how answers call a post.
func name(id int) string { return key(id).PathName() }

func (w *world) publish(posts ...string) {
	w.t.Helper()
	for _, p := range posts {
		must(w.t, w.Posts.Publish(w.ctx, "twitter", []byte(p)))
	}
}

// reaches waits until the newest link of a post is in a state.
func (w *world) reaches(id int, state ledger.State) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("post %d is %s", id, state), func() bool {
		entry, err := w.Ledger.Find(w.ctx, key(id))
		return err == nil && entry.Current().State == state
	})
}

// link publishes a post that a rule takes, and waits until it is linked.
func (w *world) link(id int) {
	w.t.Helper()
	w.publish(post(id, "negative"))
	w.reaches(id, ledger.Linked)
}

func (w *world) fault(s *sandbox.Sandbox, f sandbox.Fault) {
	w.t.Helper()
	_, err := s.AddFault(f)
	must(w.t, err)
}

// die makes a dead letter of a link of the post, and returns the letter's sequence.
func (w *world) die(id int) uint64 {
	w.t.Helper()
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultStatus, Method: http.MethodPatch, Path: "socialactivities", Status: 400, Code: "0x80048408", Times: 1})
	w.publish(post(id, "negative"))
	w.reaches(id, ledger.Dead)
	var sequence uint64
	w.eventually("its dead letter", func() bool {
		must(w.t, w.Letters.Backwards(w.ctx, deadletter.Filter{}, 0, func(l deadletter.Letter) (bool, error) {
			if l.Post.PostID == strconv.Itoa(id) {
				sequence = l.Sequence
			}
			return sequence == 0, nil
		}))
		return sequence != 0
	})
	return sequence
}
