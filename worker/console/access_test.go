package console_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"

	"postlink/worker/console"
	"postlink/worker/console/api"
)

// roleCase is an operation with the least role that may ask for it.
type roleCase struct {
	method, path string
	body         any
	role         console.Role
	status       int // of the answer to it
}

// roleCases are all operations but the stream of events, in an order in which they can be done.
func roleCases(redriven, dropped string) []roleCase {
	auth := api.Auth{Kind: "static", Token: api.Secret{Env: "TOKEN"}}
	return []roleCase{
		{"GET", api.PathInstances, nil, console.Reader, 200},
		{"GET", to(api.PathInstance, "contoso"), nil, console.Reader, 200},
		{"GET", to(api.PathRecordTypes, "contoso"), nil, console.Reader, 200},
		{"GET", to(api.PathRecordTypeFields, "contoso", "lead"), nil, console.Reader, 200},
		{"GET", to(api.PathEntities, "contoso"), nil, console.Reader, 200},
		{"GET", api.PathRules, nil, console.Reader, 200},
		{"GET", to(api.PathRule, "complaints"), nil, console.Reader, 200},
		{"GET", api.PathPosts, nil, console.Reader, 200},
		{"GET", to(api.PathPost, name(1)), nil, console.Reader, 200},
		{"GET", to(api.PathPostLink, name(1)), nil, console.Reader, 200},
		{"GET", to(api.PathLinkURL, name(1)), nil, console.Reader, 200},
		{"GET", api.PathLinks, nil, console.Reader, 200},
		{"GET", to(api.PathLink, name(1)), nil, console.Reader, 200},
		{"GET", api.PathDead, nil, console.Reader, 200},
		{"GET", api.PathDeadCount, nil, console.Reader, 200},
		{"GET", to(api.PathDeadLetter, redriven), nil, console.Reader, 200},
		{"GET", api.PathCatalog, nil, console.Reader, 200},
		{"GET", api.PathCatalogHistory, nil, console.Reader, 200},
		{"GET", api.PathCatalogExport, nil, console.Reader, 200},
		{"POST", api.PathCatalogPlan, plainCatalog, console.Reader, 200},

		{"POST", api.PathLinks + "?wait=20", api.NewLink{Post: "4", Entity: "incident"}, console.Responder, 201},

		{"DELETE", to(api.PathPostLink, name(2)), nil, console.Manager, 200},
		{"POST", to(api.PathRedriveLetter, redriven), nil, console.Manager, 200},

		{"DELETE", to(api.PathDeadLetter, dropped), nil, console.Administrator, 204},
		{"POST", api.PathInstances, api.NewInstance{Name: "woodgrove", URL: "https://woodgrove.crm.dynamics.com", Auth: auth}, console.Administrator, 201},
		{"PATCH", to(api.PathInstance, "woodgrove"), api.InstanceChange{URL: "https://wood.crm.dynamics.com"}, console.Administrator, 200},
		{"POST", to(api.PathDisableInstance, "woodgrove"), nil, console.Administrator, 200},
		{"POST", to(api.PathEnableInstance, "woodgrove"), nil, console.Administrator, 200},
		{"POST", to(api.PathDefaultInstance, "woodgrove"), nil, console.Administrator, 200},
		{"DELETE", to(api.PathInstance, "woodgrove"), nil, console.Administrator, 204},
		{"POST", to(api.PathRefreshInstance, "contoso"), nil, console.Administrator, 200},
		{"POST", to(api.PathEntities, "contoso"), api.Entity{Name: "lead"}, console.Administrator, 201},
		{"PUT", to(api.PathEntityFields, "contoso", "lead"), api.Fields{Fields: []string{"fullname"}}, console.Administrator, 200},
		{"DELETE", to(api.PathEntity, "contoso", "lead"), nil, console.Administrator, 204},
		{"POST", to(api.PathActivateRule, "sleeping / rule"), nil, console.Administrator, 200},
		{"POST", to(api.PathDeactivateRule, "sleeping / rule"), nil, console.Administrator, 200},
		{"PUT", api.PathCatalog, plainCatalog, console.Administrator, 200},
	}
}

