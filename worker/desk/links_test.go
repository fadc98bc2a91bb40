package desk_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/desk"
	"postlink/worker/instance"
	"postlink/worker/ledger"
)

// linkedWorld has posts 1 to n, each linked to a case of contoso.
func linkedWorld(t *testing.T, n int) *world {
	t.Helper()
	w := newWorld(t)
	w.apply(instances)
	for id := 1; id <= n; id++ {
		w.publish(text(id))
		w.link(fmt.Sprint(id), "contoso", "incident")
		w.deliver(id)
	}
	return w
}

func TestRemovingALinkIsFinalForItsRecordAndFreesThePost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	w.publish(text(1), text(2))
	must(t, second(w.Links.Link(t.Context(), desk.Request{Post: "1", Instance: "contoso", Entity: "incident", Notes: "private", By: "ann"})))
	w.deliver(1)
	entry, err := w.Links.Unlink(t.Context(), "1", "bob")
	must(t, err)
	if link := entry.Current(); link.State != ledger.Removed || link.Notes != "" || link.Last().By != "bob" || w.events(ledger.Removed) != 1 {
		t.Errorf("removed link %+v", link)
	}
	refused(t, second(w.Links.Unlink(t.Context(), "1", "bob")), desk.RefusedNotLinked)
	refused(t, second(w.Links.Unlink(t.Context(), "2", "bob")), desk.RefusedNotLinked)
	if r := refused(t, second(w.Links.Details(t.Context(), "1")), desk.RefusedNotLinked); !strings.Contains(r.Text, "it is removed") {
		t.Errorf("refused with %q", r.Text)
	}
	if n := w.contoso.Count("socialactivity"); n != 1 {
		t.Errorf("removing the link left %d records in Dynamics", n)
	}
	w.link("1", "contoso", "incident")
	if link := w.deliver(1); link.Generation != 2 || link.ID != activityID("contoso", 1, 2) || w.contoso.Count("socialactivity") != 2 {
		t.Errorf("the new link %+v, %d records", link, w.contoso.Count("socialactivity"))
	}
}

func TestALinkWhoseRecordIsGoneIsBrokenAndItsPostCanBeLinkedAgain(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t, 2)
	details, err := w.Links.Details(t.Context(), "1")
	must(t, err)
	w.contoso.Delete("incident", details.Record.Target.ID)
	r := refused(t, second(w.Links.Details(t.Context(), "1")), desk.RefusedRecordGone)
	if r.Entry.Current().State != ledger.Broken || !strings.Contains(r.Text, "can be linked again") || w.events(ledger.Broken) != 1 {
		t.Errorf("refused with %q, link %+v", r.Text, r.Entry.Current())
	}
	w.link("1", "contoso", "incident")

	w.contoso.Delete("socialactivity", activityID("contoso", 2, 1))
	entry := w.link("2", "contoso", "incident") // which finds out
	if entry.Current().Generation != 2 || entry.Links[0].State != ledger.Broken {
		t.Errorf("the link whose activity is gone: %+v", entry.Links)
	}
}

func TestManyWhoSeeThatARecordIsGoneBreakItsLinkOnce(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t, 1)
	w.contoso.Delete("socialactivity", activityID("contoso", 1, 1))
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			_, err := w.Links.Details(t.Context(), "1")
			refusal, ok := errors.AsType[*desk.Refusal](err)
			if !ok || refusal.Kind != desk.RefusedRecordGone && refusal.Kind != desk.RefusedNotLinked {
				t.Errorf("a reader saw %v", err)
			}
		})
	}
	readers.Wait()
	if link := w.current(1); link.State != ledger.Broken || len(link.Steps) != 3 || w.events(ledger.Broken) != 1 {
		t.Errorf("link %+v", link)
	}
}

func TestALinkIsFoundByItsIDWhileItChanges(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t, 1)
	entry, id := w.entry(1), activityID("contoso", 1, 1).String()
	for range 50 {
		var changing sync.WaitGroup
		changing.Go(func() {
			for range 20 {
				var err error
				if entry, err = w.opts.Ledger.Note(t.Context(), entry, func(link *ledger.Link) { link.Attempts++ }); err != nil {
					t.Error(err)
					return
				}
			}
		})
		found, err := w.Links.Find(t.Context(), id)
		changing.Wait()
		if err != nil || found.Link.ID.String() != id {
			t.Fatalf("found %+v, error %v", found, err)
		}
	}
}

