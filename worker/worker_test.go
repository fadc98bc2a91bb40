package worker_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"postlink/dynamics/sandbox"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/ledger"
)

func TestPostsBecomeTheRecordsThatTheirRulesAskFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"), post(2, "Positive"), post(3, "neutral"))
	w.settled()

	link := w.reaches(1, ledger.Linked)
	if link.Rule != "complaints" || link.Entity != "incident" || link.Instance != "contoso" || link.Catalog == "" || link.Organization.ID() == 0 {
		t.Errorf("link of post 1: %+v", link)
	}
	w.reaches(2, ledger.Linked)
	if _, err := w.ledger.Find(t.Context(), key(3)); err == nil {
		t.Error("the neutral post was linked")
	}
	inContoso, inFabrikam := activities(w.contoso), activities(w.fabrikam)
	if len(inContoso) != 1 || len(inFabrikam) != 1 {
		t.Fatalf("%d activities in contoso, %d in fabrikam", len(inContoso), len(inFabrikam))
	}
	var record struct {
		Subject, PostID          string
		ActivityAdditionalParams string
		RegardingTable           string `json:"_regardingobjectid_value@Microsoft.Dynamics.CRM.lookuplogicalname"`
	}
	must(t, json.Unmarshal(inContoso[activityID("contoso", 1, 1)].Record, &record))
	if record.Subject != "text of 1" || record.PostID != "x1" || record.RegardingTable != "incident" {
		t.Errorf("record %+v", record)
	}
	for _, want := range []string{`"userPreferredTargetEntity":"incident"`, `"notes":"call back"`, `"MSEbacklinkPost":"https://console.example/posts/` + key(1).Encode()} {
		if !strings.Contains(record.ActivityAdditionalParams, want) {
			t.Errorf("additional parameters %s lack %s", record.ActivityAdditionalParams, want)
		}
	}
	if w.contoso.Count("incident") != 1 || w.fabrikam.Count("lead") != 1 {
		t.Errorf("%d incidents, %d leads", w.contoso.Count("incident"), w.fabrikam.Count("lead"))
	}
}

func TestAPostThatArrivesThreeTimesBecomesOneRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"), post(1, "negative"), post(1, "negative"))
	w.settled()
	if n := w.contoso.Count("socialactivity"); n != 1 {
		t.Errorf("%d records of one post", n)
	}
}

func TestAnUndecodablePostIsKeptWithItsBytesAndTheReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.publish(`{"post":{"id":1,"source":7}}`, "nonsense", post(2, "negative"))
	w.settled()
	letters := w.deadLetters(bus.DeadPost)
	if len(letters) != 2 {
		t.Fatalf("%d dead letters", len(letters))
	}
	slices.SortFunc(letters, func(a, b bus.Message) int {
		return strings.Compare(a.Header.Get("Postlink-Sequence"), b.Header.Get("Postlink-Sequence"))
	})
	if got := letters[0]; string(got.Data) != `{"post":{"id":1,"source":7}}` || !strings.Contains(got.Header.Get("Postlink-Reason"), "post.source") ||
		got.Header.Get("Postlink-Sequence") != "1" {
		t.Errorf("dead letter %q with header %v", got.Data, got.Header)
	}
	w.reaches(2, ledger.Linked)
}

func TestARedeliveredPostKeepsTheDecisionOfItsFirstDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.publish(post(1, "negative"))
	msg, err := w.posts().Next() // a worker takes the post, decides, and dies before its outbox and its ack
	must(t, err)
	_, _, err = w.ledger.Plan(t.Context(), key(1), 1, ledger.Decision{
		ID: activityID("contoso", 1, 1), Instance: "contoso", Entity: "new_complaint", Rule: "gone", Catalog: "old", By: "rule gone",
	})
	must(t, err)
	must(t, msg.Nak())

	w.apply(strings.Replace(plainCatalog, `post.sentiment == "negative"`, `post.sentiment == "neutral"`, 1))
	w.work()
	link := w.reaches(1, ledger.Linked)
	if link.Rule != "gone" || link.Entity != "new_complaint" || link.Generation != 1 {
		t.Errorf("link %+v", link)
	}
	if w.contoso.Count("socialactivity") != 1 || w.contoso.Count("new_complaint") != 1 {
		t.Errorf("%d activities, %d complaints", w.contoso.Count("socialactivity"), w.contoso.Count("new_complaint"))
	}
}

