package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/worker/console/api"
)

func TestHealthReadinessAndMetricsNeedNoToken(t *testing.T) {
	t.Parallel()
	w := newQuietWorld(t)
	plain := func(path string) (int, string) {
		r := w.bare(http.MethodGet, path)
		return r.status, string(r.body)
	}
	if status, body := plain("/healthz"); status != http.StatusOK || body != "{\"status\":\"ok\"}\n" {
		t.Errorf("health: %d %s", status, body)
	}
	if status, body := plain("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"catalog":false`) || !strings.Contains(body, `"nats":true`) {
		t.Errorf("before the first catalog: %d %s", status, body)
	}
	w.apply(plainCatalog)
	w.eventually("the worker is ready", func() bool {
		status, _ := plain("/readyz")
		return status == http.StatusOK
	})
	w.get(api.PathRules).is(http.StatusOK)
	w.get(to(api.PathRule, "nobody")).is(http.StatusNotFound)
	w.get("/api/v1/tweets").is(http.StatusNotFound)
	_, metrics := plain("/metrics")
	var got []string
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "postlink_http_requests_total") && !strings.Contains(line, "openapi") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		`postlink_http_requests_total{route="GET /api/v1/rules",status="2xx"} 1`,
		`postlink_http_requests_total{route="GET /api/v1/rules/{rule}",status="4xx"} 1`,
		`postlink_http_requests_total{route="none",status="4xx"} 1`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
