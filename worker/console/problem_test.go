package console_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"postlink/dynamics/sandbox"
	"postlink/payload"
	"postlink/worker/console"
	"postlink/worker/console/api"
	"postlink/worker/desk"
	"postlink/worker/ledger"
)

// broken is a body that ends with an error.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// losing is a bucket in which somebody else is always faster.
type losing struct{ jetstream.KeyValue }

func (losing) Update(context.Context, string, []byte, uint64) (uint64, error) {
	return 0, jetstream.ErrKeyRevisionMismatch
}

// problemCase makes a kind of problem happen.
type problemCase struct {
	make   func(*world) answer
	says   string // part of the detail
	change func(*console.Options)
	empty  bool // no catalog was applied
}

var staticAuth = api.Auth{Kind: "static", Token: api.Secret{Env: "TOKEN"}}

// TestEachProblemIsMetOnce makes every kind of problem happen in a world of its own, and looks at the answer.
func TestEachProblemIsMetOnce(t *testing.T) {
	t.Parallel()
	cases := map[string]problemCase{}
	for _, some := range []map[string]problemCase{requestProblems(), catalogProblems(t), instanceProblems(), linkProblems()} {
		maps.Copy(cases, some)
	}
	for kind, status := range console.Kinds() {
		c, ok := cases[kind]
		if !ok {
			t.Errorf("problem %s (%d) is not met by any case", kind, status)
			continue
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			change := func(*console.Options) {}
			if c.change != nil {
				change = c.change
			}
			w := newQuietWorld(t, change)
			if !c.empty {
				w.apply(plainCatalog)
			}
			p := c.make(w).problem(status, kind)
			if !strings.Contains(p.Detail, c.says) {
				t.Errorf("detail %q does not say %q", p.Detail, c.says)
			}
		})
	}
	for kind := range cases {
		if console.Kinds()[kind] == 0 {
			t.Errorf("there is no problem %s", kind)
		}
	}
}

// disable disables an instance, and waits until the worker knows.
func (w *world) disable(instance string) {
	w.t.Helper()
	w.do(ask{method: http.MethodPost, path: to(api.PathDisableInstance, instance)}).is(http.StatusOK)
	w.catchUp()
}

// catchUp waits until the worker follows the newest catalog.
func (w *world) catchUp() {
	w.t.Helper()
	newest, err := w.Catalog.Current(w.ctx)
	must(w.t, err)
	w.follows(newest.Number)
}

// stream is a request whose body comes from a reader.
func (w *world) stream(method, path string, body io.Reader) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.ctx, method, path, body)
	r.Header.Set("Authorization", "Bearer "+token(console.Administrator))
	return w.serve(r)
}

// linkOf asks for a link.
func (w *world) linkOf(l api.NewLink) answer {
	return w.do(ask{method: http.MethodPost, path: api.PathLinks, body: l})
}

