package desk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"postlink/dynamics/sandbox"
	"postlink/worker/bus"
	"postlink/worker/desk"
	"postlink/worker/ledger"
	"postlink/worker/outbox"
)

func TestAPersonLinksAPostThatNoRuleTook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	w.publish(text(7))
	entry, err := w.Links.Link(t.Context(), desk.Request{Post: "@1", Instance: "contoso", Entity: "new_complaint", Notes: "asked for a call", By: "ann"})
	must(t, err)
	if link := entry.Current(); link.State != ledger.Queued || link.Rule != "" || link.Decided().By != "ann" || link.Generation != 1 || entry.Sequence != 1 {
		t.Errorf("entry %+v", entry)
	}
	decision := ledger.Decision{Instance: "contoso", Entity: "new_complaint", Catalog: w.revision().ID, Notes: "asked for a call", By: "ann"}
	want := []outbox.Entry{{Post: key(7), Sequence: 1, Generation: 1, Decision: decision, Data: []byte(text(7))}}
	if diff := cmp.Diff(want, w.waiting("contoso")); diff != "" {
		t.Errorf("the outbox differs (-want +got):\n%s", diff)
	}
	if n := w.events(ledger.Queued); n != 1 {
		t.Errorf("%d events, want 1", n)
	}

	w.deliver(7)
	for name, ref := range map[string]string{"its place": "@1", "its id": "7", "network and id": "Twitter/7", "its name in URLs": key(7).PathName()} {
		details, err := w.Links.Details(t.Context(), ref)
		if err != nil {
			t.Errorf("details by %s: %v", name, err)
			continue
		}
		if !details.Record.Converted || details.Record.Entity != "new_complaint" || !strings.Contains(details.URL, "etn=new_complaint") || details.Instance != "contoso" {
			t.Errorf("details by %s: %+v", name, details)
		}
	}
	if link := w.current(7); link.RecordEntity != "new_complaint" || link.RecordID == uuid.Nil {
		t.Errorf("the ledger did not learn the target record: %+v", link)
	}
	r := refused(t, second(w.Links.Link(t.Context(), desk.Request{Post: "7", Instance: "contoso", Entity: "incident", By: "bob"})), desk.RefusedAlreadyLinked)
	if r.Entry == nil || r.Entry.Current().Entity != "new_complaint" {
		t.Errorf("the refusal does not show the link: %+v", r.Entry)
	}
}

func TestWhatALinkByHandAsksForIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refused(t, second(w.Links.Link(t.Context(), desk.Request{Event: []byte(text(1))})), desk.RefusedNoCatalog)
	w.apply(instances)
	w.publish(text(1), `{"post":{"id":"2"}}`, "nonsense", strings.Replace(text(1), "Twitter", "Facebook", 1))
	tests := map[string]struct {
		request desk.Request
		kind    string
	}{
		"a post that is not there":                    {desk.Request{Post: "99"}, desk.RefusedPostUnknown},
		"a place where no post is":                    {desk.Request{Post: "@99"}, desk.RefusedPostUnknown},
		"a place that is no number":                   {desk.Request{Post: "@x"}, desk.RefusedPostUnknown},
		"a key that is none":                          {desk.Request{Post: "~x"}, desk.RefusedPostUnknown},
		"nothing":                                     {desk.Request{}, desk.RefusedPostUnknown},
		"a post that cannot be read":                  {desk.Request{Post: "@3"}, desk.RefusedPostInvalid},
		"an event that cannot be read":                {desk.Request{Event: []byte("{")}, desk.RefusedPostInvalid},
		"no instance, and none is the default":        {desk.Request{Post: "@1"}, desk.RefusedNoDefault},
		"an instance that is not configured":          {desk.Request{Post: "@1", Instance: "northwind"}, desk.RefusedInstanceUnknown},
		"no entity, and several are configured":       {desk.Request{Post: "@1", Instance: "contoso"}, desk.RefusedEntityUnnamed},
		"an entity that is not configured":            {desk.Request{Post: "@1", Instance: "contoso", Entity: "lead"}, desk.RefusedEntityUnknown},
		"notes of more than 250 characters":           {desk.Request{Post: "@1", Instance: "fabrikam", Notes: strings.Repeat("é", 251)}, desk.RefusedNotes},
		"notes of more than 250 characters, as UTF16": {desk.Request{Post: "@1", Instance: "fabrikam", Notes: strings.Repeat("😀", 126)}, desk.RefusedNotes},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			refused(t, second(w.Links.Link(t.Context(), test.request)), test.kind)
		})
	}
	if n := len(w.waiting("contoso")) + len(w.waiting("fabrikam")); n != 0 {
		t.Errorf("%d links were queued by refused requests", n)
	}
	entry, err := w.Links.Link(t.Context(), desk.Request{Post: "@1", Instance: "fabrikam", Notes: strings.Repeat("😀", 125), By: "ann"})
	must(t, err)
	if entry.Current().Entity != "lead" {
		t.Errorf("the only entity was not chosen: %+v", entry.Current())
	}
	w.link("@4", "fabrikam", "")
	if r := refused(t, second(w.Links.Details(t.Context(), "1")), desk.RefusedPostAmbiguous); !strings.Contains(r.Text, "facebook/1") {
		t.Errorf("the refusal does not name the posts: %s", r.Text)
	}
	refused(t, second(w.Links.Details(t.Context(), "facebook/1")), desk.RefusedStillQueued)
}

func TestADisabledDefaultInstanceIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, _, _ := strings.Cut(instances, "  - name: fabrikam")
	w.apply(strings.Replace(one, "name: contoso\n", "name: contoso\n    default: true\n    enabled: false\n", 1))
	r := refused(t, second(w.Links.Link(t.Context(), desk.Request{Event: []byte(text(1))})), desk.RefusedNoDefault)
	if !strings.Contains(r.Text, "the default instance contoso is disabled") {
		t.Errorf("refused with %q", r.Text)
	}
}

func TestAPostCanBeGivenWithTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	given := desk.Request{Event: []byte(text(5)), Instance: "fabrikam", By: "ann"}
	must(t, second(w.Links.Link(t.Context(), given)))
	w.deliver(5)
	post, err := w.Posts.Find(t.Context(), "5")
	must(t, err)
	if !post.GivenByHand || post.Content != nil || post.Entry == nil || post.Instance != "fabrikam" || post.Problem != "" {
		t.Errorf("found %+v", post)
	}
	must(t, second(w.Links.Unlink(t.Context(), "5", "ann")))
	r := refused(t, second(w.Links.Link(t.Context(), desk.Request{Post: "5", Instance: "fabrikam"})), desk.RefusedPostForgotten)
	if !strings.Contains(r.Text, "given by hand") || strings.Contains(r.Text, "no longer") {
		t.Errorf("refused with %q", r.Text)
	}
	must(t, second(w.Links.Link(t.Context(), given)))
	if link := w.deliver(5); link.Generation != 2 || w.fabrikam.Count("socialactivity") != 2 {
		t.Errorf("link %+v, %d records", link, w.fabrikam.Count("socialactivity"))
	}
}

func TestAnOrganizationThatRefusesSocialDataRefusesTheLinkAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	w.publish(text(1))
	w.fabrikam.SetSettings(sandbox.Settings{DisableSocialCare: true})
	r := refused(t, second(w.Links.Link(t.Context(), desk.Request{Post: "1", Instance: "fabrikam", By: "ann"})), desk.RefusedSocialData)
	if !strings.HasPrefix(r.Text, "Dynamics 365 can’t receive social data from postlink") || !strings.Contains(r.Text, "administrator") {
		t.Errorf("refused with %q", r.Text)
	}
	if _, err := w.opts.Ledger.Find(t.Context(), key(1)); !errors.Is(err, ledger.ErrNotFound) || len(w.waiting("fabrikam")) != 0 {
		t.Errorf("the refused link is in the ledger or the outbox: %v", err)
	}
	w.fabrikam.SetSettings(sandbox.Settings{})
	w.fault(w.fabrikam, sandbox.Fault{Kind: sandbox.FaultUnavailable})
	w.link("1", "fabrikam", "") // an instance that does not answer may take social data
}