func TestAnAnswerThatIsLostMakesNoSecondRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultDrop, Method: "PATCH", Path: "^socialactivities", Times: 2})
	w.work()
	w.publish(post(1, "negative"))
	link := w.reaches(1, ledger.Linked)
	if n := w.contoso.Count("socialactivity"); n != 1 || w.contoso.Duplicates() != 0 {
		t.Errorf("%d records", n)
	}
	if link.LastError != "" {
		t.Errorf("the linked link still tells an error: %s", link.LastError)
	}
}

func TestALinkThatDynamicsCannotTakeIsDeadWithTheCodeAndTheText(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultStatus, Path: "^socialactivities", Status: 400, Code: "0x80044331", Message: "The length is too long.", Times: 1})
	w.work()
	w.publish(post(1, "negative"), post(2, "negative"))
	w.settled()
	dead, linked := w.reachesEither(1, 2)
	if !strings.Contains(dead.Reason(), "0x80044331") || !strings.Contains(dead.Reason(), "The length is too long.") {
		t.Errorf("reason %q", dead.Reason())
	}
	letters := w.deadLetters(bus.DeadLink)
	if len(letters) != 1 || letters[0].Subject != "dead.link.contoso" || !strings.Contains(string(letters[0].Data), "content") {
		t.Errorf("dead letters %+v", letters)
	}
	if linked.Attempts != 0 {
		t.Errorf("the other link needed %d attempts", linked.Attempts)
	}
}

// reachesEither waits until of two posts one is dead and the other is linked.
func (w *world) reachesEither(a, b int) (dead, linked *ledger.Link) {
	w.t.Helper()
	for _, id := range []int{a, b} {
		e, err := w.ledger.Find(w.t.Context(), key(id))
		must(w.t, err)
		if link := e.Current(); link.State == ledger.Dead {
			dead = link
		} else {
			linked = link
		}
	}
	if dead == nil || linked == nil || linked.State != ledger.Linked {
		w.t.Fatalf("dead: %+v, linked: %+v", dead, linked)
	}
	return dead, linked
}

func TestAnInstanceThatRefusesSocialDataIsParkedAndLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"))
	w.reaches(1, ledger.Linked)
	w.contoso.SetSettings(sandbox.Settings{DisableSocialCare: true})
	w.publish(post(2, "negative"), post(3, "positive"))
	if why := w.parked("contoso"); !strings.Contains(why, "Dynamics 365 can’t receive social data from postlink") {
		t.Errorf("parked because %q", why)
	}
	w.reaches(3, ledger.Linked) // the other instance goes on
	if link := w.reaches(2, ledger.Queued); link.Attempts != 0 {
		t.Errorf("parking burned %d attempts", link.Attempts)
	}
	w.contoso.SetSettings(sandbox.Settings{})
	w.reaches(2, ledger.Linked)
	w.eventually("the instance is no longer parked", func() (bool, error) {
		s, err := worker.State(t.Context(), w.bus, "contoso")
		return s.Parked == "" && !s.LastSeen.IsZero(), err
	})
}

func TestAThrottledInstanceWaitsAsLongAsItIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"))
	w.reaches(1, ledger.Linked)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultThrottleRequests, RetryAfter: 1, Times: 1})
	for id := 2; id < 12; id++ {
		w.publish(post(id, "negative"))
	}
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
			t.Errorf("throttling burned %d attempts of post %d", link.Attempts, id)
		}
	}
}

func TestAPassingFaultIsTriedAgainAndCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultUnavailable, Path: "^socialactivities", Times: 3})
	w.work()
	w.publish(post(1, "negative"))
	if link := w.reaches(1, ledger.Linked); link.Attempts != 3 {
		t.Errorf("%d attempts are counted, want 3", link.Attempts)
	}
}

func TestALinkThatCannotBeDeliveredForTooLongIsDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.deliverer = func(o *worker.DelivererOptions) { o.MaxAge = 1 }
	w.apply(plainCatalog)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultUnavailable, Path: "^socialactivities"})
	w.work()
	w.publish(post(1, "negative"))
	if link := w.reaches(1, ledger.Dead); !strings.Contains(link.Reason(), "503") {
		t.Errorf("reason %q", link.Reason())
	}
}

func TestADisabledInstanceIsSentNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	_, _, err := w.ledger.Plan(t.Context(), key(1), 1, ledger.Decision{ID: activityID("contoso", 1, 1), Instance: "contoso", Entity: "incident", By: "ann"})
	must(t, err)
	idle := plainCatalog[:strings.Index(plainCatalog, "rules:")]
	disabled := strings.Replace(idle, "name: contoso\n", "name: contoso\n    enabled: false\n", 1)
	w.apply(disabled)
	w.publish(post(1, "negative"))
	msg, err := w.posts().Next()
	must(t, err)
	must(t, msg.Nak()) // the next delivery finds the decision and puts it into the outbox
	w.work()
	outbox, err := w.bus.Outbox(t.Context(), "contoso")
	must(t, err)
	w.eventually("the link waits in the outbox", func() (bool, error) {
		n, err := outbox.Waiting(t.Context())
		return n == 1, err
	})
	if n := len(w.contoso.Requests()); n != 0 {
		t.Errorf("%d requests were sent to a disabled instance", n)
	}
	w.apply(idle)
	w.reaches(1, ledger.Linked)
}

func TestAFullOutboxHoldsBackItsOwnPostsOnlyAndLosesNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{OutboxEntries: 3})
	w.apply(plainCatalog)
	w.contoso.SetSettings(sandbox.Settings{DisableSocialCare: true})
	w.work()
	w.parked("contoso")
	for id := 1; id <= 8; id++ {
		w.publish(post(id, "negative"))
	}
	w.publish(post(9, "positive"))
	w.reaches(9, ledger.Linked)
	outbox, err := w.bus.Outbox(t.Context(), "contoso")
	must(t, err)
	w.eventually("the outbox is full, and the rest of the posts wait for it", func() (bool, error) {
		n, err := outbox.Waiting(t.Context())
		if err != nil || n != 3 {
			return false, err
		}
		backlog, err := w.bus.Backlog(t.Context())
		return backlog == 5, err
	})
	w.contoso.SetSettings(sandbox.Settings{})
	w.settled()
	if n := w.contoso.Count("socialactivity"); n != 8 {
		t.Errorf("%d records of 8 posts", n)
	}
}

func TestTwoWorkersShareTheWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.work()
	const posts = 150
	for id := range posts {
		w.publish(post(id, "negative"))
	}
	w.settled()
	if n := w.contoso.Count("socialactivity"); n != posts || w.contoso.Duplicates() != 0 {
		t.Errorf("%d records of %d posts, %d duplicates", n, posts, w.contoso.Duplicates())
	}
	if n := w.contoso.Count("contact"); n != 7 {
		t.Errorf("%d contacts of 7 authors", n)
	}
}

func TestAWorkerThatStopsInTheMiddleLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultSlow, Path: "^socialactivities", Delay: 5e6})
	stop := w.work()
	const posts = 200
	for id := range posts {
		w.publish(post(id, "negative"))
	}
	w.eventually("some links are made", func() (bool, error) { return w.contoso.Count("socialactivity") > 10, nil })
	stop()
	if n := w.contoso.Count("socialactivity"); n == posts {
		t.Fatalf("all %d links were made before the stop", n)
	}
	w.work()
	w.settled()
	if n := w.contoso.Count("socialactivity"); n != posts || w.contoso.Duplicates() != 0 {
		t.Errorf("%d records of %d posts, %d duplicates", n, posts, w.contoso.Duplicates())
	}
}

