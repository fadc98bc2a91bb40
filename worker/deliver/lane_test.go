package deliver_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/payload"
	"postlink/worker/deadletter"
	"postlink/worker/instance"
	"postlink/worker/ledger"
)

func TestALinkBecomesTheRecordThatItsDecisionAsksFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.work()
	entry := w.queue(1, toContoso)
	w.queue(2, toFabrikam)
	w.reaches(2, ledger.Linked)
	link := w.reaches(1, ledger.Linked)
	if link.Organization.ID() == 0 || link.Attempts != 0 || link.Last().By != "postlink" {
		t.Errorf("link of post 1: %+v", link)
	}
	made := activities(w.contoso)
	var record struct {
		Subject, PostID          string
		ActivityAdditionalParams string
		RegardingTable           string `json:"_regardingobjectid_value@Microsoft.Dynamics.CRM.lookuplogicalname"`
	}
	must(t, json.Unmarshal(made[link.ID].Record, &record))
	if len(made) != 1 || record.Subject != "text of 1" || record.PostID != "x1" || record.RegardingTable != "incident" {
		t.Errorf("%d records, record %+v", len(made), record)
	}
	for _, want := range []string{
		`"userPreferredTargetEntity":"incident"`, `"notes":"call back"`, `"MSEbacklinkPost":"https://console.example/posts/` + key(1).PathName(),
	} {
		if !strings.Contains(record.ActivityAdditionalParams, want) {
			t.Errorf("additional parameters %s lack %s", record.ActivityAdditionalParams, want)
		}
	}
	if e := w.event(1, ledger.Linked); e.ID != entry.Current().ID || !strings.Contains(e.URL, "/contoso/main.aspx?etn=socialactivity") {
		t.Errorf("event %+v", e)
	}
	if n := w.counted("postlink_links_total", "contoso", "linked"); n != 1 {
		t.Errorf("%g links are counted", n)
	}
	s := w.status("contoso", "seen", func(s instance.Status) bool { return !s.LastSeen.IsZero() })
	if s.Organization != link.Organization || s.Version == "" {
		t.Errorf("status %+v", s)
	}
}

func TestAnAnswerThatIsLostMakesNoSecondRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultDrop, Method: "PATCH", Path: "^socialactivities", Times: 2})
	w.work()
	w.queue(1, toContoso)
	link := w.reaches(1, ledger.Linked)
	if n := w.contoso.Count("socialactivity"); n != 1 || w.contoso.Duplicates() != 0 {
		t.Errorf("%d records", n)
	}
	if link.LastError != "" {
		t.Errorf("the linked link still has an error: %s", link.LastError)
	}
}

func TestALinkThatDynamicsRefusesIsDeadWithTheCodeAndTheText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.fault(w.contoso, sandbox.Fault{
		Kind: sandbox.FaultStatus, Path: "^socialactivities", Status: 400, Code: "0x80044331", Message: "The length is too long.", Times: 1,
	})
	w.work()
	w.queue(1, toContoso)
	last := w.reaches(1, ledger.Dead).Last()
	if last.Code != "0x80044331" || !strings.Contains(last.Reason, "The length is too long.") {
		t.Errorf("last step %+v", last)
	}
	w.queue(2, toContoso)
	if link := w.reaches(2, ledger.Linked); link.Attempts != 0 {
		t.Errorf("the other link needed %d attempts", link.Attempts)
	}
	w.settled()
	letters := w.letters()
	if len(letters) != 1 {
		t.Fatalf("%d dead letters", len(letters))
	}
	l := letters[0]
	if l.Kind != deadletter.Link || l.Instance != "contoso" || l.Rule != "complaints" || l.Code != "0x80044331" || l.Post != key(1) ||
		l.PostSequence != 1 || l.Generation != 1 || !bytes.Equal(l.Data, post(1)) {
		t.Errorf("dead letter %+v", l)
	}
	if e := w.event(1, ledger.Dead); e.URL != "" || !strings.Contains(e.Reason, "too long") {
		t.Errorf("event %+v", e)
	}
	if n := w.counted("postlink_links_total", "contoso", "dead"); n != 1 {
		t.Errorf("%g dead links are counted", n)
	}
}

func TestALinkOfWhichNoActivityCanBeMadeIsDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.work()
	d := toContoso
	d.Notes = strings.Repeat("n", payload.MaxNotes+1)
	w.queue(1, d)
	if last := w.reaches(1, ledger.Dead).Last(); last.Code != "unbuildable" || !strings.Contains(last.Reason, "250") {
		t.Errorf("last step %+v", last)
	}
}

func TestAnInstanceThatRefusesSocialDataIsParkedAndLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	core, logs := observer.New(zap.ErrorLevel)
	w.opts.Log = zap.New(core)
	w.work()
	w.queue(1, toContoso)
	w.reaches(1, ledger.Linked)
	w.contoso.SetSettings(sandbox.Settings{DisableSocialCare: true})
	for id := 2; id < 8; id++ {
		w.queue(id, toContoso)
	}
	w.queue(8, toFabrikam)
	s := w.status("contoso", "parked", func(s instance.Status) bool { return s.Parked != "" })
	if !strings.HasPrefix(s.Parked, "Dynamics 365 can’t receive social data from postlink") || s.ParkedSince.IsZero() || s.NextTry.IsZero() {
		t.Errorf("status %+v", s)
	}
	w.reaches(8, ledger.Linked) // the other instance goes on
	probes := len(w.contoso.Requests())
	w.eventually("it is probed", func() (bool, error) { return len(w.contoso.Requests()) > probes+6, nil })
	if n := logs.FilterMessageSnippet("parked").Len(); n != 1 {
		t.Errorf("%d notices of one park", n)
	}
	w.contoso.SetSettings(sandbox.Settings{})
	for id := 2; id < 8; id++ {
		if link := w.reaches(id, ledger.Linked); link.Attempts != 0 {
			t.Errorf("parking counts as %d attempts of post %d", link.Attempts, id)
		}
	}
	w.status("contoso", "not parked any more", func(s instance.Status) bool {
		return s.Parked == "" && s.ParkedSince.IsZero() && s.NextTry.IsZero() && !s.LastSeen.IsZero()
	})
	if n := w.counted("postlink_delivery_failures_total", "contoso", "park"); n == 0 {
		t.Error("no attempt is counted as parked")
	}
}