func TestOfManyPeopleWhoLinkAPostOneDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	w.publish(text(1))
	var people sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		request := desk.Request{Post: "1", Instance: []string{"contoso", "fabrikam"}[i%2], Entity: []string{"incident", "lead"}[i%2], By: fmt.Sprint("person ", i)}
		people.Go(func() { _, errs[i] = w.Links.Link(t.Context(), request) })
	}
	people.Wait()
	linked := 0
	for i, err := range errs {
		if err != nil {
			refused(t, err, desk.RefusedAlreadyLinked)
			continue
		}
		linked++
		if by := w.current(1).Decided().By; by != fmt.Sprint("person ", i) {
			t.Errorf("the answer says that person %d linked the post, but %s did", i, by)
		}
	}
	if linked != 1 || len(w.entry(1).Links) != 1 || w.events(ledger.Queued) != 1 {
		t.Errorf("%d people linked the post, entry %+v", linked, w.entry(1))
	}
}

// A delivery may take an entry out of the outbox before the desk has decided it, and then decides it itself.
func TestALinkThatIsDeliveredBeforeItIsDecidedIsNoConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	ctx, cancel := context.WithCancel(t.Context())
	var delivery sync.WaitGroup
	delivery.Go(func() {
		w.opts.Outboxes.Take(ctx, "fabrikam", bus.Consumption{Slots: 4, Buffer: 8, Drain: time.Minute, Log: w.bus.Log()}, func(ctx context.Context, d bus.Delivery) bus.Settlement {
			waiting, err := outbox.Read(d.Message)
			if err == nil {
				_, err = w.opts.Ledger.Decide(ctx, ledger.Entry{Post: waiting.Post, Sequence: waiting.Sequence}, waiting.Decision)
			}
			if err != nil && !errors.Is(err, ledger.ErrStale) {
				t.Errorf("decide what waits: %v", err)
			}
			return bus.Ack()
		})
	})
	for id := range 100 {
		entry, err := w.Links.Link(t.Context(), desk.Request{Event: []byte(text(id + 1)), Instance: "fabrikam", By: "ann"})
		if err != nil || len(entry.Links) != 1 {
			t.Errorf("link post %d: %v", id+1, err)
		}
	}
	cancel()
	delivery.Wait()
}

func TestALinkThatIsMissingInItsOutboxIsQueuedAgainWhenAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	w.publish(text(1))
	_, _, err := w.opts.Ledger.Freeze(t.Context(), key(1), 1, ledger.Decision{Instance: "fabrikam", Entity: "lead", Rule: "praise", By: "rule praise"})
	must(t, err)
	r := refused(t, second(w.Links.Link(t.Context(), desk.Request{Post: "1", Instance: "fabrikam", By: "ann"})), desk.RefusedAlreadyLinked)
	if r.Entry.Current().Rule != "praise" || !strings.Contains(r.Text, "waits") {
		t.Errorf("refused with %q, entry %+v", r.Text, r.Entry)
	}
	if waiting := w.waiting("fabrikam"); len(waiting) != 1 || waiting[0].Decision.Rule != "praise" || waiting[0].Generation != 1 {
		t.Errorf("the outbox has %+v", waiting)
	}
}

func TestAFullOutboxAndATooLargePostRefuseTheLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	w.opts.Outboxes = outbox.New(w.bus, 1)
	small, err := desk.New(w.opts)
	must(t, err)
	large := strings.Replace(text(3), "text of 3", strings.Repeat("x", 1<<20-len(text(3))), 1)
	r := refused(t, second(small.Links.Link(t.Context(), desk.Request{Event: []byte(large), Instance: "fabrikam"})), desk.RefusedPostInvalid)
	if !strings.Contains(r.Text, "max_payload") {
		t.Errorf("refused with %q", r.Text)
	}
	must(t, second(small.Links.Link(t.Context(), desk.Request{Event: []byte(text(1)), Instance: "fabrikam"})))
	refused(t, second(small.Links.Link(t.Context(), desk.Request{Event: []byte(text(2)), Instance: "fabrikam"})), desk.RefusedInstanceDown)
	for _, id := range []int{2, 3} {
		if _, err := w.opts.Ledger.Find(t.Context(), key(id)); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("the refused link of post %d is in the ledger: %v", id, err)
		}
	}
}
