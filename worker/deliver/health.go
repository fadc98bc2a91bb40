package deliver

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/worker/bus"
	"postlink/worker/instance"
)

const (
	// longestProbePause is the longest pause between two probes of an instance that parks again and again.
	longestProbePause = 5 * time.Minute

	// seenEvery is how often LastSeen is written while links succeed.
	seenEvery = time.Minute

	// retryingEvery is how often the reason of failing links is written.
	retryingEvery = 5 * time.Second
)

// Reasons why an instance is sent nothing, as metrics name them.
const (
	whyDisabled  = "disabled"
	whyParked    = "parked"
	whyThrottled = "throttled"
)

// health decides whether this worker may send links to an instance: not while it is disabled, parked or throttled. A new health
// is parked until a probe is answered.
//
// One mutex guards all that changes. Changes of the status for people are queued under the mutex and written by run, so that
// nothing waits for NATS while holding it.
type health struct {
	name     string
	every    time.Duration // between two probes
	now      func() time.Time
	statuses *instance.Statuses
	waiting  *prometheus.GaugeVec
	log      *zap.Logger
	written  chan struct{} // asks run to write the pending changes

	mu         sync.Mutex
	changed    chan struct{} // closed and renewed when something below changes
	disabled   bool
	parked     bool
	throttled  time.Time // until then
	parkedFor  string    // code of the last park; empty since a link was accepted
	parkedWhy  string    // the same for people
	pause      time.Duration
	next       time.Time // when a parked instance is probed
	asked      bool      // a probe is wanted at once
	organized  dynamics.Organization
	seen       time.Time
	retrying   bool      // people may read that links are tried again; true at first, since a worker before us may have written it
	retryingAt time.Time // when that was last written; kept while links succeed, so that an unsteady instance causes few writes
	pending    []func(*instance.Status)
	forgotten  bool // another health has taken over the metrics of the instance
}

func newHealth(name string, o *Options, log *zap.Logger) *health {
	return &health{
		name: name, every: o.Pauses.Probe, pause: o.Pauses.Probe, now: o.Now, statuses: o.Statuses, waiting: o.Metrics.waiting, log: log,
		written: make(chan struct{}, 1), changed: make(chan struct{}), parked: true, retrying: true,
	}
}

// gauge shows in the metrics whether the instance is sent nothing for a reason. The lock is held.
func (h *health) gauge(why string, on bool) {
	if h.forgotten {
		return
	}
	value := 0.0
	if on {
		value = 1
	}
	h.waiting.WithLabelValues(h.name, why).Set(value)
}

// forget removes the metrics of an instance whose lane ends. Attempts that are still under way leave no trace in them.
func (h *health) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgotten = true
	h.waiting.DeletePartialMatch(prometheus.Labels{"instance": h.name})
}

// change runs f under the lock, and wakes whoever waits for a change.
func (h *health) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
}

// write notes a change of the status for people. The lock is held.
func (h *health) write(change func(*instance.Status)) {
	h.pending = append(h.pending, change)
	signal(h.written)
}

// signal sends without blocking: one signal that waits is enough.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// disable follows the catalog: links of a disabled instance wait.
func (h *health) disable(disabled bool) {
	h.change(func() {
		h.disabled = disabled
		h.gauge(whyDisabled, disabled)
	})
}

// park holds links back until a probe is answered. Several attempts of one lane may park it at once; the first one does. news is true
// when the reason differs from that of the last park. An instance may answer probes and still refuse every link for the same reason;
// then the pauses between probes grow.
func (h *health) park(o Outcome) (news bool) {
	h.change(func() {
		if h.parked && h.parkedFor == o.Code {
			return
		}
		news = h.parkedFor != o.Code
		if !h.parked && !news {
			h.pause = min(2*h.pause, longestProbePause)
		}
		h.parked, h.parkedFor, h.parkedWhy = true, o.Code, o.Reason
		h.gauge(whyParked, true)
		h.scheduleProbe(h.pause)
	})
	return news
}