func requestProblems() map[string]problemCase {
	return map[string]problemCase{
		"malformed-request": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPost, path: api.PathLinks, body: `{"post": `})
		}, says: "send it again"},
		"invalid-request": {make: func(w *world) answer {
			a := w.do(ask{method: http.MethodPost, path: api.PathLinks, body: `{"post":"@1","color":"my secret"}`})
			p := as[api.Problem](a)
			if len(p.Errors) != 1 || p.Errors[0].Location != "body.color" || strings.Contains(string(a.body), "secret") {
				w.t.Errorf("an unknown member: %s", a.body)
			}
			return a
		}, says: "correct what errors lists"},
		"unauthenticated": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodGet, path: api.PathRules, anonymous: true})
		}, says: "Authorization: Bearer"},
		"forbidden": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodDelete, path: to(api.PathInstance, "contoso"), role: console.Manager})
		}, says: "takes the role administrator, manager@example.com is manager"},
		"foreign-request": {make: func(w *world) answer {
			return w.get(api.PathRules)
		}, says: "localhost", change: func(o *console.Options) { o.Tokens = nil }},
		"not-found": {make: func(w *world) answer {
			return w.get("/api/v1/tweets")
		}, says: "openapi.json"},
		"method-not-allowed": {make: func(w *world) answer {
			a := w.do(ask{method: http.MethodPut, path: api.PathRules})
			if a.header.Get("Allow") != "GET, HEAD" {
				w.t.Errorf("Allow: %q", a.header.Get("Allow"))
			}
			return a
		}, says: "PUT is not possible here"},
		"request-too-slow": {make: func(w *world) answer {
			return w.stream(http.MethodPost, api.PathLinks, broken{os.ErrDeadlineExceeded})
		}, says: "in time"},
		"request-too-large": {make: func(w *world) answer {
			return w.linkOf(api.NewLink{Post: "@1", Notes: strings.Repeat("x", 1<<20)})
		}, says: "1 MiB"},
		"unsupported-media-type": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPost, path: api.PathLinks, body: "post=1", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
		}, says: "application/json"},
		"internal": {make: func(w *world) answer {
			a := w.get(to(api.PathPost, "@1"))
			if strings.Contains(string(a.body), "pointer") || w.logs.FilterMessage("a request crashed").Len() != 1 {
				w.t.Errorf("a crash is shown to the client, or is not logged: %s", a.body)
			}
			return a
		}, says: "request id", change: func(o *console.Options) {
			crashing := *o.Worker
			crashing.Desk = new(desk.Desk)
			o.Worker = &crashing
		}},
		"nats-unreachable": {make: func(w *world) answer {
			w.loseNATS()
			return w.get(api.PathInstances)
		}, says: "try again"},
		"timeout": {make: func(w *world) answer {
			ctx, cancel := context.WithCancel(w.ctx)
			cancel()
			asking := *w
			asking.ctx = ctx
			return asking.get(api.PathPosts)
		}, says: "took too long"},
	}
}

func catalogProblems(t *testing.T) map[string]problemCase {
	return map[string]problemCase{
		"rule-unknown": {make: func(w *world) answer {
			return w.get(to(api.PathRule, "nobody"))
		}, says: `configured: complaints, sleeping / rule`},
		"instance-exists": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPost, path: api.PathInstances, body: api.NewInstance{Name: "contoso", URL: "https://x.crm.dynamics.com", Auth: staticAuth}})
		}, says: "choose another name"},
		"entity-exists": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPost, path: to(api.PathEntities, "contoso"), body: api.Entity{Name: "incident"}})
		}, says: "change its fields instead"},
		"in-use": {make: func(w *world) answer {
			a := w.do(ask{method: http.MethodDelete, path: to(api.PathEntity, "contoso", "incident")})
			if p := as[api.Problem](a); fmt.Sprint(p.Rules) != "[complaints]" {
				w.t.Errorf("rules %v", p.Rules)
			}
			return a
		}, says: "deactivate or delete that rule first"},
		"rule-unconfigured": {make: func(w *world) answer {
			w.do(ask{method: http.MethodPost, path: to(api.PathDisableInstance, "fabrikam")}).is(http.StatusOK)
			return w.do(ask{method: http.MethodPost, path: to(api.PathActivateRule, "sleeping / rule")})
		}, says: "enable it"},
		"catalog-invalid": {make: func(w *world) answer {
			a := w.do(ask{method: http.MethodPut, path: api.PathCatalog, body: strings.Replace(plainCatalog, "post.sentiment ==", "post.feeling ==", 1)})
			p := as[api.Problem](a)
			if len(p.Catalog) != 1 || p.Catalog[0].File != "catalog.yaml" || p.Catalog[0].Line == 0 || p.Catalog[0].Rule != "complaints" {
				w.t.Errorf("problems %+v", p.Catalog)
			}
			return a
		}, says: "correct it and try again"},
		"catalog-changed": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodDelete, path: to(api.PathInstance, "fabrikam"), header: http.Header{"If-Match": {`"999"`}}})
		}, says: "look at it again"},
		"catalog-busy": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPost, path: to(api.PathDeactivateRule, "complaints")})
		}, says: "try again", change: func(o *console.Options) {
			o.Worker = withCatalog(t, o.Worker, func(kv jetstream.KeyValue) jetstream.KeyValue { return losing{kv} })
		}},
	}
}

func instanceProblems() map[string]problemCase {
	return map[string]problemCase{
		"no-catalog": {make: func(w *world) answer { return w.get(api.PathCatalog) }, says: "apply", empty: true},
		"no-default": {make: func(w *world) answer {
			w.apply(strings.Replace(plainCatalog, "default: true", "default: false", 1))
			return w.linkOf(api.NewLink{Event: []byte(post(1, "neutral"))})
		}, says: "name the instance"},
		"instance-unknown": {make: func(w *world) answer {
			return w.linkOf(api.NewLink{Event: []byte(post(1, "neutral")), Instance: "nowhere"})
		}, says: "configured: contoso, fabrikam"},
		"instance-disabled": {make: func(w *world) answer {
			w.disable("fabrikam")
			return w.linkOf(api.NewLink{Event: []byte(post(1, "neutral")), Instance: "fabrikam"})
		}, says: "enable it"},
		"instance-down": {make: func(w *world) answer {
			w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultHTML, Path: "EntityDefinitions"})
			return w.get(to(api.PathRecordTypes, "contoso"))
		}, says: "instance contoso"},
		"social-data": {make: func(w *world) answer {
			w.fabrikam.SetSettings(sandbox.Settings{DisableSocialCare: true})
			return w.linkOf(api.NewLink{Event: []byte(post(1, "neutral")), Instance: "fabrikam"})
		}, says: "Dynamics 365 can’t receive social data from postlink"},
		"entity-unknown": {make: func(w *world) answer {
			return w.linkOf(api.NewLink{Event: []byte(post(1, "neutral")), Entity: "lead"})
		}, says: "configured: incident, new_complaint"},
		"entity-unnamed": {make: func(w *world) answer {
			return w.linkOf(api.NewLink{Event: []byte(post(1, "neutral"))})
		}, says: "name the one to make"},
		"entity-unrelated": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPost, path: to(api.PathEntities, "contoso"), body: api.Entity{Name: "new_vehicle"}})
		}, says: "choose from"},
		"field-unknown": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPut, path: to(api.PathEntityFields, "contoso", "incident"), body: api.Fields{Fields: []string{"title", "mood"}}})
		}, says: "mood"},
		"notes-too-long": {make: func(w *world) answer {
			return w.linkOf(api.NewLink{Event: []byte(post(1, "neutral")), Entity: "incident", Notes: strings.Repeat("😀", payload.MaxNotes/2+1)})
		}, says: fmt.Sprint(payload.MaxNotes)},
	}
}

