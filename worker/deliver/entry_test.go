package deliver_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"postlink/worker/deadletter"
	"postlink/worker/ledger"
)

func TestEntriesThatPostlinkDidNotWriteBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	whole := nats.Header{
		"Postlink-Post": {key(9).Encode()}, "Postlink-Generation": {"1"}, "Postlink-Sequence": {"9"}, "Postlink-Decision": {`{"instance":"contoso"}`},
	}
	without := func(name, value string) nats.Header {
		h := maps.Clone(whole)
		h.Set(name, value)
		return h
	}
	tests := map[string]struct {
		header nats.Header
		reason string
	}{
		"no header":                     {nil, "ledger key"},
		"a post that cannot be read":    {without("Postlink-Post", "x"), "ledger key"},
		"a generation that is none":     {without("Postlink-Generation", "first"), "Postlink-Generation"},
		"a generation before the first": {without("Postlink-Generation", "0"), "Postlink-Generation"},
		"a sequence that is none":       {without("Postlink-Sequence", "-1"), "Postlink-Sequence"},
		"a decision that is none":       {without("Postlink-Decision", "[]"), "Postlink-Decision"},
	}
	w := newWorld(t)
	w.apply(twoInstances)
	w.work()
	w.queue(1, toContoso)
	w.reaches(1, ledger.Linked)
	for name, test := range tests {
		msg := &nats.Msg{Subject: w.bus.Subject("outbox", "contoso"), Header: test.header, Data: []byte(name)}
		must(t, w.bus.Publish(t.Context(), msg, ""))
	}
	w.queue(2, toContoso)
	w.reaches(2, ledger.Linked)
	w.settled()
	letters := map[string]deadletter.Letter{}
	for _, l := range w.letters() {
		letters[string(l.Data)] = l
	}
	for name, test := range tests {
		l := letters[name]
		if l.Code != deadletter.CodeForeign || !strings.Contains(l.Reason, test.reason) ||
			!strings.Contains(l.Reason, "the outbox of contoso was not put there by postlink") {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if len(letters) != len(tests) {
		t.Errorf("%d letters of %d entries", len(letters), len(tests))
	}
}

// undecided is the entry of a link that the ledger does not know.
func (w *world) undecided(id int, d ledger.Decision) ledger.Entry {
	return w.opts.Ledger.Next(ledger.Entry{Post: key(id), Sequence: uint64(id)}, d)
}

func TestALinkThatWasQueuedButNotDecidedIsDecidedAndDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.work()
	d := toContoso
	d.Rule, d.By = "", "ann"
	w.put(w.undecided(1, d), 1)
	link := w.reaches(1, ledger.Linked)
	if link.Decision() != d || link.Generation != 1 {
		t.Errorf("link %+v", link)
	}
	w.settled()

	entry, err := w.opts.Ledger.Find(t.Context(), key(1))
	must(t, err)
	entry, err = w.opts.Ledger.Move(t.Context(), entry, ledger.Step{State: ledger.Removed, By: "ann"}, nil)
	must(t, err)
	w.put(w.opts.Ledger.Next(entry, d), 1) // linked again, and stopped before the decision
	w.eventually("the second link is made", func() (bool, error) { return w.contoso.Count("socialactivity") == 2, nil })
	if link := w.reaches(1, ledger.Linked); link.Generation != 2 {
		t.Errorf("link %+v", link)
	}
}

func TestAnEntryThatTheLedgerContradictsBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.work()
	second := w.undecided(1, toContoso)
	second.Current().State = ledger.Removed
	third := w.opts.Ledger.Next(second, toContoso)
	w.put(third, 1) // of a ledger that knew of the first
	w.settled()
	letters := w.letters()
	if len(letters) != 1 || letters[0].Code != deadletter.CodeForeign || letters[0].Post != key(1) || letters[0].PostSequence != 1 ||
		!strings.Contains(letters[0].Reason, "backup") {
		t.Errorf("dead letters %+v", letters)
	}
	if _, err := w.opts.Ledger.Find(t.Context(), key(1)); err == nil || len(activities(w.contoso)) != 0 {
		t.Error("the link was decided or delivered")
	}
}

func TestAnEntryOfALinkThatIsNotThePostsIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.put(w.undecided(1, toContoso), 1) // two people link the post at once: the first queues it ...
	w.queue(1, toFabrikam)              // ... and the second decides
	w.work()
	w.settled()
	if link := w.reaches(1, ledger.Linked); link.Instance != "fabrikam" {
		t.Errorf("link %+v", link)
	}
	if n, letters := len(activities(w.contoso)), w.letters(); n != 0 || len(letters) != 0 {
		t.Errorf("%d records in contoso, dead letters %+v", n, letters)
	}
}

func TestALinkThatWasFinishedBeforeIsOnlyPublishedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	linked := w.queue(1, toContoso)
	_, err := w.opts.Ledger.Move(t.Context(), linked, ledger.Step{State: ledger.Linked, By: "postlink"}, nil) // and the worker died
	must(t, err)
	dead := w.queue(2, toContoso)
	_, err = w.opts.Ledger.Move(t.Context(), dead, ledger.Step{State: ledger.Dead, By: "postlink", Reason: "why", Code: "expired"}, nil)
	must(t, err)
	w.work()
	w.settled()
	w.event(1, ledger.Linked)
	w.event(2, ledger.Dead)
	if letters := w.letters(); len(letters) != 1 || letters[0].Code != "expired" || letters[0].Post != key(2) {
		t.Errorf("dead letters %+v", letters)
	}
	if n := len(activities(w.contoso)); n != 0 {
		t.Errorf("%d records were made again", n)
	}
}
