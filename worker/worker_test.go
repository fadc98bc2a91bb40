package worker_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/dynamics/sandbox"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/ledger"
	"postlink/worker/posts"
)

func TestPostsBecomeTheRecordsThatTheirRulesAskFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"), post(2, "Positive"), post(3, "neutral"))
	w.settled()

	link := w.reaches(1, ledger.Linked)
	if link.Rule != "complaints" || link.Entity != "incident" || link.Instance != "contoso" || link.Catalog == "" || link.Organization.ID() == 0 {
		t.Errorf("link of post 1: %+v", link)
	}
	w.reaches(2, ledger.Linked)
	w.unlinked(3)
	if a, b := activities(w.contoso), activities(w.fabrikam); a != 1 || b != 1 {
		t.Fatalf("%d activities in contoso, %d in fabrikam", a, b)
	}
	record := w.record(w.contoso, "contoso", 1)
	if record["subject"] != "text of 1" || record["postid"] != "x1" ||
		record["_regardingobjectid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] != "incident" {
		t.Errorf("record %+v", record)
	}
	parameters, _ := record["activityadditionalparams"].(string)
	for _, want := range []string{
		`"userPreferredTargetEntity":"incident"`, `"notes":"call back"`,
		`"MSEbacklinkPost":"https://console.example/posts/` + key(1).PathName() + `"`,
	} {
		if !strings.Contains(parameters, want) {
			t.Errorf("additional parameters %s lack %s", parameters, want)
		}
	}
	if w.contoso.Count("incident") != 1 || w.fabrikam.Count("lead") != 1 {
		t.Errorf("%d incidents, %d leads", w.contoso.Count("incident"), w.fabrikam.Count("lead"))
	}
}

func TestAPostThatArrivesThreeTimesBecomesOneRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"), post(1, "negative"), post(1, "negative"))
	w.settled()
	w.reaches(1, ledger.Linked)
	if n := w.contoso.Count("socialactivity"); n != 1 {
		t.Errorf("%d records of one post", n)
	}
}

func TestEveryPostIsInExactlyOnePlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.apply(plainCatalog)
	_, err := w.contoso.AddFault(sandbox.Fault{
		Kind: sandbox.FaultStatus, Path: "^socialactivities", Status: 400, Code: "0x80044331", Message: "The length is too long.", Times: 1,
	})
	must(t, err)
	w.work()
	w.publish(post(1, "negative"), post(2, "negative"), post(3, "neutral"), "nonsense", post(4, "positive"))
	w.settled()
	states := map[ledger.State]int{}
	must(t, w.Ledger.Scan(t.Context(), func(e ledger.Entry) error {
		states[e.Current().State]++
		return nil
	}))
	if states[ledger.Linked] != 2 || states[ledger.Dead] != 1 || len(states) != 2 {
		t.Errorf("states of links: %v", states)
	}
	for kind, want := range map[string]uint64{deadletter.Post: 1, deadletter.Link: 1} {
		if n, err := w.Letters.Count(t.Context(), deadletter.Filter{Kind: kind}); err != nil || n != want {
			t.Errorf("%d dead letters of kind %s, error %v", n, kind, err)
		}
	}
	if n := activities(w.contoso) + activities(w.fabrikam); n != 2 {
		t.Errorf("%d records", n)
	}
}

func TestTwoWorkersShareTheWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.apply(plainCatalog)
	w.work()
	w.work()
	const count = 150
	for id := range count {
		w.publish(post(id, "negative"))
	}
	w.settled()
	if n := w.contoso.Count("socialactivity"); n != count || w.contoso.Duplicates() != 0 {
		t.Errorf("%d records of %d posts, %d duplicates", n, count, w.contoso.Duplicates())
	}
	if n := w.contoso.Count("contact"); n != 7 {
		t.Errorf("%d contacts of 7 authors", n)
	}
}

func TestAWorkerThatStopsInTheMiddleLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.apply(plainCatalog)
	_, err := w.contoso.AddFault(sandbox.Fault{Kind: sandbox.FaultSlow, Path: "^socialactivities", Delay: 5 * time.Millisecond})
	must(t, err)
	stop := w.work()
	const count = 200
	for id := range count {
		w.publish(post(id, "negative"))
	}
	w.eventually("some links are made", func() (bool, error) { return w.contoso.Count("socialactivity") > 10, nil })
	stop()
	if n := w.contoso.Count("socialactivity"); n == count {
		t.Fatalf("all %d links were made before the stop", n)
	}
	w.work()
	w.settled()
	if n := w.contoso.Count("socialactivity"); n != count || w.contoso.Duplicates() != 0 {
		t.Errorf("%d records of %d posts, %d duplicates", n, count, w.contoso.Duplicates())
	}
}

func TestARemovedLinkStaysRemovedWhenItsPostArrivesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"))
	w.reaches(1, ledger.Linked)
	_, err := w.Desk.Links.Unlink(t.Context(), "1", "ann")
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
	w := newWorld(t, nil)
	w.work()
	w.publish(post(1, "negative"))
	if n, err := w.Posts.Backlog(t.Context()); err != nil || n != 1 {
		t.Errorf("backlog %d, error %v", n, err)
	}
	w.apply(plainCatalog)
	w.settled()
	w.unlinked(1)
	w.publish(post(2, "negative"))
	w.reaches(2, ledger.Linked)
}

func TestABadCatalogChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.apply(plainCatalog)
	w.work()
	before, err := w.Catalog.Current(t.Context())
	must(t, err)
	for name, bad := range map[string]string{
		"a bad condition":          strings.Replace(plainCatalog, `post.sentiment == "positive"`, `post.mood == "positive"`, 1),
		"an entity in use is gone": strings.Replace(plainCatalog, "{name: incident}, ", "", 1),
	} {
		if err := w.tryApply(bad); err == nil {
			t.Errorf("%s: applied", name)
		}
	}
	after, err := w.Catalog.Current(t.Context())
	must(t, err)
	if before.Number != after.Number {
		t.Errorf("the catalog went from %d to %d", before.Number, after.Number)
	}
	w.publish(post(1, "negative"))
	w.reaches(1, ledger.Linked)
}

func TestInstancesComeAndGoWhileTheWorkerRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
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

func TestARuleDoesNotActOnPostsThatArrivedBeforeItWasActivated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.apply(strings.Replace(plainCatalog, "name: complaints\n", "name: complaints\n    active: false\n", 1))
	w.publish(post(1, "negative"))
	w.apply(plainCatalog)
	w.publish(post(2, "negative"))
	w.apply(strings.Replace(plainCatalog, "call back", "call back soon", 1)) // an edit keeps it active
	w.work()
	w.settled()
	w.unlinked(1)
	w.reaches(2, ledger.Linked)
}

func TestTheCatalogOfAStartIsPutInForceOnceUntilItChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.apply(plainCatalog)
	start := func(c *catalog.Catalog) {
		t.Helper()
		w.change = func(o *worker.Options) { o.Catalog, o.Author = c, "start" }
		w.open().Close()
	}
	first := &catalog.Catalog{}
	start(first)
	_, _, err := w.Catalog.Change(t.Context(), catalog.Commit{Author: "ann"}, func(c *catalog.Catalog) error { return nil })
	must(t, err)
	w.apply(plainCatalog) // what people do afterwards stays
	start(first)
	now, err := w.Catalog.Current(t.Context())
	must(t, err)
	if len(now.Catalog.Rules) != 2 || now.Author != "test" {
		t.Errorf("a restart undid what was changed since: %d rules by %s", len(now.Catalog.Rules), now.Author)
	}
}

func TestAWorkerSaysWhetherItIsReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if ready := w.Ready(); ready["catalog"] || ready["posts"] || !ready["nats"] {
		t.Errorf("before it runs: %v", ready)
	}
	w.server.Shutdown()
	w.eventually("the loss of NATS is known", func() (bool, error) { return !w.Ready()["nats"], nil })
}

// Another application on the same NATS keeps what it has, and the start says so.
func TestAStartRefusesWhatOthersMade(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make  func(jetstream.JetStream) error
		named string
	}{
		"a stream": {func(js jetstream.JetStream) error {
			_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "POSTLINK_EVENTS", Subjects: []string{"theirs.>"}, MaxAge: time.Hour})
			return err
		}, "POSTLINK_EVENTS"},
		"a bucket": {func(js jetstream.JetStream) error {
			_, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "postlink_catalog", History: 3})
			return err
		}, "postlink_catalog"},
		"outboxes, of an instance that the catalog does not have yet": {func(js jetstream.JetStream) error {
			_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "POSTLINK_OUTBOX_mail", Subjects: []string{"mail.out"}})
			return err
		}, "POSTLINK_OUTBOX_mail"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := bustest.Server(t)
			nc, err := nats.Connect("", nats.InProcessServer(server))
			must(t, err)
			t.Cleanup(nc.Close)
			js, err := jetstream.New(nc)
			must(t, err)
			must(t, test.make(js))
			w := &world{t: t, server: server}
			_, err = w.try()
			if !errors.Is(err, bus.ErrForeign) || !strings.Contains(err.Error(), test.named) {
				t.Errorf("error %v", err)
			}
			w.change = func(o *worker.Options) { o.NATS.Namespace = "social" }
			made, err := w.try()
			if err != nil {
				t.Fatalf("under another name: %v", err)
			}
			made.Close()
		})
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, test := range map[string]struct {
		change func(*worker.Options)
		says   string
	}{
		"no log":                            {func(o *worker.Options) { o.Log = nil }, "log"},
		"a ledger that forgets too early":   {func(o *worker.Options) { o.LedgerAge = time.Hour }, "ledger.max_age"},
		"a namespace that NATS cannot hold": {func(o *worker.Options) { o.NATS.Namespace = "a.b" }, "namespace"},
		"no NATS":                           {func(o *worker.Options) { o.NATS.Server = nil }, "NATS url"},
		"posts under a subject of ours":     {func(o *worker.Options) { o.Posts = posts.Options{Stream: "X", Subjects: []string{"postlink.dead.>"}} }, "X"},
	} {
		w.change = test.change
		if made, err := w.try(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: error %v", name, err)
			if made != nil {
				made.Close()
			}
		}
	}
}
