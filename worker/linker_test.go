package worker_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/ledger"
)

// refused is the refusal that an error is, of the kind wanted.
func refused(t *testing.T, err error, kind string) worker.Refusal {
	t.Helper()
	var r *worker.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("error %v, want a refusal of kind %s", err, kind)
	}
	if r.Kind != kind {
		t.Fatalf("refused as %s (%s), want %s", r.Kind, r.Text, kind)
	}
	return *r
}

func TestAPersonLinksAPostThatNoRuleTook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.publish(post(7, "neutral"))
	w.settled()
	l := w.linker()
	entry, err := l.Link(t.Context(), worker.Request{Post: "@1", Instance: "contoso", Entity: "new_complaint", Notes: "asked for a call", By: "ann"})
	must(t, err)
	if link := entry.Current(); link.State != ledger.Queued || link.Rule != "" || link.Steps[0].By != "ann" || link.Generation != 1 {
		t.Errorf("link %+v", link)
	}
	w.reaches(7, ledger.Linked)

	for name, ref := range map[string]string{"its place": "@1", "its id": "7", "network and id": "Twitter/7", "its name in URLs": worker.PostURLName(key(7))} {
		view, err := l.Details(t.Context(), ref)
		if err != nil {
			t.Errorf("details by %s: %v", name, err)
			continue
		}
		if !view.Details.Converted || view.Details.Entity != "new_complaint" || !strings.Contains(view.URL, "etn=new_complaint") {
			t.Errorf("details by %s: %+v at %s", name, view.Details, view.URL)
		}
	}
	if link := w.reaches(7, ledger.Linked); link.RecordEntity != "new_complaint" || link.RecordID == uuid.Nil {
		t.Errorf("the ledger did not learn the target record: %+v", link)
	}
	r := refused(t, second(l.Link(t.Context(), worker.Request{Post: "7", Instance: "contoso", Entity: "incident", By: "bob"})), worker.RefusedAlreadyLinked)
	if r.Entry == nil || r.Entry.Current().Entity != "new_complaint" {
		t.Errorf("the refusal does not show the link: %+v", r.Entry)
	}
}

func second[T any](_ T, err error) error { return err }

func TestWhatAManualLinkAsksForIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	l := w.linker()
	refused(t, second(l.Link(t.Context(), worker.Request{Event: []byte(post(1, "neutral"))})), worker.RefusedNoCatalog)
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "neutral"), `{"post":{"id":"2"}}`, "nonsense", strings.Replace(post(1, "neutral"), "Twitter", "Facebook", 1))
	w.settled()
	tests := map[string]struct {
		request worker.Request
		kind    string
	}{
		"a post that is not there":                    {worker.Request{Post: "99"}, worker.RefusedPostUnknown},
		"a place where no post is":                    {worker.Request{Post: "@99"}, worker.RefusedPostUnknown},
		"a place that is no number":                   {worker.Request{Post: "@x"}, worker.RefusedPostUnknown},
		"a key that is none":                          {worker.Request{Post: "~x"}, worker.RefusedPostUnknown},
		"nothing":                                     {worker.Request{}, worker.RefusedPostUnknown},
		"a post that cannot be read":                  {worker.Request{Post: "@3"}, worker.RefusedPostInvalid},
		"an event that cannot be read":                {worker.Request{Event: []byte("{")}, worker.RefusedPostInvalid},
		"no instance, and none is the default":        {worker.Request{Post: "@1"}, worker.RefusedNoDefault},
		"an instance that is not configured":          {worker.Request{Post: "@1", Instance: "northwind"}, worker.RefusedInstanceUnknown},
		"no entity, and several are configured":       {worker.Request{Post: "@1", Instance: "contoso"}, worker.RefusedEntityUnnamed},
		"an entity that is not configured":            {worker.Request{Post: "@1", Instance: "contoso", Entity: "lead"}, worker.RefusedEntityUnknown},
		"notes of more than 250 characters":           {worker.Request{Post: "@1", Instance: "fabrikam", Notes: strings.Repeat("é", 251)}, worker.RefusedNotes},
		"notes of more than 250 characters, as UTF16": {worker.Request{Post: "@1", Instance: "fabrikam", Notes: strings.Repeat("😀", 126)}, worker.RefusedNotes},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := l.Link(t.Context(), test.request)
			refused(t, err, test.kind)
		})
	}
	if n := w.contoso.Count("socialactivity") + w.fabrikam.Count("socialactivity"); n != 0 {
		t.Errorf("%d records were made by refused requests", n)
	}
	entry, err := l.Link(t.Context(), worker.Request{Post: "@1", Instance: "fabrikam", Notes: strings.Repeat("😀", 125), By: "ann"})
	must(t, err)
	if entry.Current().Entity != "lead" {
		t.Errorf("the only entity was not chosen: %+v", entry.Current())
	}
	w.reaches(1, ledger.Linked)
	must(t, second(l.Link(t.Context(), worker.Request{Post: "@4", Instance: "fabrikam", By: "ann"})))
	refused(t, second(l.Details(t.Context(), "1")), worker.RefusedPostAmbiguous)
}

func TestAPostCanBeGivenWithTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	l := w.linker()
	must(t, second(l.Link(t.Context(), worker.Request{Event: []byte(post(5, "neutral")), Instance: "fabrikam", By: "ann"})))
	w.reaches(5, ledger.Linked)
	if _, ok := activities(w.fabrikam)[activityID("fabrikam", 5, 1)]; !ok {
		t.Error("there is no record")
	}
	must(t, second(l.Unlink(t.Context(), "5", "ann")))
	refused(t, second(l.Link(t.Context(), worker.Request{Post: "5", Instance: "fabrikam"})), worker.RefusedPostForgotten)
	must(t, second(l.Link(t.Context(), worker.Request{Event: []byte(post(5, "neutral")), Instance: "fabrikam", By: "ann"})))
	if link := w.reaches(5, ledger.Linked); link.Generation != 2 {
		t.Errorf("generation %d", link.Generation)
	}
}

func TestAnOrganizationThatRefusesSocialDataRefusesTheLinkAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "neutral"))
	w.settled()
	w.fabrikam.SetSettings(sandbox.Settings{DisableSocialCare: true})
	r := refused(t, second(w.linker().Link(t.Context(), worker.Request{Post: "1", Instance: "fabrikam", By: "ann"})), worker.RefusedSocialData)
	if !strings.HasPrefix(r.Text, "Dynamics 365 can’t receive social data from postlink") || !strings.Contains(r.Text, "administrator") {
		t.Errorf("refused with %q", r.Text)
	}
	if _, err := w.ledger.Find(t.Context(), key(1)); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("the refused link is in the ledger: %v", err)
	}
}

func TestRemovingALinkIsFinalForItsRecordAndFreesThePost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"), post(2, "neutral"))
	w.reaches(1, ledger.Linked)
	l := w.linker()
	entry, err := l.Unlink(t.Context(), "1", "bob")
	must(t, err)
	if link := entry.Current(); link.State != ledger.Removed || link.Notes != "" || link.Steps[len(link.Steps)-1].By != "bob" {
		t.Errorf("removed link %+v", link)
	}
	refused(t, second(l.Unlink(t.Context(), "1", "bob")), worker.RefusedNotLinked)
	refused(t, second(l.Unlink(t.Context(), "2", "bob")), worker.RefusedNotLinked)
	refused(t, second(l.Details(t.Context(), "1")), worker.RefusedNotLinked)
	if n := w.contoso.Count("socialactivity"); n != 1 {
		t.Errorf("removing the link left %d records in Dynamics", n)
	}
	must(t, second(l.Link(t.Context(), worker.Request{Post: "1", Instance: "contoso", Entity: "incident", By: "bob"})))
	if link := w.reaches(1, ledger.Linked); link.Generation != 2 || link.ID != activityID("contoso", 1, 2) {
		t.Errorf("the new link %+v", link)
	}
	w.publish(post(1, "negative"))
	w.settled()
	if n := w.contoso.Count("socialactivity"); n != 2 {
		t.Errorf("%d records of a post that was linked twice", n)
	}
}