// TestEveryRoleMayDoWhatIsItsToDo asks for everything in everybody's name. Cases run in order, in one world.
func TestEveryRoleMayDoWhatIsItsToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for id := 1; id <= 3; id++ {
		w.link(id)
	}
	w.publish(post(4, "neutral"))
	redriven, dropped := fmt.Sprint(w.die(5)), fmt.Sprint(w.die(6))
	tried := map[string]bool{"GET " + api.PathEvents: true} // has its own test
	for _, c := range roleCases(redriven, dropped) {
		r := ask{method: c.method, path: c.path, body: c.body}
		for pattern, methods := range w.document.Paths {
			path, _, _ := strings.Cut(c.path, "?")
			if op, ok := methods[strings.ToLower(c.method)]; ok && fits(pattern, path) && (pattern == path || w.document.Paths[path] == nil) {
				tried[c.method+" "+pattern] = true
				if !strings.Contains(op.Description, c.role.String()) {
					t.Errorf("%s %s: the document says %q of the role", c.method, pattern, op.Description)
				}
			}
		}
		r.anonymous = true
		if got := w.do(r); got.problem(http.StatusUnauthorized, "unauthenticated").Rules != nil || got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s: no challenge: %v", c.method, c.path, got.header)
		}
		r.anonymous = false
		for r.role = console.Reader; r.role < c.role; r.role++ {
			w.do(r).problem(http.StatusForbidden, "forbidden")
		}
		w.do(r).is(c.status)
		for r.role++; r.role <= console.Administrator; r.role++ {
			if got := w.do(r); got.status == http.StatusUnauthorized || got.status == http.StatusForbidden {
				t.Errorf("%s %s: %s was refused: %d", c.method, c.path, r.role, got.status)
			}
		}
	}
	for pattern, methods := range w.document.Paths {
		for method := range methods {
			if op := strings.ToUpper(method) + " " + pattern; !tried[op] && !strings.HasPrefix(pattern, api.PathOpenAPI) {
				t.Errorf("%s was not tried in every role", op)
			}
		}
	}
}

// fits reports whether a path is one of a pattern.
func fits(pattern, path string) bool {
	p, q := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(p) != len(q) {
		return false
	}
	for i := range p {
		if !strings.HasPrefix(p[i], "{") && p[i] != q[i] {
			return false
		}
	}
	return true
}

func TestATokenThatIsNotKnownIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for about, header := range map[string]string{
		"another token":       "Bearer something else",
		"another scheme":      "Basic " + token(console.Administrator),
		"no scheme":           token(console.Administrator),
		"an empty token":      "Bearer ",
		"the hash of a token": fmt.Sprintf("Bearer %x", sha256.Sum256([]byte(token(console.Administrator)))),
		"a part of a token":   "Bearer " + token(console.Administrator)[:10],
	} {
		got := w.do(ask{method: http.MethodGet, path: api.PathInstances, header: http.Header{"Authorization": {header}}})
		if got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", about, got.status)
		}
	}
	w.do(ask{method: http.MethodGet, path: api.PathInstances, header: http.Header{"Authorization": {"bearer  " + token(console.Reader)}}}).is(http.StatusOK)
	w.do(ask{method: http.MethodGet, path: api.PathInstances, header: http.Header{"Origin": {"https://elsewhere.example"}}}).is(http.StatusOK)
}

func TestWithoutTokensOnlyThisMachineIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *console.Options) { o.Tokens = nil })
	cases := map[string]struct {
		host, origin string
		status       int
	}{
		"by its name":                     {"localhost:8080", "", 200},
		"by its address":                  {"127.0.0.1:8080", "", 200},
		"by its IPv6 address":             {"[::1]:8080", "", 200},
		"by an IPv6 address without port": {"[::1]", "", 200},
		"from its own page":               {"localhost:8080", "http://localhost:8080", 200},
		"by a name that was bound to it":  {"attacker.example", "", 403},
		"by a name that begins alike":     {"localhost.attacker.example:8080", "", 403},
		"by its address in the network":   {"192.168.1.4:8080", "", 403},
		"from a page of another site":     {"localhost:8080", "https://attacker.example", 403},
		"from another port":               {"localhost:8080", "http://localhost:3000", 403},
		"from a page without a site":      {"localhost:8080", "null", 403},
		"without a host":                  {" ", "", 403},
	}
	for about, c := range cases {
		header := http.Header{"Host": {c.host}}
		if c.origin != "" {
			header.Set("Origin", c.origin)
		}
		got := w.do(ask{method: http.MethodGet, path: api.PathInstances, anonymous: true, header: header})
		if got.status != c.status {
			t.Errorf("%s: %d, want %d", about, got.status, c.status)
		}
		if c.status == http.StatusForbidden {
			got.problem(c.status, "foreign-request")
		}
	}
	w.do(ask{method: http.MethodPost, path: to(api.PathDeactivateRule, "complaints"), anonymous: true, header: http.Header{"Host": {"localhost"}}}).is(http.StatusOK)
	if history := as[api.List[api.Revision]](w.do(ask{method: http.MethodGet, path: api.PathCatalogHistory, anonymous: true, header: http.Header{"Host": {"localhost"}}})); history.Items[0].Author != "local" {
		t.Errorf("author %q", history.Items[0].Author)
	}
}

