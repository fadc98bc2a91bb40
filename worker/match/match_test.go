package match_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"postlink/payload"
	"postlink/worker/bus"
	"postlink/worker/event"
	"postlink/worker/ledger"
	"postlink/worker/match"
	"postlink/worker/outbox"
)

func TestAMatcherNeedsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := match.New(match.Options{}); err == nil {
		t.Error("a matcher without anything was made")
	}
}

func TestAPostThatARuleTakesIsDecidedAndQueuedForItsInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"), post(2, "Positive"), post(3, "neutral"))
	w.settled()

	revision, err := w.store.Current(t.Context())
	must(t, err)
	link := w.link(1)
	want := ledger.Decision{
		Instance: "contoso", Entity: "incident", Rule: "complaints", Catalog: revision.ID, Notes: "call back", By: "rule complaints",
	}
	if diff := cmp.Diff(want, link.Decision()); diff != "" {
		t.Errorf("decision about post 1: %s", diff)
	}
	if link.State != ledger.Queued || link.Generation != 1 || link.ID != payload.ActivityID("contoso", "twitter", "1", 1) {
		t.Errorf("link of post 1: %+v", link)
	}
	w.take("contoso", 1, func(e outbox.Entry) {
		if diff := cmp.Diff(outbox.Entry{
			Post: key(1), Sequence: 1, Generation: 1, Decision: want, Data: []byte(post(1, "negative")),
		}, e); diff != "" {
			t.Errorf("entry of the outbox: %s", diff)
		}
	})
	if n := w.links("fabrikam"); n != 1 {
		t.Errorf("%d links wait for fabrikam", n)
	}
	if _, err := w.opts.Ledger.Find(t.Context(), key(3)); err == nil {
		t.Error("the neutral post was linked")
	}
	if diff := cmp.Diff(map[string]float64{"matched": 2, "unmatched": 1}, w.counted("postlink_posts_total")); diff != "" {
		t.Errorf("results: %s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"complaints": 1, "praise": 1}, w.counted("postlink_rule_matches_total")); diff != "" {
		t.Errorf("matches: %s", diff)
	}
}

func TestAPostThatArrivesThreeTimesIsOneLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"), post(1, "negative"), post(1, "negative"))
	w.settled()
	if n := w.links("contoso"); n != 1 {
		t.Errorf("%d links of one post", n)
	}
	if diff := cmp.Diff(map[string]float64{"matched": 1, "known": 2}, w.counted("postlink_posts_total")); diff != "" {
		t.Errorf("results: %s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"complaints": 1}, w.counted("postlink_rule_matches_total")); diff != "" {
		t.Errorf("matches: %s", diff)
	}
}

func TestTheFirstDecisionStandsWhenThePostArrivesAgainUnderAnotherCatalog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.apply(plainCatalog)
	stop := w.work()
	w.publish(post(1, "negative"))
	w.settled()
	first := *w.link(1)
	stop()
	w.apply(strings.Replace(plainCatalog, `link: {instance: contoso, entity: incident, notes: call back}`, `link: {instance: fabrikam, entity: lead}`, 1))
	w.work()
	w.publish(post(1, "negative"))
	w.settled()
	if diff := cmp.Diff(first, *w.link(1)); diff != "" {
		t.Errorf("the link changed: %s", diff)
	}
	if n := w.links("fabrikam"); n != 0 {
		t.Errorf("%d links wait for fabrikam", n)
	}
}

// deliverOnce takes the only post of the stream as a worker does that dies before it acknowledges it.
func (w *world) deliverOnce(work func()) {
	w.t.Helper()
	ctx, done := context.WithTimeout(w.t.Context(), patience)
	defer done()
	took := false
	w.opts.Posts.Take(ctx, bus.Consumption{Slots: 1, Buffer: 1, Drain: time.Second, Log: zap.NewNop()},
		func(context.Context, bus.Delivery) bus.Settlement {
			work()
			took = true
			done()
			return bus.Again(0)
		})
	if !took {
		w.t.Fatal("no post came")
	}
}

func TestARedeliveredPostKeepsTheDecisionOfItsFirstDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.publish(post(1, "negative"))
	decision := ledger.Decision{Instance: "contoso", Entity: "new_complaint", Rule: "gone", Catalog: "old", By: "rule gone"}
	w.deliverOnce(func() { // the worker decides, and dies before the outbox and the acknowledgement
		_, frozen, err := w.opts.Ledger.Freeze(t.Context(), key(1), 1, decision)
		if err != nil || !frozen {
			t.Errorf("frozen %t, error %v", frozen, err)
		}
	})
	w.apply(strings.Replace(plainCatalog, `post.sentiment == "negative"`, `post.sentiment == "neutral"`, 1)) // now no rule takes it
	w.work()
	w.settled()
	w.take("contoso", 1, func(e outbox.Entry) {
		if diff := cmp.Diff(decision, e.Decision); diff != "" {
			t.Errorf("what is delivered: %s", diff)
		}
	})
	if diff := cmp.Diff(map[string]float64{"matched": 1}, w.counted("postlink_posts_total")); diff != "" {
		t.Errorf("results: %s", diff)
	}
	if n := w.counted("postlink_posts_redelivered_total")[""]; n != 1 {
		t.Errorf("%g redeliveries are counted", n)
	}
}