func TestALinkWhoseRecordIsGoneIsBrokenAndItsPostCanBeLinkedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"), post(2, "negative"))
	w.reaches(1, ledger.Linked)
	w.reaches(2, ledger.Linked)
	l := w.linker()
	view, err := l.Details(t.Context(), "1")
	must(t, err)
	w.contoso.Delete("incident", view.Details.Target.ID)
	r := refused(t, second(l.Details(t.Context(), "1")), worker.RefusedRecordGone)
	if r.Entry.Current().State != ledger.Broken || !strings.Contains(r.Text, "can be linked again") {
		t.Errorf("refused with %q, link %+v", r.Text, r.Entry.Current())
	}
	must(t, second(l.Link(t.Context(), worker.Request{Post: "1", Instance: "contoso", Entity: "incident", By: "ann"})))
	w.reaches(1, ledger.Linked)

	w.contoso.Delete("socialactivity", activityID("contoso", 2, 1))
	must(t, second(l.Link(t.Context(), worker.Request{Post: "2", Instance: "contoso", Entity: "incident", By: "ann"})))
	if link := w.reaches(2, ledger.Linked); link.Generation != 2 {
		t.Errorf("the link whose activity is gone still held the post: %+v", link)
	}
}

func TestDetailsOfAnInstanceThatIsDownOrDisabledSayWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"))
	w.reaches(1, ledger.Linked)
	l := w.linker()
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultForbidden})
	if r := refused(t, second(l.Details(t.Context(), "1")), worker.RefusedInstanceDown); !strings.Contains(r.Text, "security roles") {
		t.Errorf("refused with %q", r.Text)
	}
	w.contoso.ClearFaults()
	w.apply(strings.Replace(strings.Split(plainCatalog, "rules:")[0], "name: contoso\n", "name: contoso\n    enabled: false\n", 1))
	refused(t, second(l.Details(t.Context(), "1")), worker.RefusedInstanceDisabled)
	refused(t, second(l.Link(t.Context(), worker.Request{Event: []byte(post(9, "neutral")), Instance: "contoso", Entity: "incident"})), worker.RefusedInstanceDisabled)
	if link := w.reaches(1, ledger.Linked); !link.Active() {
		t.Error("the link is lost")
	}
}

func TestADeletedInstanceForgetsItsLinksUntilItsOrganizationIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	noRules, _, _ := strings.Cut(plainCatalog, "rules:")
	w.apply(plainCatalog)
	w.work()
	w.publish(post(1, "negative"), post(2, "negative"), post(3, "negative"))
	for id := 1; id <= 3; id++ {
		w.reaches(id, ledger.Linked)
	}
	l, r := w.linker(), w.reader()
	w.apply(noRules)
	must(t, second(w.administrator().DeleteInstance(t.Context(), catalog.Commit{Author: "ann"}, "contoso")))
	page, err := r.Posts(t.Context(), worker.PostFilter{Link: worker.PostsUnlinked}, 0, 10)
	must(t, err)
	if len(page.Rows) != 3 {
		t.Errorf("%d posts can be linked after their instance was deleted, want 3", len(page.Rows))
	}
	refused(t, second(l.Details(t.Context(), "1")), worker.RefusedInstanceUnknown)
	must(t, second(l.Link(t.Context(), worker.Request{Post: "2", Instance: "fabrikam", By: "ann"})))
	if link := w.reaches(2, ledger.Linked); link.Instance != "fabrikam" || link.Generation != 2 {
		t.Errorf("link of post 2: %+v", link)
	}

	w.apply(noRules) // with contoso again
	w.contoso.Delete("socialactivity", activityID("contoso", 3, 1))
	w.eventually("the organization is known again", func() (bool, error) {
		s, err := worker.State(t.Context(), w.bus, "contoso")
		return s.Organization != uuid.Nil, err
	})
	if view, err := l.Details(t.Context(), "1"); err != nil || view.Entry.Current().Generation != 1 {
		t.Errorf("the link of post 1 is not back: %v", err)
	}
	if view, err := l.Details(t.Context(), "2"); err != nil || view.Entry.Current().Instance != "fabrikam" {
		t.Errorf("the link of post 2, linked elsewhere meanwhile, is not kept: %v", err)
	}
	refused(t, second(l.Details(t.Context(), "3")), worker.RefusedRecordGone)
}

