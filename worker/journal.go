package worker

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"postlink/worker/bus"
	"postlink/worker/ledger"
)

const (
	countedHours = 7 * 24 // how far back counts go
	listenerRoom = 256    // events that a listener may be behind before it is cut off
)

// Journal follows what happens to links: it counts for each rule, and tells listeners. What it knows it reads from the events
// stream, so every worker's Journal knows what all workers did.
type Journal struct {
	bus *bus.Bus
	log *zap.Logger
	now func() time.Time

	mu        sync.Mutex
	rules     map[string]*tally
	listeners map[chan Event]struct{}
	ended     bool
}

// tally counts the links of one rule by the hour in which their posts were matched.
type tally struct {
	last  time.Time
	hours map[int64]map[ledger.State]int
}

// RuleCounts say what became of the posts that a rule took in the past 7 days. They are for people: an event that a crash
// had told twice, minutes apart, is counted twice.
type RuleCounts struct {
	LastMatch time.Time // zero when there was none
	Matched   int       // links decided
	Linked    int       // of these, records made
	Dead      int       // of these, given up
	Failed    int       // posts on which the condition failed
}

// failed counts, among the states of links, the posts on which a condition failed.
const failed ledger.State = "failed"

// NewJournal makes a Journal that Run fills; now is time.Now when nil.
func NewJournal(b *bus.Bus, log *zap.Logger, now func() time.Time) (*Journal, error) {
	if b == nil || log == nil {
		return nil, errors.New("make a journal: bus and log are needed")
	}
	if now == nil {
		now = time.Now
	}
	return &Journal{bus: b, log: log.Named("journal"), now: now, rules: map[string]*tally{}, listeners: map[chan Event]struct{}{}}, nil
}

// Run follows the events until ctx ends.
func (j *Journal) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		began := j.now()
		j.mu.Lock()
		j.rules = map[string]*tally{} // all of it is read again
		j.mu.Unlock()
		err := j.bus.EventsSince(ctx, began.Add(-countedHours*time.Hour), func(m bus.Message) {
			if err := j.read(m, m.At.After(began)); err != nil {
				j.log.Warn("an event cannot be read and is not counted", zap.Uint64("sequence", m.Sequence), zap.Error(err))
			}
		})
		if err != nil {
			j.log.Warn("cannot follow the events, trying again", zap.Error(err), zap.Duration("delay", resumeWait))
			sleep(ctx, resumeWait)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
	for listener := range j.listeners {
		j.cut(listener)
	}
	return nil
}

func (j *Journal) read(m bus.Message, news bool) error {
	if m.Subject == failuresSubject {
		var f failures
		if err := json.Unmarshal(m.Data, &f); err != nil {
			return err
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		for rule, n := range f.Rules {
			j.tally(rule).add(f.At, failed, n, j.horizon())
		}
		return nil
	}
	var e Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return err
	}
	j.take(e, news)
	return nil
}

// take counts an event and, when it is new, tells the listeners.
func (j *Journal) take(e Event, news bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.Rule != "" {
		j.count(e)
	}
	if !news {
		return
	}
	for listener := range j.listeners {
		select {
		case listener <- e:
		default: // too slow: it has to come again, rather than hold up everybody
			j.cut(listener)
		}
	}
}

func (j *Journal) count(e Event) {
	t := j.tally(e.Rule)
	if e.PlannedAt.After(t.last) {
		t.last = e.PlannedAt
	}
	t.add(e.PlannedAt, e.State, 1, j.horizon())
}

func (j *Journal) tally(rule string) *tally {
	t := j.rules[rule]
	if t == nil {
		t = &tally{hours: map[int64]map[ledger.State]int{}}
		j.rules[rule] = t
	}
	return t
}

// add counts n of a kind at a time, and forgets what is beyond the horizon.
func (t *tally) add(at time.Time, kind ledger.State, n int, horizon int64) {
	hour := at.Unix() / 3600
	if hour <= horizon {
		return
	}
	if t.hours[hour] == nil {
		t.hours[hour] = map[ledger.State]int{}
		t.forget(horizon)
	}
	t.hours[hour][kind] += n
}

// horizon is the newest hour that is too old to count.
func (j *Journal) horizon() int64 { return j.now().Unix()/3600 - countedHours }

func (t *tally) forget(horizon int64) {
	for hour := range t.hours {
		if hour <= horizon {
			delete(t.hours, hour)
		}
	}
}

// Rule is what is counted of a rule.
func (j *Journal) Rule(name string) RuleCounts {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.rules[name]
	if t == nil {
		return RuleCounts{}
	}
	c := RuleCounts{LastMatch: t.last}
	for hour, states := range t.hours {
		if hour > j.horizon() {
			c.Matched += states[ledger.Queued]
			c.Linked += states[ledger.Linked]
			c.Dead += states[ledger.Dead]
			c.Failed += states[failed]
		}
	}
	return c
}

// Subscribe tells of every change from now on, until cancel is called. The channel is closed when the Journal ends, or when
// its reader falls too far behind.
func (j *Journal) Subscribe() (events <-chan Event, cancel func()) {
	listener := make(chan Event, listenerRoom)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.listeners[listener] = struct{}{}
	if j.ended {
		j.cut(listener)
	}
	return listener, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.cut(listener)
	}
}

func (j *Journal) cut(listener chan Event) {
	if _, ok := j.listeners[listener]; ok {
		delete(j.listeners, listener)
		close(listener)
	}
}
