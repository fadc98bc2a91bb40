package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/worker/instance"
)

// Classify is classify.
func Classify(err error, age, most time.Duration) Outcome { return classify(err, failing{age, most}) }

// Ends of an attempt that are not errors of Dynamics.
var (
	ErrSuperseded  = errSuperseded
	ErrRepeated    = errRepeated
	ErrDeleted     = errDeleted
	ErrPostponed   = error(postponedError{errors.New("NATS cannot be reached")})
	ErrForeign     = error(foreignError{errors.New("no header")})
	ErrUnbuildable = error(unbuildableError{errors.New("notes of 251 characters")})
	ErrDial        = error(dialError{errors.New("TOKEN is not set")})
	ErrCrash       = error(&crashError{"index out of range", []byte("goroutine 7")})
)

// Backoff is the pause after an attempt that failed.
func (p Pauses) Backoff(attempt int) time.Duration { return p.backoff(attempt) }

// Health is the health of an instance, for its own tests.
type Health struct{ *health }

// NewHealth makes the health of an instance.
func NewHealth(name string, probe time.Duration, statuses *instance.Statuses, registry *prometheus.Registry, log *zap.Logger) Health {
	o := &Options{Statuses: statuses, Metrics: NewMetrics(registry), Pauses: Pauses{Probe: probe}, Now: time.Now}
	return Health{newHealth(name, o, log)}
}

// Run probes and writes as a lane's health does.
func (h Health) Run(ctx context.Context, ask func(context.Context) (dynamics.Organization, error)) {
	h.run(ctx, ask)
}

// Probe only probes: it needs no NATS.
func (h Health) Probe(ctx context.Context, ask func(context.Context) (dynamics.Organization, error)) {
	h.probe(ctx, ask)
}

// Expire only ends what is throttled: it needs no NATS.
func (h Health) Expire(ctx context.Context) { h.expire(ctx) }

// Wait blocks while links may not be sent.
func (h Health) Wait(ctx context.Context) error { return h.wait(ctx) }

// Open reports whether links may be sent.
func (h Health) Open() bool { return h.open() }

// Disable, Park, Throttle, Answered, Took, Failed and Forget say what happened.
func (h Health) Disable(disabled bool) { h.disable(disabled) }
func (h Health) Park(code, reason string) bool {
	return h.park(Outcome{Verdict: Park, Code: code, Reason: reason})
}
func (h Health) Throttle(wait time.Duration)        { h.throttle(wait) }
func (h Health) Answered(org dynamics.Organization) { h.answered(org) }
func (h Health) Took()                              { h.accepted() }
func (h Health) Failed(reason string)               { h.failed(reason) }
func (h Health) Forget()                            { h.forget() }

// Pending applies what was not written yet, as run does to the status that is kept.
func (h Health) Pending(s *instance.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, change := range h.pending {
		change(s)
	}
	h.pending = nil
}