func TestLinksQueuedForADeletedInstanceBecomeDeadLettersThatCanBeRedriven(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	noRules, _, _ := strings.Cut(plainCatalog, "rules:")
	w.apply(plainCatalog)
	w.contoso.SetSettings(sandbox.Settings{DisableSocialCare: true})
	w.work()
	w.publish(post(1, "negative"))
	w.reaches(1, ledger.Queued)
	refused(t, second(w.linker().Unlink(t.Context(), "1", "ann")), worker.RefusedNotSettled)
	w.apply(noRules)
	must(t, second(w.administrator().DeleteInstance(t.Context(), catalog.Commit{Author: "ann"}, "contoso")))
	if link := w.reaches(1, ledger.Dead); !strings.Contains(link.Reason(), "deleted") {
		t.Errorf("reason %q", link.Reason())
	}
	w.settled()
	w.contoso.SetSettings(sandbox.Settings{})
	l := w.linker()
	letters, err := w.reader().Dead(t.Context(), worker.DeadLink, 0, 10)
	must(t, err)
	if len(letters.Rows) != 1 || letters.Rows[0].Key != key(1) || letters.Rows[0].Instance != "contoso" {
		t.Fatalf("dead letters %+v", letters.Rows)
	}
	refused(t, second(l.Redrive(t.Context(), letters.Rows[0].Sequence, "ann")), worker.RefusedInstanceUnknown)
	w.apply(noRules)
	must(t, second(l.Redrive(t.Context(), letters.Rows[0].Sequence, "ann")))
	if link := w.reaches(1, ledger.Linked); link.Generation != 2 || link.Rule != "complaints" {
		t.Errorf("link %+v", link)
	}
	refused(t, second(l.Redrive(t.Context(), letters.Rows[0].Sequence, "ann")), worker.RefusedLetterUnknown)
	refused(t, l.Drop(t.Context(), letters.Rows[0].Sequence), worker.RefusedLetterUnknown)
}

func TestADeadPostIsReadAgainWhenRedriven(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.work()
	w.publish("nonsense", "more of it")
	w.settled()
	r, l := w.reader(), w.linker()
	page, err := r.Dead(t.Context(), "", 0, 1)
	must(t, err)
	if len(page.Rows) != 1 || page.Next == 0 || page.Rows[0].Kind != worker.DeadPost {
		t.Fatalf("page %+v", page)
	}
	letter, err := r.DeadLetter(t.Context(), page.Rows[0].Sequence)
	must(t, err)
	must(t, l.Drop(t.Context(), letter.Sequence))
	refused(t, second(r.DeadLetter(t.Context(), letter.Sequence)), worker.RefusedLetterUnknown)
	page, err = r.Dead(t.Context(), worker.DeadPost, 0, 10)
	must(t, err)
	must(t, second(l.Redrive(t.Context(), page.Rows[0].Sequence, "ann")))
	w.settled()
	w.eventually("the post is dead again, as a new letter", func() (bool, error) {
		again, err := r.Dead(t.Context(), "", 0, 10)
		return len(again.Rows) == 1 && again.Rows[0].Sequence > page.Rows[0].Sequence, err
	})
}

func TestPostsAndLinksAreListedNewestFirstInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultStatus, Path: "^socialactivities", Status: 400, Code: "0x80044331", Times: 1})
	w.work()
	for id := 1; id <= 9; id++ {
		w.publish(post(id, []string{"negative", "positive", "neutral"}[id%3]))
		w.settled()
	}
	w.publish("nonsense")
	w.settled()
	r := w.reader()
	tests := map[string]struct {
		filter worker.PostFilter
		want   string
	}{
		"all":                        {worker.PostFilter{}, "10 9 8 7 6 5 4 3 2 1"},
		"linked":                     {worker.PostFilter{Link: worker.PostsLinked}, "9 7 6 4 1"},
		"dead":                       {worker.PostFilter{Link: worker.PostsDead}, "3"},
		"not linked":                 {worker.PostFilter{Link: worker.PostsUnlinked}, "10 8 5 3 2"},
		"queued":                     {worker.PostFilter{Link: worker.PostsQueued}, ""},
		"taken by a rule":            {worker.PostFilter{Rule: "praise"}, "7 4 1"},
		"taken by a rule and linked": {worker.PostFilter{Rule: "complaints", Link: worker.PostsLinked}, "9 6"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for below := uint64(0); ; {
				page, err := r.Posts(t.Context(), test.filter, below, 2)
				must(t, err)
				for _, row := range page.Rows {
					got = append(got, fmt.Sprint(row.Sequence))
				}
				if below = page.Next; below == 0 {
					break
				}
			}
			if s := strings.Join(got, " "); s != test.want {
				t.Errorf("posts %s, want %s", s, test.want)
			}
		})
	}
	page, err := r.Links(t.Context(), worker.LinkFilter{State: ledger.Linked, Instance: "contoso", Rule: "complaints"}, 0, 10)
	must(t, err)
	if len(page.Rows) != 2 || page.Rows[0].Entry.Post != key(9) || page.Rows[1].Entry.Post != key(6) || page.Rows[0].ChangedAt.IsZero() {
		t.Errorf("links %+v", page.Rows)
	}
}

func TestEntitiesAndFieldsAreCheckedAgainstDynamics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	a := w.administrator()
	by := catalog.Commit{Author: "ann"}
	offered, err := a.Offered(t.Context(), "contoso")
	must(t, err)
	names := map[string]bool{}
	for _, o := range offered {
		names[o.Name] = true
	}
	if !names["lead"] || !names["new_complaint"] || names["new_vehicle"] {
		t.Errorf("offered %v", names)
	}
	refused(t, second(a.AddEntity(t.Context(), by, "contoso", dynamics.Entity{Name: "new_vehicle"})), worker.RefusedEntityUnrelated)
	refused(t, second(a.AddEntity(t.Context(), by, "contoso", dynamics.Entity{Name: "lead", Fields: []string{"subject", "colour"}})), worker.RefusedFieldUnknown)
	revision, err := a.AddEntity(t.Context(), by, "contoso", dynamics.Entity{Name: "lead", Fields: []string{"subject"}})
	must(t, err)
	if _, err := revision.Catalog.Entity("contoso", "lead"); err != nil {
		t.Error(err)
	}
	refused(t, second(a.SetFields(t.Context(), by, "contoso", "lead", []string{"colour"})), worker.RefusedFieldUnknown)
	refused(t, second(a.Fields(t.Context(), "contoso", "new_nothing")), worker.RefusedEntityUnrelated)
	revision, err = a.SetFields(t.Context(), by, "contoso", "lead", []string{"createdon", "subject"})
	must(t, err)
	if e, _ := revision.Catalog.Entity("contoso", "lead"); fmt.Sprint(e.Fields) != "[createdon subject]" {
		t.Errorf("fields %v", e.Fields)
	}
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultGateway})
	refused(t, second(a.Offered(t.Context(), "contoso")), worker.RefusedInstanceDown)
	var unknown *catalog.NotFoundError
	if _, err := a.Offered(t.Context(), "northwind"); !errors.As(err, &unknown) {
		t.Errorf("error %v", err)
	}
}

func TestARefreshRemovesWhatIsGoneAndKeepsWhatRulesUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(`
instances:
  - name: contoso
    url: https://contoso.crm.dynamics.com
    auth: {kind: static, token: {env: TOKEN}}
    entities:
      - {name: incident, fields: [title, colour, createdon]}
      - {name: new_gone}
      - {name: new_used}
rules:
  - {name: uses-it, when: post.sentiment == "negative", link: {instance: contoso, entity: new_used}}
  - {name: idle, active: false, when: post.sentiment == "negative", link: {instance: contoso, entity: new_gone}}
`)
	found, err := w.administrator().Refresh(t.Context(), catalog.Commit{Author: "ann"}, "contoso")
	must(t, err)
	if got := fmt.Sprint(found.Removed); got != "[{incident colour []} {new_gone  []}]" {
		t.Errorf("removed %s", got)
	}
	if got := fmt.Sprint(found.Kept); got != "[{new_used  [uses-it]}]" {
		t.Errorf("kept %s", got)
	}
	if found.Organization.Version == "" || found.At.IsZero() {
		t.Errorf("found %+v", found)
	}
	in, err := w.revision().Catalog.Instance("contoso")
	must(t, err)
	if got := fmt.Sprint(in.Entities); got != "[{incident [title createdon]} {new_used []}]" {
		t.Errorf("entities %s", got)
	}
	state, err := worker.State(t.Context(), w.bus, "contoso")
	must(t, err)
	if fmt.Sprint(state.Missing) != "[new_used]" || state.RefreshedAt.IsZero() {
		t.Errorf("state %+v", state)
	}
}

func TestTheJournalCountsAndTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(plainCatalog)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultStatus, Path: "^socialactivities", Status: 400, Code: "0x80044331", Times: 1})
	w.work()
	w.publish(post(1, "negative"), post(2, "positive"))
	w.settled()
	var ahead atomic.Int64
	j, stop := w.journal(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	w.eventually("the past is counted", func() (bool, error) {
		want := worker.RuleCounts{LastMatch: w.reaches(1, ledger.Dead).PlannedAt, Matched: 1, Dead: 1}
		return j.Rule("complaints") == want && j.Rule("praise").Linked == 1, nil
	})
	events, cancel := j.Subscribe()
	late, _ := j.Subscribe()
	w.publish(post(10, "negative"))
	for e := range events {
		if e.State == ledger.Linked && e.Post == key(10) {
			break
		}
	}
	cancel()
	cancel()
	stop()
	for range late { // what it was told is still there; then it ends, with the journal
	}
	ahead.Store(int64(8 * bus.Day))
	if c := j.Rule("complaints"); c.Matched != 0 || c.LastMatch.IsZero() {
		t.Errorf("8 days later: %+v", c)
	}
}

func TestLinkersReadersAndAdministratorsNeedTheirParts(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"linker":        second(worker.NewLinker(worker.LinkerOptions{})),
		"reader":        second(worker.NewReader(nil, nil, nil)),
		"administrator": second(worker.NewAdministrator(worker.AdministratorOptions{})),
		"journal":       second(worker.NewJournal(nil, nil, nil)),
	} {
		if err == nil {
			t.Errorf("a %s without anything was made", name)
		}
	}
}

func TestConditionsThatFailAreCountedForEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bus.Options{})
	w.apply(strings.Replace(plainCatalog, `post.sentiment == "positive"`, `post.tags[0] == "praise"`, 1))
	stop := w.work()
	j, _ := w.journal(time.Now)
	w.publish(post(1, "neutral"), post(2, "negative"))
	w.settled()
	w.reaches(2, ledger.Linked) // by the older rule
	stop()                      // which tells what was not told yet
	w.eventually("two failures are counted", func() (bool, error) { return j.Rule("praise").Failed == 2, nil })
}
