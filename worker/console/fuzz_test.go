package console_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"postlink/worker/console"
	"postlink/worker/console/api"
)

// FuzzAPI sends whatever there is to whatever there is: nothing that a stranger writes may crash the console, make it say
// something that is not an answer, or open it without a token.
func FuzzAPI(f *testing.F) {
	w := newWorld(f)
	w.link(1)
	w.die(2)
	bodies := []string{
		"", "{}", "[]", "null", `{"post":"@1","entity":"incident","notes":"x"}`, `{"event":` + post(9, "neutral") + `,"entity":"incident"}`,
		`{"name":"lead","fields":["subject"]}`, `{"fields":["title"]}`, `{"url":"https://a.crm.dynamics.com","auth":{"kind":"static","token":{"env":"T"}}}`,
		`{"name":"woodgrove","url":"https://w.crm.dynamics.com","auth":{"kind":"client_credentials","tenant":"t","client_id":"c","client_secret":{"file":"f"}}}`,
		plainCatalog, "instances: [{name: &a [*a]}]", "\xff\x00",
	}
	values, queries := []string{"contoso", "1", "@1", "complaints"}, []string{"", "limit=3&cursor=p5", "wait=0&since=2026-01-02", "link=dead&rule=complaints", "a=%zz&%"}
	conditions, callers := []string{"", `"3"`, "*"}, []string{"administrator", "reader", "none", "Bearer x"}
	n := 0
	for _, path := range paths { // each operation once, and each body somewhere
		for _, method := range slices.Sorted(maps.Keys(w.document.Paths[path])) {
			f.Add(strings.ToUpper(method), to(path, values[n%4], "incident"), queries[n%5], bodies[n%len(bodies)], conditions[n%3], callers[n/3%4])
			n++
		}
	}
	for _, body := range bodies {
		f.Add(http.MethodPost, api.PathLinks, "", body, "", "responder")
		f.Add(http.MethodPost, api.PathCatalogPlan, "", body, "", "reader")
	}
	f.Fuzz(func(t *testing.T, method, path, query, body, condition, as string) {
		if !token7230(method) || !strings.HasPrefix(path, "/") {
			t.Skip("no HTTP server lets this through")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", strings.NewReader(body))
		unescaped, err := url.PathUnescape(path)
		if err != nil {
			t.Skip("no HTTP server lets this through")
		}
		r.Method = method
		r.URL = &url.URL{Path: unescaped, RawPath: path, RawQuery: query}
		r.Header.Set("If-Match", condition)
		role, err := console.ParseRole(as)
		switch {
		case err == nil:
			r.Header.Set("Authorization", "Bearer "+token(role))
		case as != "none":
			r.Header.Set("Authorization", as)
		}
		if strings.HasSuffix(unescaped, "/events") { // which has no end
			ended, end := context.WithCancel(ctx)
			end()
			r = r.WithContext(ended)
		}
		recorder := httptest.NewRecorder()
		w.handler.ServeHTTP(recorder, r)
		status, answer := recorder.Code, recorder.Body.String()
		if status >= 500 && status != http.StatusBadGateway && status != http.StatusGatewayTimeout {
			t.Errorf("status %d: %s", status, answer)
		}
		for _, secret := range []string{token(console.Administrator), "goroutine ", ".go:"} {
			if strings.Contains(answer, secret) {
				t.Errorf("the answer holds %q: %s", secret, answer)
			}
		}
		open := strings.HasPrefix(unescaped, api.PathOpenAPI) || unescaped == "/healthz" || unescaped == "/readyz" || unescaped == "/metrics"
		if err != nil && !open && status != http.StatusUnauthorized && status/100 != 3 {
			t.Errorf("without a token: status %d: %s", status, answer)
		}
		if status >= 400 && strings.HasPrefix(unescaped, "/api/") && method != http.MethodHead {
			var p api.Problem
			if err := json.Unmarshal(recorder.Body.Bytes(), &p); err != nil || p.Status != status || !strings.HasPrefix(p.Type, api.ProblemType) {
				t.Errorf("status %d is no problem: %s", status, answer)
			}
		}
	})
}

// token7230 reports whether a method could stand in a request line.
func token7230(s string) bool {
	return s != "" && strings.Trim(strings.ToUpper(s), "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == ""
}
