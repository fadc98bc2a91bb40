package console

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"postlink/worker/bus"
	"postlink/worker/console/api"
)

const (
	maxBody        = 1 << 20          // bytes of a request
	maxCatalogBody = 64 << 20         // bytes of a whole catalog
	bodyTime       = 20 * time.Second // for a request's body to arrive
	answerTime     = 30 * time.Second // for a request to be answered
	askingTime     = time.Minute      // likewise, when Dynamics has to be asked
	catalogTime    = 2 * time.Minute  // for a whole catalog
	writeTime      = 30 * time.Second // for an answer to travel, on top
)

// exchange is one request as it goes through the gateway. It travels in the request's context, because huma calls the operations
// and has no other way to hand it on. Only the goroutine of the request writes it.
type exchange struct {
	id      string
	caller  caller
	op      operation    // the zero operation when there is none at the address
	problem *api.Problem // of the answer; nil when it was not refused
}

type exchangeKey struct{}

// exchangeOf is the exchange of a request under way. Each request that reaches an operation has one; nil elsewhere.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// gateway is what every request to the API goes through. It gives the request an id, decides whether it may be made, bounds its
// size and time, ends it when NATS is lost, counts it, and writes changes to the audit log. It is read-only once made, and knows
// no operation by name: what differs between them stands in their entries of operations.
type gateway struct {
	bus      *bus.Bus
	handlers *handlers
	keys     *keyring
	metrics  *metrics
	log      *zap.Logger
	audit    *zap.Logger
}

// ServeHTTP does around a request what is done whatever becomes of it. The id is our own: one that a client sends could imitate
// that of another request in the log. Answers hold private data and are never to be stored by a cache.
//
// The deferred function runs also after a panic, so that a change that crashed is counted and is in the audit log. A change that
// is refused for its token is there too, without a name.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	x := &exchange{id: rand.Text()}
	answer := &answer{ResponseWriter: w}
	header := w.Header()
	header.Set("X-Request-Id", x.id)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")

	op, found := g.handlers.operation(r)
	route := "none"
	if found {
		route = op.method + " " + op.path
		x.op = op
	}
	defer func() {
		begun := false
		if crash := recover(); crash != nil {
			begun = g.crashed(answer, x, route, crash)
		}
		g.metrics.count(route, answer.code(), time.Since(began), op.stream)
		if op.change {
			g.note(x, op, r, answer.code())
		}
		if begun {
			panic(http.ErrAbortHandler) // breaks the connection off, so that half an answer does not look whole
		}
	}()
	if problem := g.serve(answer, r, x, op, found); problem != nil {
		x.refuse(problem)
		writeProblem(answer, problem)
	}
}

// serve answers a request, or says why it is refused. The order matters. The caller comes first, so that without a token nobody
// learns which addresses there are, or makes us read a body; only operations for anybody pass. The body is read before the time
// limit begins, which is for the operation alone. NATS comes last: what is wrong with caller, address or body is said without it.
//
// The deadline for writing the answer is set on the connection, anew for each request: the server has none of its own, since
// streams go on for days.
func (g *gateway) serve(w http.ResponseWriter, r *http.Request, x *exchange, op operation, found bool) *api.Problem {
	var problem *api.Problem
	if x.caller, problem = g.keys.admit(r); problem != nil && (!found || op.role != anybody) {
		return problem
	}
	if !found {
		return g.handlers.missing(w, r)
	}
	if x.caller.role < op.role {
		return newProblem(api.KindForbidden, "this takes the role "+op.role.String()+", "+x.caller.name+" is "+x.caller.role.String()+"; ask an administrator")
	}
	body, problem := readBody(w, r, op.maxBody)
	if problem != nil {
		return problem
	}
	// Everything behind the API is kept in NATS: without it no operation can succeed.
	ctx, detach := g.bus.Attached(context.WithValue(r.Context(), exchangeKey{}, x))
	defer detach()
	if op.role != anybody && (!g.bus.Connected() || errors.Is(context.Cause(ctx), bus.ErrUnreachable)) {
		return newProblem(api.KindUnreachable, "NATS cannot be reached; nothing was done, try again in a moment")
	}
	if !op.stream {
		bound, cancel := context.WithTimeout(ctx, op.timeout)
		defer cancel()
		ctx = bound
		// Only the writers of tests cannot take a deadline.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(op.timeout + writeTime))
	}
	r = r.WithContext(ctx)
	r.Body = io.NopCloser(bytes.NewReader(body))
	g.handlers.mux.ServeHTTP(w, r)
	return nil
}

// readBody reads a request's body whole, so that all that can go wrong with it is answered here: 413 when it has more than most
// bytes, 408 when it has not arrived within bodyTime, else 400. It replaces the read timeout of the server.
func readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, *api.Problem) {
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	// The server goes on reading to notice that the client leaves. A deadline that passes looks to it like that.
	_ = connection.SetReadDeadline(time.Time{})
	var (
		large *http.MaxBytesError
		late  net.Error
	)
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &large):
		return nil, newProblem(api.KindTooLarge, "the request has more than "+megabytes(most)+"; send less at once")
	case errors.As(err, &late) && late.Timeout():
		return nil, newProblem(api.KindSlow, "the request's body did not arrive in time; send it again")
	default:
		return nil, newProblem(api.KindMalformed, "the request's body broke off; send it again")
	}
}

// refuse notes the problem that the request is answered with, for the audit log, and gives it the request's id.
func (x *exchange) refuse(p *api.Problem) {
	p.RequestID = x.id
	x.problem = p
}

// crashed answers a request whose handling panicked, and reports whether an answer had begun, which cannot be taken back then. The
// stack is only logged, and the process goes on. http.ErrAbortHandler is no crash, and not logged.
func (g *gateway) crashed(w *answer, x *exchange, route string, crash any) (begun bool) {
	aborted := crash == http.ErrAbortHandler //nolint:errorlint,err113 // a sentinel that is panicked with as it is
	if !aborted {
		g.log.Error("a request crashed", zap.String("request_id", x.id), zap.String("route", route), zap.Any("panic", crash), zap.Stack("stack"))
	}
	problem := newProblem(api.KindInternal, "the request could not be carried out; look for the request id in the log of the server")
	x.refuse(problem)
	if aborted || w.status != 0 {
		return true
	}
	writeProblem(w, problem)
	return false
}

// note writes the audit line of a change, made or refused. The outcome is done, or the kind of the problem; after a 503 or 504 a
// change may have been made all the same. The line has the path without its query, and never the body: they may hold private data.
// The address is that of the connection, which behind a proxy is the proxy's.
func (g *gateway) note(x *exchange, op operation, r *http.Request, status int) {
	outcome := "done"
	if x.problem != nil {
		outcome = x.problem.Type[len(api.ProblemType):]
	}
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	g.audit.Info("change",
		zap.String("who", x.caller.name), zap.Stringer("role", x.caller.role), zap.String("what", op.id), zap.String("path", r.URL.EscapedPath()),
		zap.String("from", from), zap.String("outcome", outcome), zap.Int("status", status), zap.String("request_id", x.id))
}

// answer remembers the status of an answer; 0 while none has begun.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap lets deadlines and flushes through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

func megabytes(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }
