package worker

import (
	"context"
	"sync"
	"time"
)

// Why an instance is sent nothing.
const (
	whyDisabled  = "disabled"
	whyParked    = "parked"
	whyThrottled = "throttled"
)

// gate holds back the deliveries to one instance while it is disabled, parked or throttled. Each reason closes it on its
// own; it is open when none is left.
type gate struct {
	mu      sync.Mutex
	closed  map[string]time.Time // until when, by why; zero: until opened
	changed chan struct{}        // closed and renewed at every change
	now     func() time.Time
	report  func(why string, closed bool)
}

func newGate(now func() time.Time, report func(why string, closed bool)) *gate {
	return &gate{closed: map[string]time.Time{}, changed: make(chan struct{}), now: now, report: report}
}

// close holds deliveries back, until the given time or, if that is zero, until open is called. Of two times the later
// counts. It reports whether the gate was not closed for that reason before.
func (g *gate) close(why string, until time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	before, was := g.closed[why]
	if was && !before.IsZero() && before.After(until) {
		return false
	}
	g.closed[why] = until
	g.signal(why, true)
	return !was
}

// open takes one reason away. It reports whether it was there.
func (g *gate) open(why string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, was := g.closed[why]; !was {
		return false
	}
	delete(g.closed, why)
	g.signal(why, false)
	return true
}

func (g *gate) signal(why string, closed bool) {
	close(g.changed)
	g.changed = make(chan struct{})
	g.report(why, closed)
}

// wait blocks while the gate is closed. The error is the context's.
func (g *gate) wait(ctx context.Context) error {
	for {
		changed, delay, open := g.look()
		if open {
			return ctx.Err()
		}
		var timeout <-chan time.Time
		if delay > 0 {
			timeout = time.After(delay)
		}
		select {
		case <-changed:
		case <-timeout:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look drops the reasons whose time is over and says what remains: the time until the first of them ends, if known.
func (g *gate) look() (changed <-chan struct{}, delay time.Duration, open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for why, until := range g.closed {
		switch left := until.Sub(g.now()); {
		case until.IsZero():
		case left <= 0:
			delete(g.closed, why)
			g.report(why, false)
		case delay == 0 || left < delay:
			delay = left
		}
	}
	return g.changed, delay, len(g.closed) == 0
}

// waitFor blocks while the gate is closed for one reason. The error is the context's.
func (g *gate) waitFor(ctx context.Context, why string) error {
	for {
		g.mu.Lock()
		_, closed := g.closed[why]
		changed := g.changed
		g.mu.Unlock()
		if !closed {
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// isClosed reports whether deliveries are held back right now.
func (g *gate) isClosed() bool {
	_, _, open := g.look()
	return !open
}
