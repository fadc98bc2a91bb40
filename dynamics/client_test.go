package dynamics_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"postlink/dynamics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// received is a request as an instance got it.
type received struct {
	Method string
	URI    string // under /api/data/v9.2/
	Header http.Header
	Body   string
}

// instance is a web server that plays an instance, or whatever else is found at its address.
type instance struct {
	*httptest.Server
	mu   sync.Mutex
	seen []received
}

// play starts a server that records requests before it answers them.
func play(t *testing.T, answer http.HandlerFunc) *instance {
	t.Helper()
	i := &instance{}
	i.Server = httptest.NewUnstartedServer(i.record(answer))
	i.Config.ErrorLog = nil
	i.Start()
	t.Cleanup(i.Close)
	return i
}

func (i *instance) record(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		i.mu.Lock()
		i.seen = append(i.seen, received{r.Method, strings.TrimPrefix(r.RequestURI, "/api/data/v9.2/"), r.Header.Clone(), string(body)})
		i.mu.Unlock()
		answer(w, r)
	}
}

func (i *instance) requests() []received {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]received(nil), i.seen...)
}

// calls are the requests in short: "PATCH contacts".
func (i *instance) calls() []string {
	var calls []string
	for _, r := range i.requests() {
		set, _, _ := strings.Cut(r.URI, "?")
		set, _, _ = strings.Cut(set, "(")
		calls = append(calls, r.Method+" "+set)
	}
	return calls
}

// newClient makes a client of what listens at url.
func newClient(t *testing.T, url string, change ...func(*dynamics.Options)) *dynamics.Client {
	t.Helper()
	o := dynamics.Options{
		Instance: dynamics.Instance{Name: "contoso", URL: url},
		Tokens:   dynamics.StaticToken("secret-token"),
	}
	for _, f := range change {
		f(&o)
	}
	c, err := dynamics.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// answer writes a whole answer.
func answer(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func answerJSON(w http.ResponseWriter, status int, body string) {
	answer(w, status, "application/json; odata.metadata=minimal", body)
}

const page = "<!DOCTYPE html><html><body>please wait</body></html>"

// anonymous is an activity without author: one request.
func anonymous() dynamics.Activity {
	return dynamics.Activity{ID: uuid.MustParse("11111111-1111-5111-8111-111111111111"), Network: "twitter"}
}

func TestARequestCarriesTheHeadersOfTheWebAPI(t *testing.T) {
	t.Parallel()
	i := play(t, func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "ARRAffinity", Value: "one-server"})
		w.WriteHeader(204)
	})
	c := newClient(t, i.URL)
	for range 2 {
		if err := c.Create(t.Context(), anonymous()); err != nil {
			t.Fatal(err)
		}
	}
	first, second := i.requests()[0], i.requests()[1]
	want := map[string]string{
		"Authorization": "Bearer secret-token", "Accept": "application/json", "OData-MaxVersion": "4.0", "OData-Version": "4.0",
		"If-None-Match": "*", "Content-Type": "application/json; charset=utf-8", "User-Agent": "postlink",
		"Cookie": "", "If-Match": "", "Prefer": "", "Consistency": "",
	}
	for name, value := range want {
		if got := second.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	a, b := first.Header.Get("x-ms-client-request-id"), second.Header.Get("x-ms-client-request-id")
	if uuid.Validate(a) != nil || uuid.Validate(b) != nil || a == b {
		t.Errorf("request ids %q and %q are not two GUIDs", a, b)
	}
	if want := "socialactivities(11111111-1111-5111-8111-111111111111)"; first.Method != "PATCH" || first.URI != want {
		t.Errorf("%s %s, want PATCH %s", first.Method, first.URI, want)
	}
}

func TestOneConnectionServesManyRequests(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	i := &instance{}
	n := 0
	i.Server = httptest.NewUnstartedServer(i.record(func(w http.ResponseWriter, _ *http.Request) {
		switch n++; n % 4 {
		case 0:
			w.WriteHeader(204)
		case 1:
			answerJSON(w, 400, `{"error":{"code":"0x80048d19","message":"`+strings.Repeat("x", 30<<10)+`"}}`)
		case 2:
			w.Header().Set("Location", "/login")
			answer(w, 302, "text/html", page)
		case 3:
			answer(w, 503, "text/html", page)
		}
	}))
	i.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	i.Start()
	t.Cleanup(i.Close)
	c := newClient(t, i.URL)
	for range 20 {
		_ = c.Create(t.Context(), anonymous()) // what it answers is another test's matter
	}
	if got := connections.Load(); got != 1 || len(i.requests()) != 20 {
		t.Errorf("%d connections for %d requests, want 1 for 20", got, len(i.requests()))
	}
}

func TestAnInstanceMayLiveUnderAPath(t *testing.T) {
	t.Parallel()
	i := play(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	for _, url := range []string{i.URL + "/contoso", i.URL + "/contoso/"} {
		c := newClient(t, url)
		if err := c.Create(t.Context(), anonymous()); err != nil {
			t.Fatal(err)
		}
		r := i.requests()
		if want := "/contoso/api/data/v9.2/socialactivities(" + anonymous().ID.String() + ")"; r[len(r)-1].URI != want {
			t.Errorf("URI %s, want %s", r[len(r)-1].URI, want)
		}
		if got, want := c.RecordURL("incident", anonymous().ID), i.URL+"/contoso/main.aspx?etn=incident&pagetype=entityrecord&id=%7B"+anonymous().ID.String()+"%7D"; got != want {
			t.Errorf("record URL %s, want %s", got, want)
		}
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*dynamics.Options)
		want   string
	}{
		"no name":            {func(o *dynamics.Options) { o.Instance.Name = "" }, "no name"},
		"no URL":             {func(o *dynamics.Options) { o.Instance.URL = "" }, "not that of a web server"},
		"a URL of no web":    {func(o *dynamics.Options) { o.Instance.URL = "ftp://x" }, "not that of a web server"},
		"a URL that is none": {func(o *dynamics.Options) { o.Instance.URL = "http://[" }, "url"},
		"a URL with a query": {func(o *dynamics.Options) { o.Instance.URL = "https://x/?a=b" }, "leave user, query and fragment out"},
		"a password":         {func(o *dynamics.Options) { o.Instance.URL = "https://u:hunter2@x" }, "leave user, query and fragment out"},
		"no tokens":          {func(o *dynamics.Options) { o.Tokens = nil }, "no source of tokens"},
		"a negative timeout": {func(o *dynamics.Options) { o.Timeout = -1 }, "cannot be negative"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := dynamics.Options{Instance: dynamics.Instance{Name: "contoso", URL: "https://contoso.crm.dynamics.com"}, Tokens: dynamics.StaticToken("t")}
			tt.change(&o)
			_, err := dynamics.New(o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestAnInstanceKnowsItsEntities(t *testing.T) {
	t.Parallel()
	i := dynamics.Instance{Entities: []dynamics.Entity{{Name: "lead"}, {Name: "incident", Fields: []string{"title"}}}}
	if e, ok := i.Entity("incident"); !ok || len(e.Fields) != 1 {
		t.Errorf("incident: %+v, %v", e, ok)
	}
	if _, ok := i.Entity("Incident"); ok {
		t.Error("a name of another case is found")
	}
}
