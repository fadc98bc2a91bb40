package console_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/console"
	"postlink/worker/ledger"
)

// nats.go forgets to end the goroutine of asynchronous publishing when it starts after the connection was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

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
	t        testing.TB
	ctx      context.Context //nolint:containedctx // it ends after the test's own, so that stages can be stopped in order
	bus      *bus.Bus
	ledger   *ledger.Ledger
	store    *catalog.Store
	live     *catalog.Live
	journal  *worker.Journal
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
	server, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir(), SyncInterval: time.Minute})
	must(t, err)
	t.Cleanup(server.Shutdown)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, server: server, stopping: make(chan struct{})}
	w.bus, err = bus.Connect(ctx, bus.Options{Server: server})
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

	core, logs := observer.New(zapcore.DebugLevel)
	w.logs = logs
	registry := prometheus.NewRegistry()
	work := worker.NewMetrics(registry)
	dial := func(i dynamics.Instance) (*dynamics.Client, error) {
		i.URL = web.URL + "/" + i.Name
		return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken("t")})
	}
	clients := worker.NewClients(dial)
	deliverer, err := worker.NewDeliverer(worker.DelivererOptions{
		Bus: w.bus, Ledger: w.ledger, Catalog: w.store, Dial: dial, Metrics: work, Log: zap.NewNop(),
		RetryFirst: 10 * time.Millisecond, RetryMost: 50 * time.Millisecond, ProbeEvery: 20 * time.Millisecond,
	})
	must(t, err)
	w.live, err = catalog.NewLive(catalog.LiveOptions{Store: w.store, OnChange: deliverer.Follow})
	must(t, err)
	matcher, err := worker.NewMatcher(worker.MatcherOptions{Bus: w.bus, Ledger: w.ledger, Catalog: w.live, Metrics: work, Log: zap.NewNop()})
	must(t, err)
	w.journal, err = worker.NewJournal(w.bus, zap.NewNop(), nil)
	must(t, err)
	linker, err := worker.NewLinker(worker.LinkerOptions{
		Bus: w.bus, Ledger: w.ledger, Catalog: w.live.Current, Clients: clients, Log: zap.NewNop(),
	})
	must(t, err)
	reader, err := worker.NewReader(w.bus, w.ledger, w.live.Current)
	must(t, err)
	administrator, err := worker.NewAdministrator(worker.AdministratorOptions{Bus: w.bus, Catalog: w.store, Clients: clients})
	must(t, err)
	opts := console.Options{
		Bus: w.bus, Catalog: w.store, Linker: linker, Reader: reader, Administrator: administrator, Journal: w.journal,
		Tokens: tokens(), Stopping: w.stopping, Gatherer: registry, Metrics: registry, Log: zap.New(core),
	}
	for _, c := range change {
		c(&opts)
	}
	w.opts = opts
	w.handler, err = console.New(opts)
	must(t, err)
	w.document = readDocument(t, w.handler)

	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{w.live.Run, deliverer.Run, matcher.Run, w.journal.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("a stage ended: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		// nats.go leaves a goroutine behind when it is stopped while it reads an object: let the worker have the newest catalog.
		if newest, err := w.store.Current(ctx); err == nil {
			w.follows(newest.Number)
		}
		cancel()
		wg.Wait()
	})
	return w
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
	revision, _, err := w.store.Apply(w.ctx, c, catalog.Commit{Author: "test"})
	must(w.t, err)
	w.follows(revision.Number)
}

func (w *world) follows(number uint64) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("revision %d in force", number), func() bool {
		return w.live.Current() != nil && w.live.Current().Number >= number
	})
}

// eventually waits until a fact is true.
func (w *world) eventually(what string, fact func() bool) {
	w.t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	end := time.After(patience)
	for !fact() {
		select {
		case <-look.C:
		case <-end:
			w.t.Fatalf("never true: %s", what)
		}
	}
}

func post(id int, sentiment string) string {
	return fmt.Sprintf(`{"post":{"id":%d,"externalId":"x%d","postType":"post","uri":"https://www.twitter.com/a/status/%d",`+
		`"publicationDate":"2026-01-02T03:04:05Z","profile":{"externalHandle":"ann%d","displayName":"Ann %d","externalId":"u%d"},`+
		`"source":{"param":"Twitter"},"content":{"text":"text of %d"},"sentiment":{"polarity":%q}}}`, id, id, id, id%7, id%7, id%7, id, sentiment)
}

