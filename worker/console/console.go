package console

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options configure the handler.
type Options struct {
	Ready    []Check             // what readiness depends on
	Gatherer prometheus.Gatherer // whose metrics are shown
}

// Check is one condition of readiness. Dynamics being up is never one: links wait for it without harm.
type Check struct {
	Name string
	OK   func() bool
}

// New makes the HTTP handler.
func New(opts Options) (http.Handler, error) {
	if opts.Gatherer == nil {
		return nil, errors.New("make the console: a gatherer of metrics is needed")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", readiness(opts.Ready))
	mux.Handle("GET /metrics", promhttp.HandlerFor(opts.Gatherer, promhttp.HandlerOpts{}))
	return mux, nil
}

func readiness(checks []Check) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		status := http.StatusOK
		answer := make(map[string]bool, len(checks))
		for _, c := range checks {
			ok := c.OK()
			answer[c.Name] = ok
			if !ok {
				status = http.StatusServiceUnavailable
			}
		}
		writeJSON(w, status, answer)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
