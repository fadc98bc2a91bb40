package event

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"postlink/worker/bus"
	"postlink/worker/ledger"
)

const (
	countedHours = 7 * 24                 // how far back counts go
	followAgain  = 500 * time.Millisecond // pause before events that cannot be followed are followed anew
)

// Counts count for each rule what became of the posts that it took in the past 7 days. They are read from the stream of
// events, so that every worker knows what all workers did. They are for people: an event that was published twice, minutes
// apart, is counted twice. After a start they grow until the events that are kept have been read.
//
// The mutex guards rules alone. They hold at most 168 hours for each rule; a rule that left the catalog stays until a restart.
type Counts struct {
	events *Events
	log    *zap.Logger
	now    func() time.Time

	mu    sync.Mutex
	rules map[string]tally
}

// Count holds the counts of one rule.
type Count struct {
	LastMatch time.Time // zero when there was none
	Matched   int       // links decided
	Linked    int       // of these, records made
	Dead      int       // of these, given up
	Failed    int       // posts on which the condition failed
}

// tally counts for one rule by the hour in which posts were matched.
type tally map[int64]*Count

// NewCounts returns counts that Run fills. A nil log logs nothing; now is time.Now when nil.
func NewCounts(events *Events, log *zap.Logger, now func() time.Time) *Counts {
	if now == nil {
		now = time.Now
	}
	return &Counts{events: events, log: cmp.Or(log, zap.NewNop()).Named("counts"), now: now, rules: map[string]tally{}}
}

// Run follows the events until ctx ends. When they cannot be followed any more it counts anew, from the first event that it
// reads again: until then, what was counted stands.
func (c *Counts) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		start, first := bus.Start{Since: c.now().Add(-countedHours * time.Hour)}, true
		err := c.events.bus.Follow(ctx, c.events.stream(), start, func(m bus.Message) error {
			if first {
				first = false
				c.forget()
			}
			if err := c.count(m); err != nil {
				c.log.Warn("an event cannot be read and is not counted", zap.Error(err))
			}
			return nil
		})
		if err != nil {
			c.log.Warn("cannot follow the events, trying again", zap.Error(err), zap.Duration("delay", followAgain))
			bus.Sleep(ctx, followAgain)
		}
	}
	return nil
}

func (c *Counts) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.rules)
}

func (c *Counts) count(m bus.Message) error {
	if m.Subject == c.events.failuresSubject() {
		var f failures
		if err := json.Unmarshal(m.Data, &f); err != nil {
			return err
		}
		for rule, n := range f.Rules {
			c.add(rule, f.At, func(h *Count) { h.Failed += n })
		}
		return nil
	}
	event, err := c.events.read(m)
	if err != nil || event == nil || event.Rule == "" {
		return err
	}
	c.add(event.Rule, event.DecidedAt, func(h *Count) {
		switch event.State {
		case ledger.Queued:
			h.Matched++
			if event.DecidedAt.After(h.LastMatch) { // events of two workers come in any order
				h.LastMatch = event.DecidedAt
			}
		case ledger.Linked:
			h.Linked++
		case ledger.Dead:
			h.Dead++
		}
	})
	return nil
}

// add changes the counts of a rule in the hour of a time, and forgets the hours that are too old.
func (c *Counts) add(rule string, at time.Time, change func(*Count)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hour, oldest := at.Unix()/3600, c.oldest()
	if hour < oldest {
		return
	}
	t := c.rules[rule]
	if t == nil {
		t = tally{}
		c.rules[rule] = t
	}
	if t[hour] == nil {
		t[hour] = new(Count)
		maps.DeleteFunc(t, func(old int64, _ *Count) bool { return old < oldest })
	}
	change(t[hour])
}

// oldest is the hour from which on posts are counted.
func (c *Counts) oldest() int64 { return c.now().Unix()/3600 - countedHours + 1 }

// Rule returns the counts of a rule; zero for one without events. Any goroutine may call it, also before Run. A record, or a dead
// link, counts in the hour in which the link was decided, and not in that of its delivery.
func (c *Counts) Rule(name string) Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sum Count
	for hour, h := range c.rules[name] {
		if hour < c.oldest() {
			continue
		}
		sum.Matched += h.Matched
		sum.Linked += h.Linked
		sum.Dead += h.Dead
		sum.Failed += h.Failed
		if h.LastMatch.After(sum.LastMatch) {
			sum.LastMatch = h.LastMatch
		}
	}
	return sum
}
