package console_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"postlink/dynamics/sandbox"
	"postlink/payload"
	"postlink/worker"
	"postlink/worker/catalog"
	"postlink/worker/console"
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

// TestEachProblemIsMetOnce makes every kind of problem happen in a world of its own, and looks at what clients are told.
func TestEachProblemIsMetOnce(t *testing.T) {
	t.Parallel()
	link := func(w *world, l console.NewLink) answer {
		return w.do(ask{method: http.MethodPost, path: console.PathLinks, body: l})
	}
	auth := console.Auth{Kind: "static", Token: console.Secret{Env: "TOKEN"}}
	cases := map[string]struct {
		make   func(*world) answer
		says   string // part of the detail
		change func(*console.Options)
		empty  bool // nothing is configured
	}{
		"malformed-request": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPost, path: console.PathLinks, body: `{"post": `})
		}, says: "send it again"},
		"invalid-request": {make: func(w *world) answer {
			a := w.do(ask{method: http.MethodPost, path: console.PathLinks, body: `{"post":"@1","color":"my secret"}`})
			p := as[console.Problem](a)
			if len(p.Errors) != 1 || p.Errors[0].Location != "body.color" || strings.Contains(string(a.body), "secret") {
				t.Errorf("an unknown member: %s", a.body)
			}
			return a
		}, says: "correct what errors lists"},
		"unauthenticated": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodGet, path: console.PathRules, anonymous: true})
		}, says: "Authorization: Bearer"},
		"forbidden": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodDelete, path: to(console.PathInstance, "contoso"), role: console.Manager})
		}, says: "takes the role administrator, manager@example.com is manager"},
		"foreign-request": {make: func(w *world) answer {
			return w.get(console.PathRules)
		}, says: "localhost", change: func(o *console.Options) { o.Tokens = nil }},
		"not-found": {make: func(w *world) answer {
			return w.get("/api/v1/tweets")
		}, says: "openapi.json"},
		"method-not-allowed": {make: func(w *world) answer {
			a := w.do(ask{method: http.MethodPut, path: console.PathRules})
			if a.header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow: %q", a.header.Get("Allow"))
			}
			return a
		}, says: "PUT is not possible here"},
		"request-too-slow": {make: func(w *world) answer {
			return w.stream(http.MethodPost, console.PathLinks, broken{os.ErrDeadlineExceeded})
		}, says: "in time"},
		"request-too-large": {make: func(w *world) answer {
			return link(w, console.NewLink{Post: "@1", Notes: strings.Repeat("x", 1<<20)})
		}, says: "1 MiB"},
		"unsupported-media-type": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPost, path: console.PathLinks, body: "post=1", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
		}, says: "application/json"},
		"internal": {make: func(w *world) answer {
			a := w.get(to(console.PathPost, "@1"))
			if strings.Contains(string(a.body), "pointer") || w.logs.FilterMessage("a request crashed").Len() != 1 {
				t.Errorf("a crash is told to the client, or not to the log: %s", a.body)
			}
			return a
		}, says: "request id", change: func(o *console.Options) { o.Linker = new(worker.Linker) }},
		"nats-unreachable": {make: func(w *world) answer {
			w.server.Shutdown()
			return w.get(console.PathInstances)
		}, says: "try again"},
		"timeout": {make: func(w *world) answer {
			ctx, cancel := context.WithCancel(w.ctx)
			cancel()
			asking := *w
			asking.ctx = ctx
			return asking.get(console.PathPosts)
		}, says: "took too long"},

		"rule-unknown": {make: func(w *world) answer {
			return w.get(to(console.PathRule, "nobody"))
		}, says: `configured: complaints, sleeping / rule`},
		"instance-exists": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPost, path: console.PathInstances, body: console.NewInstance{Name: "contoso", URL: "https://x.crm.dynamics.com", Auth: auth}})
		}, says: "choose another name"},
		"entity-exists": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPost, path: to(console.PathEntities, "contoso"), body: console.Entity{Name: "incident"}})
		}, says: "change its fields instead"},
		"in-use": {make: func(w *world) answer {
			a := w.do(ask{method: http.MethodDelete, path: to(console.PathEntity, "contoso", "incident")})
			if p := as[console.Problem](a); fmt.Sprint(p.Rules) != "[complaints]" {
				t.Errorf("rules %v", p.Rules)
			}
			return a
		}, says: "deactivate or delete that rule first"},
		"rule-target": {make: func(w *world) answer {
			w.do(ask{method: http.MethodPost, path: to(console.PathDisableInstance, "fabrikam")}).is(http.StatusOK)
			return w.do(ask{method: http.MethodPost, path: to(console.PathActivateRule, "sleeping / rule")})
		}, says: "enable it"},
		"catalog-invalid": {make: func(w *world) answer {
			a := w.do(ask{method: http.MethodPut, path: console.PathCatalog, body: strings.Replace(plainCatalog, "post.sentiment ==", "post.feeling ==", 1)})
			p := as[console.Problem](a)
			if len(p.Catalog) != 1 || p.Catalog[0].File != "catalog.yaml" || p.Catalog[0].Line == 0 || p.Catalog[0].Rule != "complaints" {
				t.Errorf("problems %+v", p.Catalog)
			}
			return a
		}, says: "correct it and try again"},
		"catalog-changed": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodDelete, path: to(console.PathInstance, "fabrikam"), header: http.Header{"If-Match": {`"999"`}}})
		}, says: "look at it again"},
		"catalog-busy": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPost, path: to(console.PathDeactivateRule, "complaints")})
		}, says: "try again", change: func(o *console.Options) {
			store, err := catalog.New(catalog.Options{KV: losing{o.Bus.Catalog()}, Blobs: o.Bus.CatalogBlobs(), Tries: 2})
			must(t, err)
			o.Catalog = store
		}},

		"post-unknown": {make: func(w *world) answer { return w.get(to(console.PathPost, "@99")) }, says: "there is no post"},
		"post-ambiguous": {make: func(w *world) answer {
			for _, network := range []string{"Twitter", "Facebook"} {
				w.publish(strings.Replace(post(7, "negative"), "Twitter", network, 1))
			}
			for _, network := range []string{"twitter", "facebook"} {
				w.eventually("linked", func() bool {
					_, err := w.ledger.Find(w.ctx, ledger.Key{Network: network, PostID: "7"})
					return err == nil
				})
			}
			return w.get(to(console.PathPost, "7"))
		}, says: "twitter/7"},
		"post-invalid": {make: func(w *world) answer {
			return link(w, console.NewLink{Event: []byte(`{"post":{}}`), Entity: "incident"})
		}, says: "id"},
		"post-forgotten": {make: func(w *world) answer {
			w.do(ask{method: http.MethodPost, path: console.PathLinks + "?wait=20", body: console.NewLink{Event: []byte(post(8, "neutral")), Entity: "incident"}}).is(http.StatusCreated)
			w.do(ask{method: http.MethodDelete, path: to(console.PathPostLink, "twitter/8")}).is(http.StatusOK)
			return link(w, console.NewLink{Post: "twitter/8", Entity: "incident"})
		}, says: "give the post itself"},
		"no-catalog": {make: func(w *world) answer { return w.get(console.PathCatalog) }, says: "apply", empty: true},
		"no-default": {make: func(w *world) answer {
			w.apply(strings.Replace(plainCatalog, "default: true", "default: false", 1))
			return link(w, console.NewLink{Event: []byte(post(1, "neutral"))})
		}, says: "name the instance"},
		"instance-unknown": {make: func(w *world) answer {
			return link(w, console.NewLink{Event: []byte(post(1, "neutral")), Instance: "nowhere"})
		}, says: "configured: contoso, fabrikam"},
		"instance-disabled": {make: func(w *world) answer {
			w.disable("fabrikam")
			return link(w, console.NewLink{Event: []byte(post(1, "neutral")), Instance: "fabrikam"})
		}, says: "enable it"},
		"instance-down": {make: func(w *world) answer {
			w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultHTML, Path: "EntityDefinitions"})
			return w.get(to(console.PathRecordTypes, "contoso"))
		}, says: "instance contoso"},
		"social-data": {make: func(w *world) answer {
			w.fabrikam.SetSettings(sandbox.Settings{DisableSocialCare: true})
			return link(w, console.NewLink{Event: []byte(post(1, "neutral")), Instance: "fabrikam"})
		}, says: "Dynamics 365 can’t receive social data from postlink"},
		"entity-unknown": {make: func(w *world) answer {
			return link(w, console.NewLink{Event: []byte(post(1, "neutral")), Entity: "lead"})
		}, says: "configured: incident, new_complaint"},
		"entity-unnamed": {make: func(w *world) answer {
			return link(w, console.NewLink{Event: []byte(post(1, "neutral"))})
		}, says: "name the one to make"},
		"entity-unrelated": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPost, path: to(console.PathEntities, "contoso"), body: console.Entity{Name: "new_vehicle"}})
		}, says: "choose from"},
		"field-unknown": {make: func(w *world) answer {
			return w.do(ask{method: http.MethodPut, path: to(console.PathEntityFields, "contoso", "incident"), body: console.Fields{Fields: []string{"title", "mood"}}})
		}, says: "mood"},
		"notes-too-long": {make: func(w *world) answer {
			return link(w, console.NewLink{Event: []byte(post(1, "neutral")), Entity: "incident", Notes: strings.Repeat("😀", payload.MaxNotes/2+1)})
		}, says: fmt.Sprint(payload.MaxNotes)},
		"already-linked": {make: func(w *world) answer {
			w.link(1)
			a := link(w, console.NewLink{Post: "1", Entity: "incident"})
			if p := as[console.Problem](a); p.Link == nil || p.Link.State != "linked" || p.Link.Rule != "complaints" {
				t.Errorf("the answer does not show the link: %s", a.body)
			}
			return a
		}, says: "remove that link first"},
		"not-linked": {make: func(w *world) answer {
			w.publish(post(1, "neutral"))
			return w.get(to(console.PathPostLink, "1"))
		}, says: "is not linked"},
		"not-settled": {make: func(w *world) answer {
			w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultUnavailable, Method: http.MethodPatch})
			w.publish(post(1, "negative"))
			w.reaches(1, ledger.Queued)
			return w.get(to(console.PathPostLink, "1"))
		}, says: "wait until it is linked"},
		"record-gone": {make: func(w *world) answer {
			w.link(1)
			if d := as[console.LinkDetails](w.get(to(console.PathPostLink, "1"))); d.Of != console.OfRecord {
				t.Errorf("details of %s", d.Of)
			}
			for r := range w.contoso.Records("incident") {
				w.contoso.Delete("incident", r.ID)
			}
			return w.get(to(console.PathPostLink, "1"))
		}, says: "the post can be linked again"},
		"dead-letter-absent": {make: func(w *world) answer { return w.get(to(console.PathDeadLetter, "42")) }, says: "no such dead letter"},
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
	w.do(ask{method: http.MethodPost, path: to(console.PathDisableInstance, instance)}).is(http.StatusOK)
	w.catchUp()
}

// catchUp waits until the worker follows the newest catalog.
func (w *world) catchUp() {
	w.t.Helper()
	newest, err := w.store.Current(w.ctx)
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

func TestWhatIsNotKnownIsLoggedAndNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.link(1) // after which the worker writes no more of the state below
	_, err := w.bus.Instances().Put(w.ctx, "fabrikam", []byte("{broken"))
	must(t, err)
	a := w.get(to(console.PathInstance, "fabrikam"))
	p := a.problem(http.StatusInternalServerError, "internal")
	lines := w.logs.FilterMessage("a request failed").All()
	if len(lines) != 1 || lines[0].ContextMap()["request_id"] != p.RequestID || strings.Contains(string(a.body), "fabrikam") {
		t.Errorf("answer %s, log %v", a.body, lines)
	}
}

func TestABodyThatBreaksOffIsMalformed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream(http.MethodPost, console.PathLinks, broken{errors.New("reset by peer")}).problem(http.StatusBadRequest, "malformed-request")
}