func linkProblems() map[string]problemCase {
	return map[string]problemCase{
		"post-unknown": {make: func(w *world) answer { return w.get(to(api.PathPost, "@99")) }, says: "there is no post"},
		"post-ambiguous": {make: func(w *world) answer {
			for _, network := range []string{"Twitter", "Facebook"} {
				w.publish(strings.Replace(post(7, "negative"), "Twitter", network, 1))
			}
			for _, network := range []string{"twitter", "facebook"} {
				w.eventually("linked", func() bool {
					entry, err := w.Ledger.Find(w.ctx, ledger.Key{Network: network, PostID: "7"})
					return err == nil && entry.Current().State == ledger.Linked
				})
			}
			return w.get(to(api.PathPost, "7"))
		}, says: "twitter/7"},
		"post-invalid": {make: func(w *world) answer {
			return w.linkOf(api.NewLink{Event: []byte(`{"post":{}}`), Entity: "incident"})
		}, says: "id"},
		"post-forgotten": {make: func(w *world) answer {
			w.do(ask{method: http.MethodPost, path: api.PathLinks + "?wait=20", body: api.NewLink{Event: []byte(post(8, "neutral")), Entity: "incident"}}).is(http.StatusCreated)
			w.do(ask{method: http.MethodDelete, path: to(api.PathPostLink, "twitter/8")}).is(http.StatusOK)
			return w.linkOf(api.NewLink{Post: "twitter/8", Entity: "incident"})
		}, says: "give the post itself"},
		"already-linked": {make: func(w *world) answer {
			w.link(1)
			a := w.linkOf(api.NewLink{Post: "1", Entity: "incident"})
			if p := as[api.Problem](a); p.Link == nil || p.Link.State != "linked" || p.Link.Rule != "complaints" {
				w.t.Errorf("the answer does not show the link: %s", a.body)
			}
			return a
		}, says: "remove that link first"},
		"link-unknown": {make: func(w *world) answer {
			w.link(1)
			return w.get(to(api.PathLink, "7182238c-c81f-5143-a77b-d3d3e3dd76dc"))
		}, says: "name the link's post"},
		"not-linked": {make: func(w *world) answer {
			w.publish(post(1, "neutral"))
			return w.get(to(api.PathPostLink, "1"))
		}, says: "is not linked"},
		"still-queued": {make: func(w *world) answer {
			w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultUnavailable, Method: http.MethodPatch})
			w.publish(post(1, "negative"))
			w.reaches(1, ledger.Queued)
			return w.get(to(api.PathPostLink, "1"))
		}, says: "try again once it is linked"},
		"record-gone": {make: func(w *world) answer {
			w.link(1)
			if d := as[api.LinkDetails](w.get(to(api.PathPostLink, "1"))); d.Of != api.OfRecord {
				w.t.Errorf("details of %s", d.Of)
			}
			for r := range w.contoso.Records("incident") {
				w.contoso.Delete("incident", r.ID)
			}
			return w.get(to(api.PathPostLink, "1"))
		}, says: "the post can be linked again"},
		"dead-letter-absent": {make: func(w *world) answer { return w.get(to(api.PathDeadLetter, "42")) }, says: "no such dead letter"},
	}
}

func TestAnUnknownErrorIsLoggedAndNotAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.link(1) // after which the worker writes no more of the state below
	statuses, err := w.Bus.DeclareBucket(w.ctx, jetstream.KeyValueConfig{Bucket: "instances"})
	must(t, err)
	_, err = statuses.Put(w.ctx, "fabrikam", []byte("{broken"))
	must(t, err)
	a := w.get(to(api.PathInstance, "fabrikam"))
	p := a.problem(http.StatusInternalServerError, "internal")
	lines := w.logs.FilterMessage("a request failed").All()
	if len(lines) != 1 || lines[0].ContextMap()["request_id"] != p.RequestID || strings.Contains(string(a.body), "fabrikam") {
		t.Errorf("answer %s, log %v", a.body, lines)
	}
}

func TestABodyThatBreaksOffIsMalformed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream(http.MethodPost, api.PathLinks, broken{errors.New("reset by peer")}).problem(http.StatusBadRequest, "malformed-request")
}

// fragile writes a part of each answer, and panics then.
type fragile struct{ http.ResponseWriter }

func (f fragile) Write(b []byte) (int, error) {
	_, _ = f.ResponseWriter.Write(b[:len(b)/2])
	panic("broken")
}

func TestAnAnswerThatCrashedHalfWayDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) { w.handler.ServeHTTP(fragile{out}, r) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+to(api.PathDisableInstance, "fabrikam"), nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+token(console.Administrator))
	response, err := server.Client().Do(r)
	if err == nil {
		_, err = io.ReadAll(response.Body)
		must(t, response.Body.Close())
	}
	if err == nil {
		t.Error("half an answer was read to its end")
	}
	change := w.logs.FilterMessage("change").All()
	if len(change) != 1 || change[0].ContextMap()["outcome"] != "internal" || w.logs.FilterMessage("a request crashed").Len() != 1 {
		t.Errorf("the audit log has %v", change)
	}
}
