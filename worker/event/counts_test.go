package event_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"postlink/worker/event"
	"postlink/worker/ledger"
)

// clock is one that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// count runs counts until the test ends.
func (w world) count(t *testing.T, log *zap.Logger, now func() time.Time) *event.Counts {
	t.Helper()
	c := event.NewCounts(w.events, log, now)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return c
}

func awaitCount(t *testing.T, c *event.Counts, rule string, want event.Count) {
	t.Helper()
	await(t, "rule "+rule+" is counted", func() bool { return c.Rule(rule) == want })
}

func TestCountsSayWhatBecameOfEachRulesPosts(t *testing.T) {
	t.Parallel()
	w := open(t)
	now := time.Now().UTC() // events are read from a time of the server's clock on
	w.publish(t,
		change(1, "cancelled", ledger.Queued, now.Add(time.Minute)), change(2, "cancelled", ledger.Queued, now),
		change(1, "cancelled", ledger.Linked, now.Add(time.Minute)), change(2, "cancelled", ledger.Dead, now),
		change(3, "praise", ledger.Queued, now), change(4, "", ledger.Queued, now),
		change(1, "cancelled", ledger.Removed, now.Add(time.Minute)),
	)
	for _, failed := range []map[string]int{{"cancelled": 2, "praise": 1}, {"cancelled": 3}, {}} {
		if err := w.events.PublishFailures(t.Context(), now, failed); err != nil {
			t.Fatal(err)
		}
	}
	c := w.count(t, nil, nil)
	awaitCount(t, c, "cancelled", event.Count{LastMatch: now.Add(time.Minute), Matched: 2, Linked: 1, Dead: 1, Failed: 5})
	awaitCount(t, c, "praise", event.Count{LastMatch: now, Matched: 1, Failed: 1})
	for _, rule := range []string{"", "unknown"} {
		if got := c.Rule(rule); got != (event.Count{}) {
			t.Errorf("rule %q has %+v", rule, got)
		}
	}
	w.publish(t, change(5, "cancelled", ledger.Queued, now)) // counting goes on
	awaitCount(t, c, "cancelled", event.Count{LastMatch: now.Add(time.Minute), Matched: 3, Linked: 1, Dead: 1, Failed: 5})
}

func TestCountsForgetAfterSevenDays(t *testing.T) {
	t.Parallel()
	w := open(t)
	now := time.Now().UTC().Truncate(time.Hour)
	at := &clock{now: now}
	w.publish(t, change(1, "r", ledger.Queued, now.Add(-8*24*time.Hour)), change(2, "r", ledger.Queued, now), change(3, "r", ledger.Linked, now))
	c := w.count(t, nil, at.time)
	kept := event.Count{LastMatch: now, Matched: 1, Linked: 1}
	awaitCount(t, c, "r", kept)
	at.set(now.Add(7*24*time.Hour - time.Second))
	if got := c.Rule("r"); got != kept {
		t.Errorf("just before: %+v", got)
	}
	at.set(now.Add(7 * 24 * time.Hour))
	if got := c.Rule("r"); got != (event.Count{}) {
		t.Errorf("after: %+v", got)
	}
	later := now.Add(7 * 24 * time.Hour)
	w.publish(t, change(4, "r", ledger.Queued, later))
	awaitCount(t, c, "r", event.Count{LastMatch: later, Matched: 1})
}

func TestEventsThatCannotBeReadAreLoggedAndNotCounted(t *testing.T) {
	t.Parallel()
	w := open(t)
	now := time.Now().UTC()
	for _, subject := range []string{"postlink.events.link.queued.contoso", "postlink.events.rules.failed", "postlink.events.other"} {
		if err := w.bus.Publish(t.Context(), &nats.Msg{Subject: subject, Data: []byte("{")}, ""); err != nil {
			t.Fatal(err)
		}
	}
	w.publish(t, change(1, "r", ledger.Queued, now))
	core, logs := observer.New(zap.WarnLevel)
	awaitCount(t, w.count(t, zap.New(core), nil), "r", event.Count{LastMatch: now, Matched: 1})
	if n := logs.FilterMessage("an event cannot be read and is not counted").Len(); n != 2 {
		t.Errorf("logged %d times, want 2: %v", n, logs.All())
	}
}

// What was counted stands while the stream is lost. Once there are events again, they are what is counted.
func TestCountingGoesOnAfterTheStreamWasLost(t *testing.T) {
	t.Parallel()
	w := open(t)
	now := time.Now().UTC()
	w.publish(t, change(1, "r", ledger.Queued, now), change(2, "r", ledger.Queued, now))
	core, logs := observer.New(zap.WarnLevel)
	c := w.count(t, zap.New(core), nil)
	before := event.Count{LastMatch: now, Matched: 2}
	awaitCount(t, c, "r", before)
	if err := w.js.DeleteStream(t.Context(), "POSTLINK_EVENTS"); err != nil {
		t.Fatal(err)
	}
	await(t, "the loss is logged", func() bool { return logs.FilterMessageSnippet("cannot follow the events").Len() > 0 })
	if diff := cmp.Diff(before, c.Rule("r")); diff != "" {
		t.Errorf("while the stream is lost (-want +got):\n%s", diff)
	}
	if _, err := event.Open(t.Context(), w.bus, 0); err != nil {
		t.Fatal(err)
	}
	later := now.Add(time.Second)
	w.publish(t, change(3, "r", ledger.Queued, later))
	awaitCount(t, c, "r", event.Count{LastMatch: later, Matched: 1})
}
