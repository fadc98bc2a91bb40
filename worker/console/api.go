package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/danielgtaylor/huma/v2/sse"
	"go.uber.org/zap"
)

// anybody is the role of what needs none.
const anybody Role = 0

// operation is one thing that can be asked of the API.
type operation struct {
	id      string // names it in the document and in the audit
	method  string
	path    string
	summary string
	role    Role
	change  bool // it changes something, and is written down
	status  int  // of success; 200 when 0
	maxBody int64
	timeout time.Duration // from the end of the request on
	stream  bool          // it has no end of its own
}

// api is the operations with the OpenAPI document that describes them.
type api struct {
	opts       Options
	log        *zap.Logger
	mux        *http.ServeMux
	huma       huma.API
	operations map[string]operation // by pattern
}

func newAPI(opts Options) (*api, error) {
	a := &api{opts: opts, log: opts.Log.Named("api"), mux: http.NewServeMux(), operations: map[string]operation{}}
	config := huma.DefaultConfig("postlink", "1")
	config.Info.Description = "Links social posts to records of Dynamics 365. Problems are as RFC 9457 has them, with a stable type. " +
		"Changes of the catalog take If-Match and answer with an ETag, the number of the revision."
	// The document is served below, made once; there are no pages.
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	config.Transformers = []huma.Transformer{func(ctx huma.Context, _ string, v any) (any, error) {
		model, ok := v.(*huma.ErrorModel)
		if !ok {
			return v, nil
		}
		problem := restate(model)
		exchangeOf(ctx.Context()).refuse(problem)
		return problem, nil
	}}
	a.huma = humago.New(a.mux, config)
	a.instances()
	a.entities()
	a.rules()
	a.posts()
	a.links()
	a.dead()
	a.catalog()
	a.events()
	if err := a.document(); err != nil {
		return nil, err
	}
	return a, nil
}

// register adds an operation that is answered by handle.
func register[I, O any](a *api, op operation, handle func(ctx context.Context, by caller, in *I) (*O, error)) {
	huma.Register(a.huma, a.describe(op), func(ctx context.Context, in *I) (*O, error) {
		x := exchangeOf(ctx)
		out, err := handle(ctx, x.caller, in)
		if err == nil {
			return out, nil
		}
		problem, known := explain(err)
		x.refuse(problem)
		if !known {
			a.log.Error("a request failed", zap.String("request_id", x.id), zap.String("what", op.id), zap.Error(err))
		}
		return nil, problem
	})
}

// stream adds an operation that answers with server-sent events, by the names in kinds.
func stream[I any](a *api, op operation, kinds map[string]any, handle func(ctx context.Context, in *I, send sse.Sender)) {
	op.stream = true
	sse.Register(a.huma, a.describe(op), kinds, handle)
}

// describe takes an operation into the table, and gives huma its view of it.
func (a *api) describe(op operation) huma.Operation {
	if op.timeout == 0 {
		op.timeout = answerTime
	}
	if op.maxBody == 0 {
		op.maxBody = maxBody
	}
	a.operations[op.method+" "+op.path] = op
	described := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Summary: op.summary, DefaultStatus: op.status,
		Tags:            []string{strings.Split(strings.TrimPrefix(op.path, "/api/v1/"), "/")[0]},
		MaxBodyBytes:    -1, // the gateway reads bodies
		BodyReadTimeout: -1,
		Responses: map[string]*huma.Response{"default": {
			Description: "Problem",
			Content: map[string]*huma.MediaType{"application/problem+json": {
				Schema: a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, ""),
			}},
		}},
	}
	if op.role != anybody {
		described.Description = "Takes the role " + op.role.String() + "."
		described.Security = []map[string][]string{{"token": {}}}
	}
	return described
}

// document serves the OpenAPI document.
func (a *api) document() error {
	forms := []struct {
		suffix, mediaType string
		encode            func() ([]byte, error)
	}{
		{".json", "application/openapi+json", func() ([]byte, error) { return json.MarshalIndent(a.huma.OpenAPI(), "", "  ") }},
		{".yaml", "application/openapi+yaml", a.huma.OpenAPI().YAML},
	}
	type document struct {
		ContentType string `header:"Content-Type"`
		Body        []byte
	}
	texts := make([][]byte, len(forms))
	for i, f := range forms {
		register(a, operation{
			id: "show-openapi-" + f.suffix[1:], method: http.MethodGet, path: PathOpenAPI + f.suffix, role: anybody,
			summary: "Show this document",
		}, func(context.Context, caller, *struct{}) (*document, error) {
			return &document{f.mediaType, texts[i]}, nil
		})
		a.produces(PathOpenAPI+f.suffix, f.mediaType)
	}
	schemas := a.huma.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel") // huma's own, which never leaves us
	delete(schemas, "ErrorDetail")
	for i, f := range forms {
		var err error
		if texts[i], err = f.encode(); err != nil {
			return fmt.Errorf("make the OpenAPI document: %w", err)
		}
	}
	return nil
}

// produces says in the document that a path is answered with text of a media type.
func (a *api) produces(path, mediaType string) {
	a.huma.OpenAPI().Paths[path].Get.Responses["200"].Content = map[string]*huma.MediaType{
		mediaType: {Schema: &huma.Schema{Type: huma.TypeString}},
	}
}

// operation is what a request asks for.
func (a *api) operation(r *http.Request) (operation, bool) {
	_, pattern := a.mux.Handler(r)
	op, ok := a.operations[pattern]
	if ok && op.stream && r.Method == http.MethodHead { // it would never end
		return operation{}, false
	}
	return op, ok
}

// missing says why there is no operation for a request.
func (a *api) missing(w http.ResponseWriter, r *http.Request) *Problem {
	var probe refusal
	if handler, pattern := a.mux.Handler(r); pattern == "" {
		handler.ServeHTTP(&probe, r)
	}
	if allow := probe.Header().Get("Allow"); probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allow)
		return newProblem(kindMethod, r.Method+" is not possible here; possible: "+allow)
	}
	return newProblem(kindNotFound, "there is nothing at this address; "+PathOpenAPI+".json lists what there is")
}

// refusal takes what a mux answers where it has no handler.
type refusal struct {
	header http.Header
	status int
}

func (r *refusal) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}
func (r *refusal) Write(p []byte) (int, error) { return len(p), nil }
func (r *refusal) WriteHeader(status int)      { r.status = status }

func megabytes(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }

// body is an answer.
type body[T any] struct {
	Body T
}

// tagged is an answer that tells the catalog's revision.
type tagged[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

// done is an answer without a body that tells the catalog's revision.
type done struct {
	ETag string `header:"ETag"`
}

func listed[T any](items []T, next uint64) *body[Page[T]] {
	page := &body[Page[T]]{Body: Page[T]{Items: items}}
	if page.Body.Items == nil {
		page.Body.Items = []T{}
	}
	if next != 0 {
		page.Body.NextCursor = fmt.Sprint(next)
	}
	return page
}

func all[T any](items []T) List[T] {
	if items == nil {
		items = []T{}
	}
	return List[T]{items}
}