func TestARemovedLinkStaysRemovedWhenItsPostArrivesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"))
	w.reaches(1, ledger.Linked)
	entry, err := w.ledger.Find(t.Context(), key(1))
	must(t, err)
	_, err = w.ledger.Settle(t.Context(), entry, ledger.Removed, "ann", "", nil)
	must(t, err)
	w.publish(post(1, "negative"))
	w.settled()
	w.reaches(1, ledger.Removed)
	if n := w.contoso.Count("socialactivity"); n != 1 {
		t.Errorf("%d records", n)
	}
}

func TestPostsThatArriveBeforeTheFirstCatalogAreNobodysBusiness(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.work()
	w.publish(post(1, "negative"))
	if n, err := w.bus.Backlog(t.Context()); err != nil || n != 1 {
		t.Errorf("backlog %d, error %v", n, err)
	}
	w.apply(plainCatalog)
	w.settled()
	if _, err := w.ledger.Find(t.Context(), key(1)); err == nil {
		t.Error("a rule acted on a post that arrived before it was there")
	}
	w.publish(post(2, "negative"))
	w.reaches(2, ledger.Linked)
}

func TestABadCatalogChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	before, err := w.store.Current(t.Context())
	must(t, err)
	for name, bad := range map[string]string{
		"a bad condition":          strings.Replace(plainCatalog, `post.sentiment == "positive"`, `post.mood == "positive"`, 1),
		"an entity in use is gone": strings.Replace(plainCatalog, "{name: incident}, ", "", 1),
	} {
		if err := w.tryApply(bad); err == nil {
			t.Errorf("%s: applied", name)
		}
	}
	after, err := w.store.Current(t.Context())
	must(t, err)
	if before.Number != after.Number {
		t.Errorf("the catalog went from %d to %d", before.Number, after.Number)
	}
	w.publish(post(1, "negative"))
	w.reaches(1, ledger.Linked)
}

func TestInstancesComeAndGoWhileTheWorkerRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	const onlyContoso = `
instances:
  - {name: contoso, url: https://contoso.crm.dynamics.com, auth: {kind: static, token: {env: TOKEN}}, entities: [{name: incident}]}
rules:
  - {name: complaints, when: post.sentiment == "negative", link: {instance: contoso, entity: incident}}
`
	w.apply(onlyContoso)
	w.work()
	w.publish(post(1, "negative"))
	w.reaches(1, ledger.Linked)
	w.apply(plainCatalog)
	w.eventually("fabrikam is linked to", func() (bool, error) {
		w.publish(post(2, "positive"))
		return w.fabrikam.Count("socialactivity") == 1, nil
	})
	w.apply(onlyContoso)
	w.publish(post(3, "negative"))
	w.reaches(3, ledger.Linked)
}

func TestOptionsThatLackSomethingAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := worker.NewMatcher(worker.MatcherOptions{}); err == nil {
		t.Error("a matcher without anything was made")
	}
	if _, err := worker.NewDeliverer(worker.DelivererOptions{}); err == nil {
		t.Error("a deliverer without anything was made")
	}
}

func TestARuleDoesNotActOnPostsThatArrivedBeforeItWasActivated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(strings.Replace(plainCatalog, "name: complaints\n", "name: complaints\n    active: false\n", 1))
	w.publish(post(1, "negative"))
	w.apply(plainCatalog)
	w.publish(post(2, "negative"))
	w.apply(strings.Replace(plainCatalog, "call back", "call back soon", 1)) // an edit keeps it active
	w.work()
	w.settled()
	if _, err := w.ledger.Find(t.Context(), key(1)); err == nil {
		t.Error("the rule acted on a post that arrived before it was active")
	}
	w.reaches(2, ledger.Linked)
}