// scheduleProbe sets when a parked instance is probed next: not before the end of a throttling. The lock is held.
func (h *health) scheduleProbe(pause time.Duration) {
	now := h.now()
	if h.next = now.Add(bus.Spread(pause)); h.next.Before(h.throttled) {
		h.next = h.throttled
	}
	if h.parkedFor == "" {
		return // parked since the start, without a reason to show
	}
	why, next := h.parkedWhy, h.next.UTC()
	h.write(func(s *instance.Status) {
		s.Park(why, now) // again, since another worker that is answered clears it
		s.NextTry = next
	})
}

// throttle holds links back for as long as a 429 asked. A later deadline wins.
func (h *health) throttle(wait time.Duration) {
	h.change(func() {
		until := h.now().Add(wait)
		if !until.After(h.throttled) {
			return
		}
		h.throttled = until
		h.gauge(whyThrottled, true)
		h.write(func(s *instance.Status) {
			if until.After(s.ThrottledUntil) {
				s.ThrottledUntil = until.UTC()
			}
		})
	})
}

// answered notes that a probe was answered: links may be sent. The reason of the park stays known until a link is accepted, so that
// an instance that answers probes and refuses links is not announced as news each time.
func (h *health) answered(org dynamics.Organization) {
	h.change(func() {
		h.parked, h.asked = false, false
		h.organized = org
		h.gauge(whyParked, false)
		now := h.now()
		h.seen = now
		h.write(func(s *instance.Status) {
			s.Organization, s.Version = org.ID, org.Version
			s.Answered(now)
		})
	})
}

// accepted notes that the instance accepted a link: the reasons of parks and of failing links are over. While it is parked this
// is ignored, since the link was sent before the park.
func (h *health) accepted() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.parked {
		return
	}
	h.parkedFor, h.parkedWhy, h.pause = "", "", h.every
	now := h.now()
	if !h.retrying && now.Sub(h.seen) < seenEvery {
		return
	}
	h.seen, h.retrying = now, false
	h.write(func(s *instance.Status) {
		s.Answered(now)
		s.Retrying, s.RetryingSince = "", time.Time{}
	})
}

// failed notes that a link is tried again, and why. Of many failures in a row only some are written: the status shows the newest
// reason, and a failing instance must not cause a write for each attempt.
func (h *health) failed(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if now.Sub(h.retryingAt) < retryingEvery {
		return
	}
	h.retrying, h.retryingAt = true, now
	h.write(func(s *instance.Status) {
		if s.Retrying == "" {
			s.RetryingSince = now.UTC()
		}
		s.Retrying = reason
	})
}

// organization is the one behind the instance; zero before the first answer.
func (h *health) organization() dynamics.Organization {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.organized
}

// state reports whether links may be sent. If not, wait is the time until that can change by itself, 0 when unknown, and changed
// is closed when something else changes it. A throttling whose time is over ends here, whoever looks first; expire looks when nobody
// else does.
func (h *health) state() (open bool, wait time.Duration, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	wait = h.throttled.Sub(now)
	if wait <= 0 && !h.throttled.IsZero() {
		h.throttled = time.Time{}
		h.gauge(whyThrottled, false)
		h.write(func(s *instance.Status) {
			if !s.ThrottledUntil.After(now) { // else another worker was throttled later
				s.ThrottledUntil = time.Time{}
			}
		})
	}
	return !h.disabled && !h.parked && wait <= 0, max(wait, 0), h.changed
}

// open reports whether links may be sent right now.
func (h *health) open() bool {
	open, _, _ := h.state()
	return open
}

// wait blocks while links may not be sent. The error is the context's.
func (h *health) wait(ctx context.Context) error {
	for {
		open, wait, changed := h.state()
		if open {
			return ctx.Err()
		}
		if err := until(ctx, changed, wait); err != nil {
			return err
		}
	}
}

// until waits for a change, or for a time unless that is 0. The error is the context's.
func until(ctx context.Context, changed <-chan struct{}, wait time.Duration) error {
	var over <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-changed:
	case <-over:
	case <-ctx.Done():
	}
	return ctx.Err()
}
