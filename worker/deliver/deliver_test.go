package deliver_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"postlink/dynamics/sandbox"
	"postlink/worker/deliver"
	"postlink/worker/instance"
	"postlink/worker/ledger"
)

func TestADelivererNeedsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := deliver.New(deliver.Options{}); err == nil {
		t.Error("a deliverer without anything was made")
	}
}

func TestADisabledInstanceIsSentNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(strings.Replace(twoInstances, "name: contoso\n", "name: contoso\n    enabled: false\n", 1))
	d, _ := w.work()
	w.queue(1, toContoso)
	w.queue(2, toFabrikam)
	w.reaches(2, ledger.Linked)
	w.eventually("nothing is missing", func() (bool, error) { return d.Pulling(), nil })
	if n, err := w.waiting("contoso"); n != 1 || err != nil || len(w.contoso.Requests()) != 0 {
		t.Errorf("%d links wait for the disabled instance, which was sent %d requests; error %v", n, len(w.contoso.Requests()), err)
	}
	w.apply(twoInstances)
	w.reaches(1, ledger.Linked)
	w.apply(strings.Replace(twoInstances, "name: contoso\n", "name: contoso\n    enabled: false\n", 1))
	w.eventually("it is disabled while it runs", func() (bool, error) { return waits(t, w.registry, "contoso")["disabled"] == 1, nil })
}

func TestLinksOfADeletedInstanceBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.fault(w.fabrikam, sandbox.Fault{Kind: sandbox.FaultForbidden, Method: "PATCH"})
	w.work()
	w.queue(1, toFabrikam)
	w.status("fabrikam", "parked", func(s instance.Status) bool { return s.Parked != "" })
	w.apply(onlyContoso)
	link := w.reaches(1, ledger.Dead)
	if link.Last().Code != "instance-deleted" || !strings.Contains(link.Last().Reason, "add it again") {
		t.Errorf("last step %+v", link.Last())
	}
	w.settled()
	letters := w.letters()
	if len(letters) != 1 || letters[0].Code != "instance-deleted" || letters[0].Instance != "fabrikam" || !bytes.Equal(letters[0].Data, post(1)) {
		t.Errorf("dead letters %+v", letters)
	}
	w.queue(2, toFabrikam) // decided by a worker that had not heard of it yet
	w.reaches(2, ledger.Dead)
	w.fabrikam.ClearFaults()
	w.apply(twoInstances)
	w.queue(3, toFabrikam)
	w.reaches(3, ledger.Linked)
}

func TestADeletedInstanceLeavesNoMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.work()
	w.queue(1, toFabrikam)
	w.reaches(1, ledger.Linked)
	if n := len(waits(t, w.registry, "fabrikam")); n == 0 {
		t.Error("no metrics of an instance that is there")
	}
	w.apply(onlyContoso)
	w.eventually("the instance is not shown any more", func() (bool, error) { return len(waits(t, w.registry, "fabrikam")) == 0, nil })
	if n := len(waits(t, w.registry, "contoso")); n == 0 {
		t.Error("the other one is not shown any more either")
	}
}

func TestLinksOfAnInstanceThatWasAddedAgainAreNotGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(onlyContoso)
	must(t, w.opts.Outboxes.Declare(t.Context(), "fabrikam"))
	core, logs := observer.New(zap.WarnLevel)
	w.opts.Log = zap.New(core)
	live := w.live()
	stop := w.background(live.Run)
	<-live.Ready()
	stop() // this worker does not hear of what follows
	w.apply(twoInstances)
	w.deliverer(live)
	w.queue(1, toFabrikam)
	w.eventually("the link is put off", func() (bool, error) {
		return logs.FilterMessage("cannot attempt a link, trying again").Len() > 0, nil
	})
	if reason, _ := logs.All()[0].ContextMap()["reason"].(string); !strings.Contains(reason, "added to the catalog again") {
		t.Errorf("reason %q", reason)
	}
	w.background(live.Run)
	w.reaches(1, ledger.Linked)
	if letters := w.letters(); len(letters) != 0 {
		t.Errorf("dead letters %+v", letters)
	}
}

func TestLinksGoToTheNewAddressOfAnInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.work()
	w.queue(1, toContoso)
	w.reaches(1, ledger.Linked)
	w.apply(strings.Replace(twoInstances, "https://contoso.crm", "https://elsewhere.crm", 1))
	w.status("contoso", "another organization answers", func(s instance.Status) bool {
		return w.elsewhere.Count("socialactivity") == 0 && len(w.elsewhere.Requests()) > 0
	})
	w.queue(2, toContoso)
	first, second := w.reaches(1, ledger.Linked), w.reaches(2, ledger.Linked)
	if first.Organization == second.Organization {
		t.Error("both links name the same organization")
	}
	if w.contoso.Count("socialactivity") != 1 || w.elsewhere.Count("socialactivity") != 1 {
		t.Errorf("%d records at the old address, %d at the new one", w.contoso.Count("socialactivity"), w.elsewhere.Count("socialactivity"))
	}
	w.eventually("the metrics are those of the new address", func() (bool, error) {
		return cmp.Equal(map[string]float64{"disabled": 0, "parked": 0}, waits(t, w.registry, "contoso")), nil
	})
}

func TestAnInstanceThatMovesWhileItIsParkedIsProbedAtItsNewAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultHTML})
	w.work()
	w.queue(1, toContoso)
	w.status("contoso", "parked", func(s instance.Status) bool { return strings.Contains(s.Parked, "check the instance's URL") })
	w.apply(strings.Replace(twoInstances, "https://contoso.crm", "https://elsewhere.crm", 1))
	w.reaches(1, ledger.Linked)
	w.status("contoso", "not parked", func(s instance.Status) bool { return s.Parked == "" && !s.LastSeen.IsZero() })
	if w.elsewhere.Count("socialactivity") != 1 {
		t.Error("the record is not at the new address")
	}
}

func TestTwoDeliverersShareTheWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.work()
	w.work()
	const links = 150
	for id := range links {
		w.queue(id+1, toContoso)
	}
	w.settled()
	if n := w.contoso.Count("socialactivity"); n != links || w.contoso.Duplicates() != 0 {
		t.Errorf("%d records of %d links, %d duplicates", n, links, w.contoso.Duplicates())
	}
	if n := w.contoso.Count("contact"); n != 7 {
		t.Errorf("%d contacts of 7 authors", n)
	}
	if n := w.counted("postlink_links_total", "contoso", "linked"); n != links {
		t.Errorf("%g links are counted", n)
	}
}

func TestADelivererThatStopsInTheMiddleLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultSlow, Path: "^socialactivities", Delay: 5e6})
	d, stop := w.work()
	const links = 200
	for id := range links {
		w.queue(id+1, toContoso)
	}
	w.eventually("some links are made", func() (bool, error) { return w.contoso.Count("socialactivity") > 10, nil })
	stop()
	made := w.contoso.Count("socialactivity")
	if made == links {
		t.Fatalf("all %d links were made before the stop", made)
	}
	if n := w.counted("postlink_links_total", "contoso", "linked"); int(n) != made {
		t.Errorf("%d records were made, %g attempts finished within the drain time", made, n)
	}
	if d.Pulling() {
		t.Error("a deliverer that has stopped still says that it takes links")
	}
	w.work()
	w.settled()
	if n := w.contoso.Count("socialactivity"); n != links || w.contoso.Duplicates() != 0 {
		t.Errorf("%d records of %d links, %d duplicates", n, links, w.contoso.Duplicates())
	}
}

func TestAnAttemptThatOutlastsTheDrainTimeIsGivenBackAndMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(twoInstances)
	w.opts.Drain = 1
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultSlow, Method: "PATCH", Path: "^socialactivities", Delay: 1e9, Times: 1})
	_, stop := w.work()
	w.queue(1, toContoso)
	w.eventually("the record is made, but not answered", func() (bool, error) { return w.contoso.Count("socialactivity") == 1, nil })
	stop()
	if link := w.reaches(1, ledger.Queued); link.Attempts != 0 {
		t.Errorf("the stop counts as %d attempts", link.Attempts)
	}
	w.work()
	w.reaches(1, ledger.Linked)
	if n := w.contoso.Count("socialactivity"); n != 1 {
		t.Errorf("%d records", n)
	}
}