func TestReadingChangesNothingOnceTheRecordIsKnown(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t, 1)
	cursor := func() (newest uint64) {
		must(t, w.opts.Ledger.Backwards(t.Context(), 0, func(c ledger.Changed) (bool, error) {
			newest = c.Cursor
			return false, nil
		}))
		return newest
	}
	w.contoso.SetSettings(sandbox.Settings{NoConversion: true})
	must(t, second(w.Links.Details(t.Context(), "1")))
	before := cursor()
	for range 3 {
		must(t, second(w.Links.Details(t.Context(), "1")))
		must(t, second(w.Links.Find(t.Context(), "1")))
		refused(t, second(w.Links.Link(t.Context(), desk.Request{Post: "1", Instance: "contoso", Entity: "incident"})), desk.RefusedAlreadyLinked)
	}
	if after := cursor(); after != before {
		t.Errorf("the ledger was changed from %d to %d", before, after)
	}
}

func TestWhyAnInstanceShowsNoDetailsIsTheTruth(t *testing.T) {
	t.Parallel()
	dns := &net.DNSError{Err: "no such host", Name: "contoso.example", IsNotFound: true}
	tests := map[string]struct {
		fault  sandbox.Fault // of the instance; or
		broken error         // of every request; or
		client error         // there is no client at all
		tokens dynamics.TokenSource
		kind   string // instance-down when empty
		want   []string
	}{
		"it refuses us":             {fault: sandbox.Fault{Kind: sandbox.FaultForbidden}, want: []string{"contoso answered", "security roles"}},
		"it refuses our token":      {fault: sandbox.Fault{Kind: sandbox.FaultUnauthorized}, want: []string{"contoso answered", "its auth in the catalog"}},
		"a gateway answers":         {fault: sandbox.Fault{Kind: sandbox.FaultGateway}, want: []string{"contoso answered", "502", "try again later"}},
		"a sign-in page answers":    {fault: sandbox.Fault{Kind: sandbox.FaultLogin}, want: []string{"contoso answered", "its url in the catalog"}},
		"it is throttled":           {fault: sandbox.Fault{Kind: sandbox.FaultThrottleTime, RetryAfter: 7}, want: []string{"contoso answered", "try again in 7s"}},
		"it is throttled, for long": {fault: sandbox.Fault{Kind: sandbox.FaultThrottleTime}, want: []string{"contoso answered", "try again later"}},
		"it says something odd":     {fault: sandbox.Fault{Kind: sandbox.FaultStatus, Status: 400, Code: "0x1", Message: "no"}, want: []string{"contoso answered", "0x1", "its Dynamics 365 administrator"}},
		"it refuses social data":    {fault: sandbox.Fault{Kind: sandbox.FaultStatus, Status: 400, Code: dynamics.CodeSocialCareDisabled}, kind: desk.RefusedSocialData, want: []string{"receive social data"}},
		"the connection breaks":     {fault: sandbox.Fault{Kind: sandbox.FaultDropBefore}, want: []string{"contoso did not answer", "the network"}},
		"it takes too long":         {broken: context.DeadlineExceeded, want: []string{"contoso did not answer in time"}},
		"its host is not found":     {broken: dns, want: []string{"contoso cannot be found", "its url in the catalog"}},
		"its secret is missing":     {client: errors.New("environment variable X is not set"), want: []string{"contoso cannot be asked: environment variable X is not set", "its secret"}},
		"there is no token for it":  {tokens: noToken{}, want: []string{"contoso was not asked", "invalid_client", "its secret"}},
	}
	w := linkedWorld(t, 1)
	dial := w.client
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w.contoso.ClearFaults()
			w.client = func(i dynamics.Instance) (*dynamics.Client, error) {
				switch {
				case test.client != nil:
					return nil, test.client
				case test.tokens != nil:
					return dynamics.New(dynamics.Options{Instance: i, Tokens: test.tokens})
				case test.broken != nil:
					return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken("t"), Transport: broken{test.broken}})
				}
				return dial(i)
			}
			if test.fault.Kind != "" {
				w.fault(w.contoso, test.fault)
			}
			r := refused(t, second(w.Links.Details(t.Context(), "1")), cmp.Or(test.kind, desk.RefusedInstanceDown))
			for _, want := range test.want {
				if !strings.Contains(r.Text, want) {
					t.Errorf("refused with %q, which lacks %q", r.Text, want)
				}
			}
			if r.Entry == nil || w.current(1).State != ledger.Linked {
				t.Errorf("the link is lost: %+v", r.Entry)
			}
			refused(t, second(w.Links.Link(t.Context(), desk.Request{Post: "1", Instance: "fabrikam"})), desk.RefusedAlreadyLinked)
		})
	}
}

