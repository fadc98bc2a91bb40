package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"postlink/worker/console/api"
)

// Who talks to the API of every world.
const (
	administratorName  = "ann@example.com"
	administratorToken = "the secret of ann"
)

func administratorHash() string {
	sum := sha256.Sum256([]byte(administratorToken))
	return hex.EncodeToString(sum[:])
}

// answer is what came back from the API.
type answer struct {
	t      *testing.T
	asked  string
	status int
	body   []byte
}

// do asks the API as its administrator.
func (s site) do(method, path string, body any) answer {
	s.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + administratorToken}}
	status, text := s.send(header, method, s.apiURL(s.t)+path, body)
	return answer{s.t, method + " " + path, status, text}
}

// is fails the test when the answer has another status.
func (a answer) is(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d: %s", a.asked, a.status, status, a.body)
	}
	return a
}

func (a answer) problem() (p api.Problem) {
	a.t.Helper()
	if a.status >= http.StatusBadRequest {
		p = as[api.Problem](a)
	}
	return p
}

// refused fails the test when the answer is not that problem.
func (a answer) refused(status int, kind string) api.Problem {
	a.t.Helper()
	p := a.is(status).problem()
	if p.Type != api.ProblemType+kind {
		a.t.Fatalf("%s: problem %s, want %s: %s", a.asked, p.Type, kind, p.Detail)
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
		a.t.Fatalf("%s: %v: %s", a.asked, err, a.body)
	}
	return v
}

// to fills the parameters of a path.
func to(pattern string, values ...string) string {
	for _, v := range values {
		before, rest, _ := strings.Cut(pattern, "{")
		_, after, _ := strings.Cut(rest, "}")
		pattern = before + url.PathEscape(v) + after
	}
	return pattern
}

// send makes one request, also after the test's context has ended, and returns the status and the body of the answer.
func (s site) send(header http.Header, method, address string, body any) (int, []byte) {
	s.t.Helper()
	var content io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case string:
		content, kind = strings.NewReader(b), "application/yaml"
	default:
		text, err := json.Marshal(b)
		must(s.t, err)
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(s.t.Context()), method, address, content)
	must(s.t, err)
	maps.Copy(req.Header, header)
	if content != nil {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(s.t, err)
	return resp.StatusCode, text
}