func TestAPostWhoseLinkIsFinishedIsNotQueuedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"))
	w.settled()
	w.take("contoso", 1, func(outbox.Entry) {})
	entry, err := w.opts.Ledger.Find(t.Context(), key(1))
	must(t, err)
	entry, err = w.opts.Ledger.Move(t.Context(), entry, ledger.Step{State: ledger.Linked, By: "test"}, nil)
	must(t, err)
	_, err = w.opts.Ledger.Move(t.Context(), entry, ledger.Step{State: ledger.Removed, By: "ann"}, nil)
	must(t, err)
	w.publish(post(1, "negative"))
	w.settled()
	if link := w.link(1); link.State != ledger.Removed || w.links("contoso") != 0 {
		t.Errorf("the removed link is %s, and %d links wait", link.State, w.links("contoso"))
	}
}

func TestAFullOutboxHoldsBackItsOwnPostsOnlyAndLosesNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.apply(plainCatalog)
	w.work()
	for id := 1; id <= 8; id++ {
		w.publish(post(id, "negative"))
	}
	w.publish(post(9, "positive"))
	w.eventually("both outboxes have what they can take", func() (bool, error) {
		n, err := w.opts.Posts.Backlog(t.Context())
		return w.links("contoso") == 3 && w.links("fabrikam") == 1 && n == 5, err
	})
	seen := map[string]int{}
	w.take("contoso", 8, func(e outbox.Entry) { seen[e.Post.PostID]++ })
	for id := 1; id <= 8; id++ {
		if seen[fmt.Sprint(id)] != 1 {
			t.Errorf("post %d was queued %d times", id, seen[fmt.Sprint(id)])
		}
	}
	w.settled()
	if n := w.counted("postlink_posts_total")["matched"]; n != 9 {
		t.Errorf("%g posts count as matched", n)
	}
}

func TestConditionsThatFailAreCountedAndPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.apply(strings.Replace(plainCatalog, `post.sentiment == "positive"`, `int(post.title) > 3`, 1)) // praise is the newest rule
	counts := event.NewCounts(w.opts.Events, zap.NewNop(), nil)
	w.background(counts.Run)
	stop := w.work()
	w.publish(post(1, "negative"), post(2, "negative"), post(3, "neutral"))
	w.settled()
	stop()
	if diff := cmp.Diff(map[string]float64{"praise": 3}, w.counted("postlink_rule_errors_total")); diff != "" {
		t.Errorf("failures: %s", diff)
	}
	w.eventually("the failures are published", func() (bool, error) { return counts.Rule("praise").Failed == 3, nil })
	w.eventually("the older rule acted all the same", func() (bool, error) { return counts.Rule("complaints").Matched == 2, nil })
}

func TestAMatcherThatStopsInTheMiddleLosesNothingAndGivesTheRestBackAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.apply(plainCatalog)
	w.opts.Slots = 4
	m := w.matcher()
	stop := w.background(m.Run)
	const all = 600
	for id := range all {
		w.publish(post(id, "negative"))
		if id == all/2 {
			w.eventually("some are matched", func() (bool, error) { return w.links("contoso") > 10, nil })
			stop()
		}
	}
	if m.Pulling() {
		t.Error("a matcher that has stopped still says that it takes posts")
	}
	before := w.counted("postlink_posts_total")["matched"]
	if n := w.links("contoso"); n == all || float64(n) != before {
		t.Errorf("%d links wait and %g posts are counted at the stop", n, before)
	}
	again := w.matcher()
	w.background(again.Run)
	w.eventually("the second matcher takes posts", func() (bool, error) { return again.Pulling(), nil })
	w.settled()
	if n := w.links("contoso"); n != all {
		t.Errorf("%d links of %d posts", n, all)
	}
}

func TestTwoMatchersShareTheWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.apply(plainCatalog)
	w.work()
	w.work()
	const all = 200
	for id := range all {
		w.publish(post(id, "negative"))
	}
	w.settled()
	if n := w.links("contoso"); n != all {
		t.Errorf("%d links of %d posts", n, all)
	}
	if n := w.counted("postlink_posts_total")["matched"]; n != all {
		t.Errorf("%g posts count as matched", n)
	}
}

func TestPostsThatArriveBeforeTheFirstCatalogAreNotMatched(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	stop := w.work()
	w.publish(post(1, "negative"))
	if n, err := w.opts.Posts.Backlog(t.Context()); err != nil || n != 1 {
		t.Errorf("backlog %d, error %v", n, err)
	}
	w.apply(plainCatalog)
	w.settled()
	w.publish(post(2, "negative"))
	w.settled()
	if _, err := w.opts.Ledger.Find(t.Context(), key(1)); err == nil {
		t.Error("a rule acted on a post that arrived before it was there")
	}
	if w.link(2).State != ledger.Queued {
		t.Errorf("link of post 2: %+v", w.link(2))
	}
	stop()
}

func TestAMatcherThatNeverSawACatalogStopsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	m := w.matcher()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Run(ctx); err != nil || m.Pulling() {
		t.Errorf("error %v, pulling %t", err, m.Pulling())
	}
}

func TestARuleDoesNotActOnPostsThatArrivedBeforeItWasActivated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.apply(strings.Replace(plainCatalog, "name: complaints\n", "name: complaints\n    active: false\n", 1))
	w.publish(post(1, "negative"))
	w.apply(plainCatalog)
	w.publish(post(2, "negative"))
	w.work()
	w.settled()
	if _, err := w.opts.Ledger.Find(t.Context(), key(1)); err == nil {
		t.Error("the rule acted on a post that arrived before it was active")
	}
	if w.link(2).Rule != "complaints" {
		t.Errorf("link of post 2: %+v", w.link(2))
	}
}
