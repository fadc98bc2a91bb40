package console

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/catalog"
)

// Options configure the handler. All of them are needed where nothing else is said.
type Options struct {
	Bus           *bus.Bus
	Catalog       *catalog.Store
	Linker        *worker.Linker
	Reader        *worker.Reader
	Administrator *worker.Administrator
	Journal       *worker.Journal

	Tokens   []Token               // who may do what; none: everybody may do everything, but only from this machine
	Stopping <-chan struct{}       // closed when streams have to end, so that the server can stop; nil: they end with the Journal
	Ready    []Check               // what readiness depends on; may be empty
	Gatherer prometheus.Gatherer   // whose metrics are shown
	Metrics  prometheus.Registerer // where requests are counted
	Log      *zap.Logger
}

func (o *Options) validate() error {
	switch {
	case o.Bus == nil || o.Catalog == nil || o.Linker == nil || o.Reader == nil || o.Administrator == nil || o.Journal == nil:
		return errors.New("make the console: bus, catalog, linker, reader, administrator and journal are needed")
	case o.Gatherer == nil || o.Metrics == nil || o.Log == nil:
		return errors.New("make the console: gatherer, metrics and log are needed")
	}
	return nil
}

// Check is one condition of readiness. Dynamics being up is never one: links wait for it without harm.
type Check struct {
	Name string
	OK   func() bool
}

// New makes the HTTP handler. The error names the option that is missing, or the token that cannot be used.
func New(opts Options) (http.Handler, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	keys, err := newKeyring(opts.Tokens)
	if err != nil {
		return nil, err
	}
	api, err := newAPI(opts)
	if err != nil {
		return nil, err
	}
	mux := health(opts)
	mux.Handle("/", &gateway{api: api, keys: keys, metrics: newMetrics(opts.Metrics), log: opts.Log.Named("http"), audit: opts.Log.Named("audit")})
	return mux, nil
}

func health(opts Options) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", readiness(opts.Ready))
	mux.Handle("GET /metrics", promhttp.HandlerFor(opts.Gatherer, promhttp.HandlerOpts{}))
	return mux
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
