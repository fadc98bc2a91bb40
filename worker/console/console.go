package console

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"postlink/worker"
)

// Options configure the handler. All of them are needed where nothing else is said.
type Options struct {
	Worker *worker.Worker // what is served; it need not run

	Tokens   []Token               // who may do what; none: every request from this machine may do everything, and no other is answered
	Stopping <-chan struct{}       // closed when streams have to end, so that the server can stop; nil: they end with their requests
	Gatherer prometheus.Gatherer   // whose metrics are shown
	Metrics  prometheus.Registerer // where requests are counted
	Log      *zap.Logger
}

func (o *Options) validate() error {
	if o.Worker == nil || o.Gatherer == nil || o.Metrics == nil || o.Log == nil {
		return errors.New("make the console: worker, gatherer, metrics and log are needed")
	}
	return nil
}

// New makes the HTTP handler, which is safe for concurrent use, and starts nothing. The error names the option that is missing, or
// the token that cannot be used. Metrics may serve one console only: New panics when it has the metrics of another.
//
// The handler answers before the worker runs and after it stopped. Options.Tokens must not be changed any more.
func New(opts Options) (http.Handler, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	keys, err := newKeyring(opts.Tokens)
	if err != nil {
		return nil, err
	}
	h, err := newHandlers(opts)
	if err != nil {
		return nil, err
	}
	mux := health(opts)
	mux.Handle("/", &gateway{bus: opts.Worker.Bus, handlers: h, keys: keys, metrics: newMetrics(opts.Metrics), log: opts.Log.Named("http"), audit: opts.Log.Named("audit")})
	return mux, nil
}

// health serves what orchestrators and Prometheus ask for. It is the outer mux: all other requests go through the gateway.
//
// /healthz says that the process answers, nothing more: a restart helps neither against a NATS nor against an organization that is
// away. /readyz says whether posts are taken, which needs NATS and a catalog.
func health(opts Options) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", readiness(opts.Worker))
	mux.Handle("GET /metrics", promhttp.HandlerFor(opts.Gatherer, promhttp.HandlerOpts{}))
	return mux
}

// readiness answers with every condition by name, and 503 when one of them does not hold. Whether Dynamics answers is none of
// them: links wait for it without harm.
func readiness(worker *worker.Worker) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		status := http.StatusOK
		ready := worker.Ready()
		for _, holds := range ready {
			if !holds {
				status = http.StatusServiceUnavailable
			}
		}
		writeJSON(w, status, ready)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
