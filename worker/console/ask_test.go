package console_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"postlink/worker/console"
	"postlink/worker/console/api"
)

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

func (w *world) send(method, path string, body any) answer {
	w.t.Helper()
	return w.do(ask{method: method, path: path, body: body})
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
func (a answer) problem(status int, kind string) api.Problem {
	a.t.Helper()
	a.is(status)
	p := as[api.Problem](a)
	if p.Type != api.ProblemType+kind || p.Status != status {
		a.t.Fatalf("%s %s: problem %s with status %d, want %s with %d: %s", a.ask.method, a.ask.path, p.Type, p.Status, kind, status, p.Detail)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Errorf("%s %s: a problem of type %s", a.ask.method, a.ask.path, got)
	}
	if a.ask.method == http.MethodGet && strings.Contains(p.Detail, "change") && strings.Contains(p.Detail, "may have been made") {
		a.t.Errorf("GET %s: the answer to a read speaks of a change: %s", a.ask.path, p.Detail)
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