func TestAThrottledInstanceWaitsAsLongAsItAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.work()
	w.queue(1, toContoso)
	w.reaches(1, ledger.Linked)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultThrottleRequests, RetryAfter: 1, Times: 1})
	for id := 2; id < 12; id++ {
		w.queue(id, toContoso)
	}
	w.status("contoso", "throttled", func(s instance.Status) bool { return !s.ThrottledUntil.IsZero() })
	w.settled()
	var refused, next int64
	for _, r := range w.contoso.Requests() {
		switch {
		case r.Status == 429:
			refused = r.Time.UnixMilli()
		case refused != 0 && next == 0 && r.Time.UnixMilli() > refused+500: // what was under way may still arrive
			next = r.Time.UnixMilli()
		}
	}
	if refused == 0 || next-refused < 990 {
		t.Errorf("refused at %d, asked again after %d ms", refused, next-refused)
	}
	for id := 1; id < 12; id++ {
		if link := w.reaches(id, ledger.Linked); link.Attempts != 0 {
			t.Errorf("throttling counts as %d attempts of post %d", link.Attempts, id)
		}
	}
	w.status("contoso", "not throttled any more", func(s instance.Status) bool { return s.ThrottledUntil.IsZero() })
}

func TestAPassingFaultIsTriedAgainCountedAndShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.work()
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultUnavailable, Path: "^socialactivities"})
	w.queue(1, toContoso)
	s := w.status("contoso", "links are tried again", func(s instance.Status) bool { return s.Retrying != "" })
	if !strings.Contains(s.Retrying, "503") || s.RetryingSince.IsZero() || s.Parked != "" {
		t.Errorf("status %+v", s)
	}
	w.eventually("three attempts are counted", func() (bool, error) {
		entry, err := w.opts.Ledger.Find(t.Context(), key(1))
		return err == nil && entry.Current().Attempts == 3, err
	})
	link := w.reaches(1, ledger.Queued)
	if !strings.Contains(link.LastError, "503") || link.FailedAt.IsZero() {
		t.Errorf("link %+v", link)
	}
	w.contoso.ClearFaults()
	if link := w.reaches(1, ledger.Linked); link.Attempts < 3 || link.LastError != "" {
		t.Errorf("link %+v", link)
	}
	w.status("contoso", "links succeed", func(s instance.Status) bool { return s.Retrying == "" && s.RetryingSince.IsZero() })
	if n := w.counted("postlink_delivery_failures_total", "contoso", "retry"); n < 3 {
		t.Errorf("%g failures are counted", n)
	}
}

func TestALinkThatCannotBeDeliveredForTooLongIsDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.opts.MaxAge = 1
	w.apply(twoInstances)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultUnavailable, Path: "^socialactivities"})
	w.work()
	w.queue(1, toContoso)
	link := w.reaches(1, ledger.Dead)
	if last := link.Last(); last.Code != "expired" || !strings.Contains(last.Reason, "503") || link.Attempts != 1 {
		t.Errorf("link %+v", link)
	}
}

func TestACrashMakesADeadLetterAndLogsItsStack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	core, logs := observer.New(zap.ErrorLevel)
	w.opts.Log = zap.New(core)
	var crash atomic.Bool
	w.opts.Client = func(i dynamics.Instance) (*dynamics.Client, error) {
		if i.Name == "contoso" && crash.CompareAndSwap(true, false) {
			panic("out of luck")
		}
		return w.clients.Client(i)
	}
	w.work()
	w.queue(1, toContoso)
	w.reaches(1, ledger.Linked)
	w.settled()
	crash.Store(true)
	w.queue(2, toContoso)
	if last := w.reaches(2, ledger.Dead).Last(); last.Code != deadletter.CodeCrashed || last.Reason != "crash: out of luck" {
		t.Errorf("last step %+v", last)
	}
	w.settled()
	if letters := w.letters(); len(letters) != 1 || letters[0].Code != deadletter.CodeCrashed {
		t.Errorf("dead letters %+v", letters)
	}
	lines := logs.FilterMessage("the delivery of a link crashed").All()
	if len(lines) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	if stack, _ := lines[0].ContextMap()["stack"].(string); !strings.Contains(stack, "lane.go") {
		t.Errorf("stack %q", stack)
	}
	w.queue(3, toContoso)
	w.reaches(3, ledger.Linked)
}

func TestAttemptsAreMeasuredWithTheGivenClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ahead atomic.Int64
	w.opts.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	w.opts.MaxAge = time.Hour
	w.apply(twoInstances)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultUnavailable, Path: "^socialactivities"})
	w.work()
	w.queue(1, toContoso)
	w.eventually("an attempt failed", func() (bool, error) {
		entry, err := w.opts.Ledger.Find(t.Context(), key(1))
		return err == nil && entry.Current().Attempts > 0, err
	})
	w.reaches(1, ledger.Queued)
	ahead.Store(int64(2 * time.Hour))
	if last := w.reaches(1, ledger.Dead).Last(); last.Code != "expired" {
		t.Errorf("last step %+v", last)
	}
}
