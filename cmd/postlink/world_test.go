package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"postlink/cmd/postlink/internal/app"
	"postlink/cmd/postlink/internal/cli"
	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
	"postlink/worker/console"
	"postlink/worker/deliver"
	"postlink/worker/ledger"
)

// worldCatalog has one rule that acts, one that does not, and an instance without entities.
const worldCatalog = `
instances:
  - name: contoso
    url: https://contoso.crm.dynamics.com
    default: true
    auth: {kind: static, token: {env: CONTOSO_TOKEN}}
    entities: [{name: incident, fields: [title, ticketnumber, createdon]}, {name: lead}]
  - name: fabrikam
    url: https://fabrikam.crm.dynamics.com
    auth: {kind: client_credentials, tenant: fabrikam.example, client_id: old-id, client_secret: {env: FABRIKAM_SECRET}}
rules:
  - name: delays
    when: post.mentions("late")
    link: {instance: contoso, entity: incident, notes: call back}
  - name: praise
    active: false
    when: post.mentions("thanks")
    link: {instance: contoso, entity: lead}
`

// world is a postlink that runs in the test, as serve runs it, with two simulated instances. Commands are run against it in the
// process of the test: they differ from those of a shell only in that nobody sets their environment.
type world struct {
	*app.App
	t        *testing.T
	server   *bus.Server
	contoso  *sandbox.Sandbox
	fabrikam *sandbox.Sandbox
}

// newWorld starts a world in which a catalog is in force; empty is none. With tokens each role has one: see as.
func newWorld(t *testing.T, yaml string, tokens ...console.Token) *world {
	t.Helper()
	server, err := bus.StartServer(t.Context(), bus.ServerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0", SyncInterval: time.Minute})
	must(t, err)
	t.Cleanup(server.Shutdown)
	w := &world{t: t, server: server}
	w.contoso, err = sandbox.New(sandbox.Options{Name: "contoso", Tokens: []string{"t"}})
	must(t, err)
	w.fabrikam, err = sandbox.New(sandbox.Options{Name: "fabrikam", Tokens: []string{"t"}})
	must(t, err)
	mux, err := sandbox.NewMux(w.contoso, w.fabrikam)
	must(t, err)
	dynamics365 := httptest.NewServer(mux)
	t.Cleanup(dynamics365.Close)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	opts := worker.Options{
		NATS: bus.Options{Server: server},
		Dial: func(i dynamics.Instance) (*dynamics.Client, error) {
			i.URL = dynamics365.URL + "/" + i.Name
			return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken("t")})
		},
		Pauses: deliver.Pauses{First: 10 * time.Millisecond, Most: 50 * time.Millisecond, Probe: 20 * time.Millisecond},
		Log:    zap.NewNop(),
	}
	if yaml != "" {
		opts.Catalog, err = catalog.Load(w.file("catalog.yaml", yaml))
		must(t, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.App, err = app.New(ctx, app.Options{Worker: opts, Listener: listener, Tokens: tokens})
	must(t, err)
	t.Cleanup(w.Close)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("postlink ended: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	if yaml != "" {
		w.eventually("it is ready", func() bool { return w.Ready()["outboxes"] && w.Live.Current() != nil })
	}
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// follows waits until the worker matches under the newest catalog.
func (w *world) follows() {
	w.t.Helper()
	newest, err := w.Catalog.Current(w.t.Context())
	must(w.t, err)
	w.eventually("the newest catalog is followed", func() bool { return w.Live.Current().Number >= newest.Number })
}

// file writes a file, and returns its path.
func (w *world) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	must(w.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// eventually waits until a fact is true.
func (w *world) eventually(what string, fact func() bool) {
	w.t.Helper()
	bustest.Eventually(w.t, patience, what, func() (bool, error) { return fact(), nil })
}

// said is what a command printed and how it ended.
type said struct {
	t           *testing.T
	line        string
	out, errors string // errors ends with what the process prints when the command fails
	code        int
}

// runAt runs a command against a server; commands that ask none run as they are.
func runAt(t *testing.T, server, stdin string, args ...string) said {
	t.Helper()
	root := newRoot()
	if cmd, _, err := root.Find(args); err == nil && (cmd.Flag("server") != nil) && server != "" {
		args = append(args, "--server", server)
	}
	var out, talk bytes.Buffer
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&talk)
	err := root.ExecuteContext(t.Context())
	if err != nil {
		fmt.Fprintln(&talk, "postlink:", cli.Message(err))
	}
	return said{t, "postlink " + strings.Join(args, " "), out.String(), talk.String(), cli.ExitCode(err)}
}

// run runs a command line, and expects that it succeeds.
func (w *world) run(line string) said {
	w.t.Helper()
	return runAt(w.t, w.URL(), "", words(line)...).exits(cli.ExitFine)
}

// fails runs a command line, and expects that it ends with a code.
func (w *world) fails(code int, line string) said {
	w.t.Helper()
	return runAt(w.t, w.URL(), "", words(line)...).exits(code)
}

func (s said) exits(code int) said {
	s.t.Helper()
	if s.code != code {
		s.t.Fatalf("%s\nended with code %d, want %d\n%s%s", s.line, s.code, code, s.out, s.errors)
	}
	return s
}

// prints expects patterns in the output, each somewhere, with ^ and $ at the ends of lines.
func (s said) prints(patterns ...string) said {
	s.t.Helper()
	s.matches("stdout", s.out, true, patterns)
	return s
}

// lacks expects that the output has none of the patterns.
func (s said) lacks(patterns ...string) said {
	s.t.Helper()
	s.matches("stdout", s.out, false, patterns)
	return s
}

// warns expects patterns in what goes to standard error.
func (s said) warns(patterns ...string) said {
	s.t.Helper()
	s.matches("stderr", s.errors, true, patterns)
	return s
}

func (s said) matches(where, text string, want bool, patterns []string) {
	s.t.Helper()
	for _, p := range patterns {
		if regexp.MustCompile("(?m)"+p).MatchString(text) != want {
			s.t.Errorf("%s\n%s matches %q: want %v; it is\n%s", s.line, where, p, want, text)
		}
	}
}

// event is a post as it arrives in the stream.
func event(id int, text string) string {
	return fmt.Sprintf(`{"post":{"id":%d,"externalId":"x%d","publicationDate":"2026-01-02T03:04:05Z","uri":"https://twitter.com/ann/status/%d",`+
		`"source":{"param":"Twitter"},"content":{"text":%q},"profile":{"externalHandle":"ann","displayName":"Ann Lee","externalId":"u1"}}}`, id, id, id, text)
}

// publish puts posts into the stream, in order.
func (w *world) publish(events ...string) {
	w.t.Helper()
	for _, e := range events {
		must(w.t, w.Posts.Publish(w.t.Context(), "twitter", []byte(e)))
	}
}

func key(id int) ledger.Key { return ledger.Key{Network: "twitter", PostID: fmt.Sprint(id)} }

// reaches waits until the newest link of a post is in a state.
func (w *world) reaches(id int, state ledger.State) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("post %d is %s", id, state), func() bool {
		entry, err := w.Ledger.Find(w.t.Context(), key(id))
		return err == nil && entry.Current().State == state
	})
}