func TestEveryChangeLeavesALineInTheAuditLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(ask{method: http.MethodPost, path: to(api.PathDeactivateRule, "complaints")}).is(http.StatusOK)
	w.do(ask{method: http.MethodPost, path: to(api.PathDeactivateRule, "complaints"), role: console.Manager}).is(http.StatusForbidden)
	w.do(ask{method: http.MethodPost, path: to(api.PathDeactivateRule, "no such"), anonymous: true}).is(http.StatusUnauthorized)
	w.do(ask{method: http.MethodPost, path: to(api.PathDeactivateRule, "no such")}).is(http.StatusNotFound)
	w.get(api.PathRules).is(http.StatusOK)
	w.do(ask{method: http.MethodPost, path: api.PathCatalogPlan, body: plainCatalog, role: console.Reader}).is(http.StatusOK)
	var got []string
	for _, line := range w.logs.FilterMessage("change").All() {
		f := line.ContextMap()
		if line.LoggerName != "audit" || line.Level != zapcore.InfoLevel || f["from"] != "192.0.2.7" || f["request_id"] == "" {
			t.Errorf("line %+v %v", line.Entry, f)
		}
		got = append(got, fmt.Sprintf("%v %v %v %v", f["who"], f["what"], f["path"], f["outcome"]))
	}
	want := []string{
		"administrator@example.com deactivate-rule /api/v1/rules/complaints/deactivate done",
		"manager@example.com deactivate-rule /api/v1/rules/complaints/deactivate forbidden",
		" deactivate-rule /api/v1/rules/no%20such/deactivate unauthenticated",
		"administrator@example.com deactivate-rule /api/v1/rules/no%20such/deactivate rule-unknown",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("audit:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, line := range w.logs.All() {
		if strings.Contains(fmt.Sprint(line.ContextMap()), "secret of") {
			t.Errorf("a token is in the log: %v", line.ContextMap())
		}
	}
}

func TestTokensAreReadFromTheConfiguration(t *testing.T) {
	t.Parallel()
	hash := sha256.Sum256([]byte("x"))
	good, err := console.ParseToken("ann@example.com", "manager", hex.EncodeToString(hash[:])+"\n")
	if err != nil || good != (console.Token{Name: "ann@example.com", Role: console.Manager, Hash: hash}) {
		t.Errorf("%+v, %v", good, err)
	}
	cases := map[string]struct{ name, role, hash, want string }{
		"no name":            {"", "reader", hex.EncodeToString(hash[:]), "token name"},
		"a name with blanks": {"ann b", "reader", hex.EncodeToString(hash[:]), "token name"},
		"an unknown role":    {"ann", "owner", hex.EncodeToString(hash[:]), "reader, responder, manager, administrator"},
		"no hash":            {"ann", "reader", "", "sha256sum"},
		"the token itself":   {"ann", "reader", "my token", "sha256sum"},
		"a short hash":       {"ann", "reader", "abcd", "sha256sum"},
	}
	for about, c := range cases {
		if _, err := console.ParseToken(c.name, c.role, c.hash); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", about, err)
		} else if c.hash != "" && strings.Contains(err.Error(), c.hash) {
			t.Errorf("%s: the error repeats the hash: %v", about, err)
		}
	}
	if console.Protected(nil) || !console.Protected([]console.Token{good}) {
		t.Error("only a console with tokens may be reached from elsewhere")
	}
	if got := console.Role(9).String(); got != "role 9" {
		t.Errorf("an unknown role is %q", got)
	}
}

func TestAConsoleIsNotMadeWithTokensThatCannotBeDistinguished(t *testing.T) {
	t.Parallel()
	one := console.Token{Name: "ann", Role: console.Reader, Hash: sha256.Sum256([]byte("x"))}
	cases := map[string]struct {
		second console.Token
		want   string
	}{
		"the same name":  {console.Token{Name: "ann", Role: console.Reader, Hash: sha256.Sum256([]byte("y"))}, "two tokens are named ann"},
		"the same token": {console.Token{Name: "bob", Role: console.Reader, Hash: one.Hash}, "the same token"},
		"no name":        {console.Token{Role: console.Reader, Hash: sha256.Sum256([]byte("y"))}, "no name"},
		"no role":        {console.Token{Name: "bob", Hash: sha256.Sum256([]byte("y"))}, "no role"},
		"no token":       {console.Token{Name: "bob", Role: console.Reader}, "empty"},
		"an empty token": {console.Token{Name: "bob", Role: console.Reader, Hash: sha256.Sum256(nil)}, "empty"},
	}
	w := newQuietWorld(t)
	for about, c := range cases {
		opts := w.opts
		opts.Tokens = []console.Token{one, c.second}
		if _, err := console.New(opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", about, err)
		}
	}
	for about, take := range map[string]func(*console.Options){
		"worker":  func(o *console.Options) { o.Worker = nil },
		"metrics": func(o *console.Options) { o.Metrics = nil },
		"log":     func(o *console.Options) { o.Log = nil },
	} {
		opts := w.opts
		take(&opts)
		if _, err := console.New(opts); err == nil || !strings.Contains(err.Error(), about) {
			t.Errorf("without %s: %v", about, err)
		}
	}
}