// noToken is a token endpoint that refuses our secret.
type noToken struct{}

func (noToken) Token(context.Context, bool) (string, error) {
	return "", &dynamics.TokenError{Instance: "contoso", Status: 401, Code: "invalid_client"}
}

// broken is a network on which every request fails.
type broken struct{ err error }

func (b broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }

func TestWhoGoesAwayIsNotToldThatTheInstanceIsDown(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t, 1)
	ctx, leave := context.WithCancelCause(t.Context())
	dial := w.client
	w.client = func(i dynamics.Instance) (*dynamics.Client, error) {
		leave(bus.ErrUnreachable) // as bus.Attached does when NATS is lost
		return dial(i)
	}
	if err := second(w.Links.Details(ctx, "1")); !errors.Is(err, bus.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

func TestDetailsOfADisabledInstanceSayWhy(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t, 1)
	w.apply(strings.Replace(instances, "name: contoso\n", "name: contoso\n    enabled: false\n", 1))
	refused(t, second(w.Links.Details(t.Context(), "1")), desk.RefusedInstanceDisabled)
	refused(t, second(w.Links.Link(t.Context(), desk.Request{Event: []byte(text(9)), Instance: "contoso", Entity: "incident"})), desk.RefusedInstanceDisabled)
	refused(t, second(w.Links.Link(t.Context(), desk.Request{Post: "1", Instance: "fabrikam"})), desk.RefusedAlreadyLinked)
	if !w.current(1).Active() {
		t.Error("the link is lost")
	}
}

func TestADeletedInstanceForgetsItsLinksUntilItsOrganizationIsBack(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t, 3)
	counts, err := w.Instances.LinkCounts(t.Context())
	must(t, err)
	if counts["contoso"] != 3 || len(counts) != 1 {
		t.Errorf("counted %v before the instance is deleted", counts)
	}
	must(t, second(w.Instances.Delete(t.Context(), catalog.Commit{Author: "ann"}, "contoso")))
	page, err := w.Posts.List(t.Context(), desk.PostFilter{Link: desk.PostsUnlinked}, 0, 10)
	must(t, err)
	if len(page.Rows) != 3 {
		t.Errorf("%d posts can be linked after their instance was deleted, want 3", len(page.Rows))
	}
	refused(t, second(w.Links.Details(t.Context(), "1")), desk.RefusedInstanceUnknown)
	if entry := w.link("2", "fabrikam", ""); entry.Current().Generation != 2 || entry.Links[0].State != ledger.Broken {
		t.Errorf("links of post 2: %+v", entry.Links)
	}
	w.deliver(2)

	w.apply(strings.Replace(instances, "name: contoso", "name: contoso-emea", 1)) // the same organization under another name
	must(t, w.opts.Statuses.Update(t.Context(), "contoso-emea", func(s *instance.Status) { s.Organization = w.current(1).Organization }))
	dial := w.client
	w.client = func(i dynamics.Instance) (*dynamics.Client, error) {
		i.Name = strings.TrimSuffix(i.Name, "-emea")
		return dial(i)
	}
	w.contoso.Delete("socialactivity", activityID("contoso", 3, 1))
	if details, err := w.Links.Details(t.Context(), "1"); err != nil || details.Instance != "contoso-emea" {
		t.Errorf("the link of post 1 is not back: %v", err)
	}
	if details, err := w.Links.Details(t.Context(), "2"); err != nil || details.Instance != "fabrikam" {
		t.Errorf("the link of post 2, linked elsewhere meanwhile, is not kept: %v", err)
	}
	refused(t, second(w.Links.Details(t.Context(), "3")), desk.RefusedRecordGone)
	counts, err = w.Instances.LinkCounts(t.Context())
	must(t, err)
	if fmt.Sprint(counts) != "map[contoso-emea:1 fabrikam:1]" {
		t.Errorf("counted %v", counts)
	}
}

