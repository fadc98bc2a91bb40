package match_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"postlink/worker/match"
)

func TestANoticeIsDueOnceAMinuteWithTheNumberOfOccurrences(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := match.NewNotices(func() time.Time { return now })
	first := []match.Due{{Code: "undecodable", Reason: "empty", Count: 1}}
	if diff := cmp.Diff(first, n.Add("undecodable", "empty")); diff != "" {
		t.Errorf("the first occurrence: %s", diff)
	}
	for range 4 {
		if due := n.Add("undecodable", "empty"); due != nil {
			t.Errorf("due again within the minute: %v", due)
		}
	}
	if due := n.Add("crashed", "empty"); len(due) != 1 {
		t.Errorf("the same reason with another code is silent: %v", due)
	}
	now = now.Add(59 * time.Second)
	if due := n.Overdue(); due != nil {
		t.Errorf("due by time within the minute: %v", due)
	}
	now = now.Add(time.Second)
	if diff := cmp.Diff([]match.Due{{Code: "undecodable", Reason: "empty", Count: 5}}, n.Add("undecodable", "empty")); diff != "" {
		t.Errorf("after a minute: %s", diff)
	}
}

func TestOccurrencesThatNoOtherFollowsAreReturnedWhenTheirMinuteIsOver(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := match.NewNotices(func() time.Time { return now })
	for range 3 {
		n.Add("undecodable", "empty")
	}
	now = now.Add(time.Minute)
	want := []match.Due{{Code: "undecodable", Reason: "empty", Count: 2}}
	if diff := cmp.Diff(want, n.Overdue()); diff != "" {
		t.Errorf("overdue: %s", diff)
	}
	if due := n.Rest(); due != nil {
		t.Errorf("left: %v", due)
	}
	n.Add("undecodable", "empty") // the reason was forgotten, since nothing happened
	n.Add("undecodable", "empty")
	want[0].Count = 1
	if diff := cmp.Diff(want, n.Rest()); diff != "" {
		t.Errorf("the rest at the end: %s", diff)
	}
}

func TestReasonsWithoutNumberFillNeitherLogNorMemory(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := match.NewNotices(func() time.Time { return now })
	lines, counted := 0, 0
	count := func(due []match.Due) {
		lines += len(due)
		for _, d := range due {
			counted += d.Count
		}
	}
	for i := range 5000 {
		count(n.Add("undecodable", fmt.Sprintf("reason %d", i)))
	}
	if lines > 201 {
		t.Errorf("%d lines for as many reasons", lines)
	}
	count(n.Rest())
	if counted != 5000 {
		t.Errorf("%d of 5000 occurrences are counted", counted)
	}
}

func TestBadPostsAreLoggedOnceAMinuteWithTheirNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.apply(plainCatalog)
	core, logs := observer.New(zap.WarnLevel)
	var ahead atomic.Int64
	w.opts.Log = zap.New(core)
	w.opts.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	stop := w.work()
	for range 5 {
		w.publish("nonsense")
	}
	w.publish(`{"post":{"id":1,"source":7}}`)
	w.settled()
	ahead.Add(int64(2 * time.Minute))
	w.publish("nonsense", "nonsense")
	w.settled()
	stop()
	numbers := map[string][]int64{}
	total := int64(0)
	for _, entry := range logs.All() {
		fields := entry.ContextMap()
		reason, ok := fields["reason"].(string)
		if !ok {
			t.Errorf("another line: %s %v", entry.Message, fields)
			continue
		}
		numbers[reason] = append(numbers[reason], fields["posts"].(int64))
		total += fields["posts"].(int64)
		if fields["code"] != "undecodable" {
			t.Errorf("fields %v", fields)
		}
	}
	if total != 8 || len(numbers) != 2 {
		t.Errorf("lines by reason: %v", numbers)
	}
	for reason, lines := range numbers {
		if strings.Contains(reason, "post.source") {
			if diff := cmp.Diff([]int64{1}, lines); diff != "" {
				t.Errorf("the post with a bad source: %s", diff)
			}
			continue
		}
		// One line at once; what came meanwhile after two minutes; the last at the end, if it is not among these.
		if lines[0] != 1 || len(lines) < 2 || len(lines) > 4 {
			t.Errorf("nonsense was logged with the numbers %v", lines)
		}
	}
}

func TestACrashIsLoggedAsAnErrorWithItsStack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.apply(plainCatalog)
	core, logs := observer.New(zap.ErrorLevel)
	w.opts.Log = zap.New(core)
	m := w.matcher()
	m.LoseLedger()
	w.background(m.Run)
	w.publish(post(1, "negative"))
	w.settled()
	if logs.Len() != 1 {
		t.Fatalf("%d errors are logged", logs.Len())
	}
	fields := logs.All()[0].ContextMap()
	if stack, _ := fields["stack"].(string); !strings.Contains(stack, "match.go") || fields["post_id"] != "1" || fields["sequence"] != uint64(1) {
		t.Errorf("fields %v", fields)
	}
}