// linked publishes posts that the rule takes, and waits until they are linked.
func (w *world) linked(ids ...int) {
	w.t.Helper()
	for _, id := range ids {
		w.publish(event(id, "late again"))
	}
	for _, id := range ids {
		w.reaches(id, ledger.Linked)
	}
}

// dies publishes a post whose link Dynamics refuses for good, and waits for its dead letter.
func (w *world) dies(id int) {
	w.t.Helper()
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultStatus, Method: http.MethodPatch, Path: "socialactivities", Status: 400, Code: "0x80048408", Times: 1})
	w.publish(event(id, "late again"))
	w.reaches(id, ledger.Dead)
	w.eventually("its dead letter is kept", func() bool {
		return strings.Contains(runAt(w.t, w.URL(), "", "dead", "list", "--json").out, fmt.Sprintf(`"post_id": "%d"`, id))
	})
}

func (w *world) fault(s *sandbox.Sandbox, f sandbox.Fault) {
	w.t.Helper()
	_, err := s.AddFault(f)
	must(w.t, err)
}

// behind is a server in front of the world that sends a token with each request, in place of a person's environment.
func (w *world) behind(token string) string {
	w.t.Helper()
	to, err := url.Parse(w.URL())
	must(w.t, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Header.Set("Authorization", "Bearer "+token)
	}})
	w.t.Cleanup(proxy.Close)
	return proxy.URL
}

// nothingThere is the address of a port that nobody listens on.
func nothingThere(t *testing.T) string {
	t.Helper()
	ports, err := freePorts(1)
	must(t, err)
	return "127.0.0.1:" + ports[0]
}

// cursor is the one that a list ended with.
func (s said) cursor() string {
	s.t.Helper()
	found := regexp.MustCompile(`--cursor ([^,]+),`).FindStringSubmatch(s.errors)
	if found == nil {
		s.t.Fatalf("%s\nnames no cursor:\n%s", s.line, s.errors)
	}
	return found[1]
}