func TestLinksAreFoundByTheirIDAndByTheirPost(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t, 2)
	must(t, second(w.Links.Unlink(t.Context(), "1", "bob")))
	w.link("1", "fabrikam", "")
	w.publish(text(3), "nonsense")
	tests := map[string]struct {
		name       string
		id         uuid.UUID
		instance   string
		generation int
	}{
		"its id":                 {activityID("contoso", 2, 1).String(), activityID("contoso", 2, 1), "contoso", 1},
		"the id of an older one": {activityID("contoso", 1, 1).String(), activityID("contoso", 1, 1), "contoso", 1},
		"its id in capitals":     {strings.ToUpper(activityID("fabrikam", 1, 2).String()), activityID("fabrikam", 1, 2), "fabrikam", 2},
		"its post":               {"twitter/1", activityID("fabrikam", 1, 2), "fabrikam", 2},
		"the place of its post":  {"@2", activityID("contoso", 2, 1), "contoso", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := w.Links.Find(t.Context(), test.name)
			must(t, err)
			if found.Link.ID != test.id || found.Instance != test.instance || found.Link.Generation != test.generation || found.ChangedAt.IsZero() {
				t.Errorf("found %+v", found)
			}
		})
	}
	for name, kind := range map[string]string{
		uuid.NewString(): desk.RefusedLinkUnknown, "nobody": desk.RefusedLinkUnknown, "@3": desk.RefusedNotLinked, "@4": desk.RefusedNotLinked,
	} {
		refused(t, second(w.Links.Find(t.Context(), name)), kind)
	}
}

func TestLinksAreListedNewestChangeFirstInPages(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t, 4)
	w.publish(text(5), text(6))
	w.link("5", "fabrikam", "")
	w.link("6", "fabrikam", "")
	w.die(6)
	must(t, second(w.Links.Unlink(t.Context(), "2", "bob")))
	tests := map[string]struct {
		filter desk.LinkFilter
		want   string
	}{
		"all":          {desk.LinkFilter{}, "2 6 5 4 3 1"},
		"linked":       {desk.LinkFilter{State: ledger.Linked}, "4 3 1"},
		"of contoso":   {desk.LinkFilter{Instance: "contoso"}, "2 4 3 1"},
		"dead":         {desk.LinkFilter{State: ledger.Dead, Instance: "fabrikam"}, "6"},
		"of a rule":    {desk.LinkFilter{Rule: "praise"}, ""},
		"of nowhere":   {desk.LinkFilter{Instance: "northwind"}, ""},
		"still queued": {desk.LinkFilter{State: ledger.Queued}, "5"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for below := uint64(0); ; {
				page, err := w.Links.List(t.Context(), test.filter, below, 2)
				must(t, err)
				for _, row := range page.Rows {
					got = append(got, row.Entry.Post.PostID)
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
}

func TestNothingIsDoneWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t, 1)
	d := w.Desk
	w.server.Shutdown()
	ctx := t.Context()
	by := catalog.Commit{Author: "ann"}
	for name, err := range map[string]error{
		"find a post":  second(d.Posts.Find(ctx, "1")),
		"find a place": second(d.Posts.Find(ctx, "@1")),
		"list posts":   second(d.Posts.List(ctx, desk.PostFilter{}, 0, 1)),
		"link":         second(d.Links.Link(ctx, desk.Request{Event: []byte(text(2)), Instance: "fabrikam"})),
		"unlink":       second(d.Links.Unlink(ctx, "1", "ann")),
		"details":      second(d.Links.Details(ctx, "1")),
		"list links":   second(d.Links.List(ctx, desk.LinkFilter{}, 0, 1)),
		"find a link":  second(d.Links.Find(ctx, uuid.NewString())),
		"redrive":      second(d.Letters.Redrive(ctx, 1, "ann")),
		"drop":         d.Letters.Drop(ctx, 1),
		"status":       second(d.Instances.Status(ctx, "contoso")),
		"offered":      second(d.Instances.Offered(ctx, "contoso")),
		"refresh":      second(d.Instances.Refresh(ctx, by, "contoso")),
		"delete":       second(d.Instances.Delete(ctx, by, "contoso")),
		"count links":  second(d.Instances.LinkCounts(ctx)),
	} {
		if !errors.Is(err, bus.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
