package console

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"postlink/worker"
	"postlink/worker/console/api"
)

// handlers answer the operations of the API, one method each. They are in the files of their resources. All fields are read-only
// once newHandlers returns.
//
// Methods expect the exchange of their request in the context, so they are reached through the gateway only.
type handlers struct {
	*worker.Worker
	opts      Options
	log       *zap.Logger
	mux       *http.ServeMux // has the operations, under the patterns that byPattern has
	huma      huma.API
	byPattern map[string]operation // by method and path, as in "GET /api/v1/rules"; with the defaults of fill
	documents map[string][]byte    // the OpenAPI document, by media type
}

// newHandlers registers all operations. Each is described for huma before, and completed after, because huma makes parts of its
// description from the method's types only when it is registered. The document is written once all of them are known.
func newHandlers(opts Options) (*handlers, error) {
	h := &handlers{Worker: opts.Worker, opts: opts, log: opts.Log.Named("api"), mux: http.NewServeMux(), byPattern: map[string]operation{}}
	h.huma = humago.New(h.mux, h.config())
	for _, op := range operations {
		op.fill()
		h.byPattern[op.method+" "+op.path] = op
		op.handle(h, op, h.describe(op))
		h.complete(op)
	}
	if err := h.writeDocuments(); err != nil {
		return nil, err
	}
	return h, nil
}

// fill sets what an operation leaves out.
func (op *operation) fill() {
	if op.timeout == 0 {
		op.timeout = answerTime
		if op.asks {
			op.timeout = askingTime
		}
	}
	if op.maxBody == 0 {
		op.maxBody = maxBody
	}
	if op.status == 0 {
		op.status = http.StatusOK
	}
}

// refuse turns the error of an operation into the problem that the request is answered with. An error that explain does not
// know is logged, since the answer does not say what it was. Known ones are not: they are the caller's to act on.
func (h *handlers) refuse(ctx context.Context, op operation, err error) error {
	x := exchangeOf(ctx)
	problem, known := explain(ctx, err)
	x.refuse(problem)
	if !known {
		h.log.Error("a request failed", zap.String("request_id", x.id), zap.String("what", op.id), zap.Error(err))
	}
	return refusal{problem}
}

// operation is what a request asks for; false when there is no such address, or not with this method. It asks the mux that will
// serve the request, so that the role that is checked is that of the operation that runs. HEAD is answered like GET.
func (h *handlers) operation(r *http.Request) (operation, bool) {
	_, pattern := h.mux.Handler(r)
	op, ok := h.byPattern[pattern]
	if ok && op.stream && r.Method == http.MethodHead { // the answer would never end
		return operation{}, false
	}
	return op, ok
}

// missing says why there is no operation for a request: 405 with the methods that there are, else 404. Only the mux knows these
// methods, and says them only by answering; so it answers into discarded, and its Allow header is taken over.
func (h *handlers) missing(w http.ResponseWriter, r *http.Request) *api.Problem {
	var probe discarded
	if handler, pattern := h.mux.Handler(r); pattern == "" {
		handler.ServeHTTP(&probe, r)
	}
	if allow := probe.Header().Get("Allow"); probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allow)
		return newProblem(api.KindMethod, r.Method+" is not possible here; possible: "+allow)
	}
	return newProblem(api.KindNotFound, "there is nothing at this address; "+api.PathOpenAPI+".json lists what there is")
}

// discarded takes what a mux answers where it has no handler.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header {
	if d.header == nil {
		d.header = http.Header{}
	}
	return d.header
}
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(status int)      { d.status = status }
