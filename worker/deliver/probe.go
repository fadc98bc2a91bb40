package deliver

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/worker/bus"
	"postlink/worker/instance"
)

// statusAgain is the pause before a status that could not be followed or written is tried again.
const statusAgain = time.Second

// run probes the instance while it is parked, and writes the status for people, until ctx ends.
func (h *health) run(ctx context.Context, ask func(context.Context) (dynamics.Organization, error)) {
	h.change(func() { h.gauge(whyParked, h.parked) })
	var running sync.WaitGroup
	running.Go(func() { h.probe(ctx, ask) })
	running.Go(func() { h.expire(ctx) })
	running.Go(func() { h.listen(ctx) })
	running.Go(func() { h.writePending(ctx) })
	running.Wait()
}

// probe asks the instance, whenever it is parked, again and again whether it answers. A probe that cannot tell, as after a timeout,
// counts as refused: the instance stays parked, and the next probe follows after the pause, but not before
// the time that a 429 asked for.
func (h *health) probe(ctx context.Context, ask func(context.Context) (dynamics.Organization, error)) {
	for h.waitForProbe(ctx) == nil {
		org, err := ask(ctx)
		if ctx.Err() != nil {
			return
		}
		switch o := classify(err, failing{}); o.Verdict {
		case Linked:
			h.answered(org)
			h.log.Debug("the instance answers")
			continue
		case Throttle:
			h.log.Info("the instance is throttled", zap.Duration("delay", o.Wait))
			h.throttle(o.Wait)
		default:
			if h.park(o) {
				h.log.Error("the instance is parked: nothing is sent, nothing is lost", zap.String("code", o.Code), zap.String("reason", o.Reason))
			}
		}
		h.change(func() { h.scheduleProbe(h.pause) })
	}
}

// waitForProbe blocks while the instance is not parked, is disabled or throttled, or was probed a short while ago. The error is the
// context's.
func (h *health) waitForProbe(ctx context.Context) error {
	for {
		h.mu.Lock()
		needed, changed := h.parked && !h.disabled, h.changed
		wait := h.next.Sub(h.now())
		if h.asked {
			wait = 0
		}
		wait = max(wait, h.throttled.Sub(h.now()))
		if needed && wait <= 0 {
			h.asked = false
			h.mu.Unlock()
			return ctx.Err()
		}
		h.mu.Unlock()
		if !needed {
			wait = 0 // until something changes
		}
		if err := until(ctx, changed, wait); err != nil {
			return err
		}
	}
}

// expire ends a throttling when its time is over, even if no link waits that would notice.
func (h *health) expire(ctx context.Context) {
	for {
		_, wait, changed := h.state()
		if until(ctx, changed, wait) != nil {
			return
		}
	}
}

// listen wants a probe at once when somebody else was answered by the instance: another worker, or a person who refreshed it.
// We compare with what was read before because clocks differ between machines. A late notice of our own write may look like
// somebody else's; that costs one extra probe.
func (h *health) listen(ctx context.Context) {
	var heard time.Time // when it was last seen, as far as we read
	for ctx.Err() == nil {
		err := h.statuses.Follow(ctx, h.name, func(s instance.Status) {
			news := s.Parked == "" && !s.LastSeen.Equal(heard)
			heard = s.LastSeen
			h.mu.Lock()
			news = news && h.parked && !s.LastSeen.Equal(h.seen) // which is our own
			h.mu.Unlock()
			if news {
				h.change(func() { h.asked = true })
			}
		})
		if err != nil {
			h.log.Debug("cannot follow the status of the instance", zap.Error(err))
			bus.Sleep(ctx, statusAgain)
		}
	}
}

// writePending writes the queued changes of the status, in their order. Deliveries go on when that fails: the changes are put back
// before those that came meanwhile, and tried again. What is pending when ctx ends is not written.
func (h *health) writePending(ctx context.Context) {
	for {
		select {
		case <-h.written:
		case <-ctx.Done():
			return
		}
		h.mu.Lock()
		pending := h.pending
		h.pending = nil
		h.mu.Unlock()
		if len(pending) == 0 {
			continue
		}
		err := h.statuses.Update(ctx, h.name, func(s *instance.Status) {
			for _, change := range pending {
				change(s)
			}
		})
		if err != nil && ctx.Err() == nil {
			h.log.Warn("cannot write the status of the instance, trying again", zap.Error(err), zap.Duration("delay", statusAgain))
			h.mu.Lock()
			h.pending = slices.Concat(pending, h.pending)
			h.mu.Unlock()
			bus.Sleep(ctx, statusAgain)
			signal(h.written)
		}
	}
}
