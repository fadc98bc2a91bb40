package sandbox_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"postlink/dynamics/sandbox"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	root      = "/api/data/v9.2/"
	contactID = "c0000000-0000-4000-8000-000000000001"
	profileID = "50000000-0000-4000-8000-000000000001"
	postID    = "a0000000-0000-4000-8000-000000000001"
	otherID   = "a0000000-0000-4000-8000-000000000002"
	unknownID = "f0000000-0000-4000-8000-00000000000f"

	contact  = "contacts(" + contactID + ")"
	profile  = "socialprofiles(" + profileID + ")"
	activity = "socialactivities(" + postID + ")"
)

// clock is a time that tests move by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 23, 8, 15, 30, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// org is a sandbox with a client that holds a token.
type org struct {
	t *testing.T
	*sandbox.Sandbox
	clock *clock
}

func newOrg(t *testing.T, opts sandbox.Options) *org {
	t.Helper()
	c := newClock()
	opts.Name, opts.Tokens = "contoso", []string{"secret"}
	if opts.Now == nil {
		opts.Now = c.now
	}
	s, err := sandbox.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return &org{t, s, c}
}

type response struct {
	status int
	header http.Header
	body   string
}

// code returns the error code of the usual error document.
func (r response) code() string {
	var doc struct {
		Error struct{ Code, Message string }
	}
	_ = json.Unmarshal([]byte(r.body), &doc)
	return doc.Error.Code
}

func (r response) member(name string) any {
	var doc map[string]any
	_ = json.Unmarshal([]byte(r.body), &doc)
	return doc[name]
}

// do sends a Web API request; headers are names and values in turn.
func (o *org) do(method, path, body string, headers ...string) response {
	return o.send(method, root+path, body, append([]string{"Authorization", "Bearer secret"}, headers...)...)
}

func (o *org) send(method, path, body string, headers ...string) response {
	return serve(o.Sandbox, method, path, body, headers...)
}

func serve(h http.Handler, method, path, body string, headers ...string) response {
	r := httptest.NewRequest(method, "http://crm.test"+strings.ReplaceAll(path, " ", "%20"), strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	data, _ := io.ReadAll(w.Result().Body)
	return response{w.Code, w.Result().Header, string(data)}
}

// must sends a request that has to answer with that status.
func (o *org) must(status int, method, path, body string, headers ...string) response {
	o.t.Helper()
	r := o.do(method, path, body, headers...)
	if r.status != status {
		o.t.Fatalf("%s %s: status %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

// author writes the contact and the profile that activities bind to.
func (o *org) author() {
	o.t.Helper()
	o.must(204, "PATCH", contact, `{"firstname":"Ada","lastname":"Lovelace"}`, "If-None-Match", "*")
	o.must(204, "PATCH", profile, `{"profilename":"ada","profilefullname":"Ada Lovelace","uniqueprofileid":"O'Ada","community":2,`+
		`"customerid_contact@odata.bind":"/`+contact+`"}`, "If-None-Match", "*")
}

const fullActivity = `{"subject":"Lost <bag> & \"more\"","description":"línea\n2","community":2,"postmessagetype":0,"directioncode":false,"sentimentvalue":-1.0,
"posturl":"https://example.test/1","postid":"1234","postedon":"2026-11-23T09:15:30.75+01:00",
"activityadditionalparams":"{\"userPreferredTargetEntity\":\"incident\",\"isRetweet\":false,\"influencescore\":41.0}",
"postfromprofileid@odata.bind":"/` + profile + `","postauthor_contact@odata.bind":"/` + contact + `"}`

// golden compares JSON, indented, with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(got), "", "  "); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	b.WriteByte('\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// server is a handler behind a real connection, for what a recorder cannot show.
type server struct {
	*httptest.Server
	client *http.Client
}

func newServer(t *testing.T, h http.Handler) *server {
	t.Helper()
	s := httptest.NewServer(h)
	s.Config.ErrorLog = nil
	client := s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() {
		client.CloseIdleConnections()
		s.Close()
	})
	return &server{s, client}
}

func (s *server) do(method, path, body string, headers ...string) (response, error) {
	r, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		return response{}, err
	}
	r.Header.Set("Authorization", "Bearer secret")
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return response{resp.StatusCode, resp.Header, string(data)}, err
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