func key(id int) ledger.Key { return ledger.Key{Network: "twitter", PostID: fmt.Sprint(id)} }

// name is how answers call a post.
func name(id int) string { return worker.PostURLName(key(id)) }

func (w *world) publish(posts ...string) {
	w.t.Helper()
	for _, p := range posts {
		must(w.t, w.bus.PublishPost(w.ctx, "twitter", []byte(p)))
	}
}

// reaches waits until the newest link of a post is in a state.
func (w *world) reaches(id int, state ledger.State) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("post %d is %s", id, state), func() bool {
		entry, err := w.ledger.Find(w.ctx, key(id))
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
	w.eventually("a dead letter", func() bool {
		must(w.t, w.bus.DeadLettersBefore(w.ctx, ">", 0, func(m bus.Message) bool {
			sequence = m.Sequence
			return false
		}))
		return sequence != 0
	})
	return sequence
}

// ask is a request to a world's console.
type ask struct {
	method, path string
	body         any          // JSON; []byte and string are sent as they are
	role         console.Role // whose token is sent; the administrator's when 0
	anonymous    bool         // no token
	header       http.Header
}

// answer is what came back.
type answer struct {
	t      testing.TB
	ask    ask
	status int
	header http.Header
	body   []byte
}

func (w *world) do(a ask) answer {
	w.t.Helper()
	var body io.Reader
	switch b := a.body.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(b)
	case string:
		body = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		must(w.t, err)
		body = bytes.NewReader(text)
	}
	r := httptest.NewRequestWithContext(w.ctx, a.method, a.path, body)
	r.RemoteAddr = "192.0.2.7:1234"
	maps.Copy(r.Header, a.header)
	if h := a.header.Get("Host"); h != "" {
		r.Host = h
	}
	if body != nil && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if a.role == 0 {
		a.role = console.Administrator
	}
	if !a.anonymous && r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", "Bearer "+token(a.role))
	}
	got := w.serve(r)
	w.document.check(w.t, r, got)
	return got
}

// serve answers a request as it is.
func (w *world) serve(r *http.Request) answer {
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	return answer{w.t, ask{method: r.Method, path: r.URL.Path}, recorder.Code, recorder.Header(), recorder.Body.Bytes()}
}

// bare is a request with nothing but its address.
func (w *world) bare(method, path string) answer {
	return w.serve(httptest.NewRequestWithContext(w.ctx, method, path, nil))
}

func (w *world) get(path string) answer {
	w.t.Helper()
	return w.do(ask{method: http.MethodGet, path: path})
}

// is fails the test when the answer has another status.
func (a answer) is(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s %s: status %d, want %d: %s", a.ask.method, a.ask.path, a.status, status, a.body)
	}
	return a
}

// problem fails the test when the answer is not a problem of that kind and status, and returns it.
func (a answer) problem(status int, kind string) console.Problem {
	a.t.Helper()
	a.is(status)
	p := as[console.Problem](a)
	if p.Type != console.ProblemType+kind || p.Status != status {
		a.t.Fatalf("%s %s: problem %s with status %d, want %s with %d: %s", a.ask.method, a.ask.path, p.Type, p.Status, kind, status, p.Detail)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Errorf("%s %s: a problem of type %s", a.ask.method, a.ask.path, got)
	}
	if p.RequestID == "" || p.RequestID != a.header.Get("X-Request-Id") || p.Detail == "" || p.Title == "" {
		a.t.Errorf("%s %s: the problem is not complete: %s", a.ask.method, a.ask.path, a.body)
	}
	return p
}

// as decodes an answer, strictly.
func as[T any](a answer) T {
	a.t.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		a.t.Fatalf("%s %s: %v: %s", a.ask.method, a.ask.path, err, a.body)
	}
	return v
}

// to fills the parameters of a path.
func to(pattern string, values ...string) string {
	for _, v := range values {
		i, j := strings.IndexByte(pattern, '{'), strings.IndexByte(pattern, '}')
		if i < 0 {
			break
		}
		pattern = pattern[:i] + url.PathEscape(v) + pattern[j+1:]
	}
	return pattern
}
