package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/dynamics/sandbox"
	"postlink/worker/console"
	"postlink/worker/ledger"
)

func (w *world) send(method, path string, body any) answer {
	w.t.Helper()
	return w.do(ask{method: method, path: path, body: body})
}

func TestAnInstanceIsAddedEditedAndDeleted(t *testing.T) {
	t.Parallel()
	w := newQuietWorld(t)
	if list := as[console.List[console.Instance]](w.get(console.PathInstances).is(http.StatusOK)); len(list.Items) != 0 {
		t.Errorf("instances before the first: %v", list)
	}
	disabled := false
	auth := console.Auth{Kind: "static", Token: console.Secret{Env: "TOKEN"}}
	a := w.send(http.MethodPost, console.PathInstances, console.NewInstance{
		Name: "contoso", URL: "https://contoso.crm.dynamics.com/", Default: true, Enabled: &disabled, Auth: auth,
	}).is(http.StatusCreated)
	got := as[console.Instance](a)
	want := console.Instance{Name: "contoso", URL: "https://contoso.crm.dynamics.com", Default: true, Auth: auth, Entities: []console.Entity{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	if a.header.Get("ETag") == "" {
		t.Error("no ETag")
	}
	w.contoso.SetSettings(sandbox.Settings{DisableSocialCare: true})
	w.send(http.MethodPost, to(console.PathEnableInstance, "contoso"), nil).is(http.StatusOK)
	changed := as[console.Instance](w.send(http.MethodPatch, to(console.PathInstance, "contoso"), console.InstanceChange{
		Auth: &console.Auth{Kind: "static", Token: console.Secret{File: "/run/secrets/contoso"}},
	}).is(http.StatusOK))
	if changed.URL != want.URL || changed.Auth.Token.File != "/run/secrets/contoso" || !changed.Enabled {
		t.Errorf("changed %+v", changed)
	}
	w.eventually("the instance is parked", func() bool {
		in := as[console.Instance](w.get(to(console.PathInstance, "contoso")))
		return strings.Contains(in.Parked, "can’t receive social data") && !in.ParkedSince.IsZero()
	})
	w.contoso.SetSettings(sandbox.Settings{})
	w.eventually("the instance was seen", func() bool {
		in := as[console.Instance](w.get(to(console.PathInstance, "contoso")))
		return in.Parked == "" && !in.LastSeen.IsZero() && in.Version != "" && in.Organization != ""
	})
	w.send(http.MethodPatch, to(console.PathInstance, "contoso"), console.InstanceChange{URL: "http://contoso.crm.dynamics.com/x?y"}).problem(422, "catalog-invalid")
	w.send(http.MethodDelete, to(console.PathInstance, "contoso"), nil).is(http.StatusNoContent)
	w.get(to(console.PathInstance, "contoso")).problem(404, "instance-unknown")

	var messages []string
	for _, r := range as[console.List[console.Revision]](w.get(console.PathCatalogHistory)).Items {
		messages = append(messages, r.Author+": "+r.Message)
	}
	by := "administrator@example.com: "
	if diff := cmp.Diff([]string{by + "delete instance contoso", by + "edit instance contoso", by + "enable instance contoso", by + "add instance contoso"}, messages); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestEntitiesAreChosenFromWhatTheInstanceOffers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	configured := map[string]bool{}
	for _, r := range as[console.List[console.RecordType]](w.get(to(console.PathRecordTypes, "contoso")).is(200)).Items {
		configured[r.Name] = r.Configured
		if r.Label == "" || r.Custom != strings.HasPrefix(r.Name, "new_") {
			t.Errorf("record type %+v", r)
		}
	}
	if !configured["incident"] || configured["lead"] {
		t.Errorf("configured: %v", configured)
	}
	if _, offered := configured["new_vehicle"]; offered {
		t.Error("a record type without a relationship to social activities is offered")
	}
	var labels []string
	for _, f := range as[console.List[console.Field]](w.get(to(console.PathRecordTypeFields, "contoso", "incident")).is(200)).Items {
		if f.Name == "ticketnumber" || f.Name == "title" {
			labels = append(labels, f.Label+" "+f.Type)
		}
	}
	if diff := cmp.Diff([]string{"Case Number String", "Case Title String"}, labels); diff != "" {
		t.Error(diff)
	}
	added := as[console.Entity](w.send(http.MethodPost, to(console.PathEntities, "contoso"), console.Entity{Name: "lead", Fields: []string{"subject", "fullname"}}).is(201))
	moved := as[console.Entity](w.send(http.MethodPut, to(console.PathEntityFields, "contoso", "lead"), console.Fields{Fields: []string{"fullname", "subject"}}).is(200))
	if fmt.Sprint(added.Fields, moved.Fields) != "[subject fullname] [fullname subject]" {
		t.Errorf("fields %v, then %v", added.Fields, moved.Fields)
	}
	w.send(http.MethodPut, to(console.PathEntityFields, "contoso", "lead"), `{"fields":null}`).problem(422, "invalid-request")
	var names []string
	for _, e := range as[console.List[console.Entity]](w.get(to(console.PathEntities, "contoso"))).Items {
		names = append(names, e.Name)
	}
	if fmt.Sprint(names) != "[incident lead new_complaint]" {
		t.Errorf("entities %v", names)
	}
	w.get(to(console.PathEntities, "nowhere")).problem(404, "instance-unknown")
	w.get(to(console.PathRecordTypes, "nowhere")).problem(404, "instance-unknown")
	w.send(http.MethodDelete, to(console.PathEntity, "contoso", "lead"), nil).is(204)
	w.send(http.MethodPut, to(console.PathEntityFields, "contoso", "lead"), console.Fields{Fields: []string{"subject"}}).problem(404, "entity-unknown")
}

func TestARefreshTellsWhatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(strings.NewReplacer("[{name: lead}]", "[{name: lead, fields: [subject, mood]}, {name: new_gone}, {name: new_used}]",
		"active: false", "active: true", "entity: lead}", "entity: new_used}").Replace(plainCatalog))
	got := as[console.Refresh](w.send(http.MethodPost, to(console.PathRefreshInstance, "fabrikam"), nil).is(200))
	want := console.Refresh{
		Removed: []console.Missing{{Entity: "lead", Field: "mood"}, {Entity: "new_gone"}},
		Kept:    []console.Missing{{Entity: "new_used", Rules: []string{"sleeping / rule"}}},
	}
	if got.Version == "" || got.Organization == "" || got.At.IsZero() {
		t.Errorf("refresh %+v", got)
	}
	got.At, got.Version, got.Organization = want.At, "", ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refresh (-want +got):\n%s", diff)
	}
	w.eventually("the instance tells it too", func() bool {
		in := as[console.Instance](w.get(to(console.PathInstance, "fabrikam")))
		return fmt.Sprint(in.Missing) == "[new_used]" && !in.RefreshedAt.IsZero()
	})
}

func TestRulesAreListedNewestFirstWithWhatBecameOfTheirPosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.link(1)
	w.die(2)
	var complaints console.Rule
	w.eventually("the counts", func() bool {
		complaints = as[console.Rule](w.get(to(console.PathRule, "complaints")).is(200))
		return complaints.Counts == console.Counts{Matched: 2, Linked: 1, Dead: 1, Errors: 0}
	})
	if complaints.LastMatch.IsZero() {
		t.Error("no last match")
	}
	complaints.LastMatch, complaints.Counts = console.Rule{}.LastMatch, console.Counts{}
	want := console.Rule{Name: "complaints", Active: true, Condition: `post.sentiment == "negative"`, Instance: "contoso", Entity: "incident", Notes: "call back", Age: 1}
	if diff := cmp.Diff(want, complaints); diff != "" {
		t.Errorf("rule (-want +got):\n%s", diff)
	}
	first := as[console.Page[console.Rule]](w.get(console.PathRules + "?limit=1").is(200))
	second := as[console.Page[console.Rule]](w.get(console.PathRules + "?limit=1&cursor=" + first.NextCursor).is(200))
	if len(first.Items) != 1 || first.Items[0].Name != "sleeping / rule" || len(second.Items) != 1 || second.Items[0].Name != "complaints" || second.NextCursor != "" {
		t.Errorf("pages %+v, %+v", first, second)
	}
	active := as[console.Rule](w.send(http.MethodPost, to(console.PathActivateRule, "sleeping / rule"), nil).is(200))
	if !active.Active {
		t.Errorf("activated: %+v", active)
	}
}

func TestPostsAreListedNewestFirstPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for id := 1; id <= 7; id++ {
		w.publish(post(id, map[bool]string{true: "negative", false: "neutral"}[id%3 == 0]))
	}
	w.reaches(3, ledger.Linked)
	w.reaches(6, ledger.Linked)
	w.publish(`{"post":`)
	list := func(query string) (ids []string, pages int) {
		for cursor := "0"; cursor != ""; pages++ {
			page := as[console.Page[console.Post]](w.get(console.PathPosts + "?limit=2&cursor=" + cursor + query).is(200))
			for _, p := range page.Items {
				ids = append(ids, p.ID)
			}
			cursor = page.NextCursor
		}
		return ids, pages
	}
	cases := map[string]struct{ query, want string }{
		"all":        {"", "[ 7 6 5 4 3 2 1]"},
		"linked":     {"&link=linked", "[6 3]"},
		"not linked": {"&link=unlinked", "[ 7 5 4 2 1]"},
		"of a rule":  {"&rule=complaints", "[6 3]"},
		"dead":       {"&link=dead", "[]"},
	}
	for about, c := range cases {
		if ids, pages := list(c.query); fmt.Sprint(ids) != c.want || pages > 5 {
			t.Errorf("%s: %v in %d pages, want %s", about, ids, pages, c.want)
		}
	}
	newest := as[console.Page[console.Post]](w.get(console.PathPosts + "?limit=2")).Items
	if newest[0].Problem == "" || newest[0].Name != fmt.Sprintf("@%d", newest[0].Sequence) || newest[0].Linked {
		t.Errorf("a post that cannot be read: %+v", newest[0])
	}
	if p := newest[1]; p.Text != "text of 7" || p.Author.Handle != "ann0" || p.Network != "twitter" || p.ArrivedAt.IsZero() {
		t.Errorf("a post: %+v", p)
	}
	w.get(console.PathPosts+"?limit=0").problem(422, "invalid-request")
	w.get(console.PathPosts+"?cursor=x").problem(422, "invalid-request")
	w.get(console.PathPosts+"?link=loved").problem(422, "invalid-request")
	w.get(console.PathPosts+"?lines=3").problem(422, "invalid-request")
	var links []string
	for cursor := ""; ; {
		page := as[console.Page[console.Link]](w.get(console.PathLinks + "?limit=1&state=linked&instance=contoso&rule=complaints&cursor=" + cursor).is(200))
		for _, l := range page.Items {
			links = append(links, l.PostID)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if len(links) != 2 || links[0] == links[1] {
		t.Errorf("links of posts %v", links)
	}
}

func TestAPostShowsWhoDecidedAndWhatHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.link(1)
	w.send(http.MethodDelete, to(console.PathPostLink, "1"), nil).is(200)
	created := as[console.Link](w.send(http.MethodPost, console.PathLinks+"?wait=20", console.NewLink{Post: "twitter/1", Entity: "new_complaint", Notes: "second"}).is(201))
	for _, name := range []string{"1", "twitter/1", "@1", name(1)} {
		got := as[console.PostHistory](w.get(to(console.PathPost, name)).is(200))
		if got.Decision == nil || got.Decision.By != "administrator@example.com" || got.Decision.Rule != "" || got.Decision.Catalog == "" || got.ArrivedAt.IsZero() || !got.Linked {
			t.Fatalf("%s: %+v", name, got)
		}
		if diff := cmp.Diff(created, *got.Link); diff != "" {
			t.Errorf("%s: newest link (-created +shown):\n%s", name, diff)
		}
		var steps []string
		for _, l := range got.Links {
			for _, s := range l.Steps {
				steps = append(steps, fmt.Sprint(l.Generation, " ", s.State, " by ", s.By))
			}
		}
		want := []string{"1 queued by rule complaints", "1 linked by postlink", "1 removed by administrator@example.com", "2 queued by administrator@example.com", "2 linked by postlink"}
		if diff := cmp.Diff(want, steps); diff != "" {
			t.Errorf("%s: history (-want +got):\n%s", name, diff)
		}
		if got.Links[0].Notes != "" || got.Links[1].Notes != "second" {
			t.Errorf("notes %q, %q", got.Links[0].Notes, got.Links[1].Notes)
		}
	}
	w.publish(post(2, "neutral"))
	if got := as[console.PostHistory](w.get(to(console.PathPost, "2"))); got.Decision != nil || got.Link != nil || len(got.Links) != 0 {
		t.Errorf("a post that was never linked: %+v", got)
	}
	w.send(http.MethodPost, console.PathLinks+"?wait=20", console.NewLink{Event: []byte(post(12345678901234567, "neutral")), Entity: "incident"}).is(201)
	if got := as[console.PostHistory](w.get(to(console.PathPost, "12345678901234567"))); got.Problem == "" || got.Sequence != 0 || !got.Linked {
		t.Errorf("a post that never was in the stream: %+v", got)
	}
}

func TestALinkIsAnsweredWithItsState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	event := func(id int) console.NewLink {
		return console.NewLink{Event: []byte(post(id, "neutral")), Entity: "incident"}
	}
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 503, Method: http.MethodPatch, Path: "socialactivities"})
	if l := as[console.Link](w.send(http.MethodPost, console.PathLinks, event(1)).is(202)); l.State != "queued" || l.Instance != "contoso" {
		t.Errorf("link %+v", l)
	}
	if l := as[console.Link](w.send(http.MethodPost, console.PathLinks+"?wait=1", event(2)).is(202)); l.State != "queued" {
		t.Errorf("link %+v", l)
	}
	w.contoso.ClearFaults()
	w.reaches(1, ledger.Linked)
	w.reaches(2, ledger.Linked)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 400, Code: "0x80048408", Method: http.MethodPatch, Path: "socialactivities", Times: 1})
	if l := as[console.Link](w.send(http.MethodPost, console.PathLinks+"?wait=20", event(3)).is(202)); l.State != "dead" || l.Reason == "" {
		t.Errorf("link %+v", l)
	}
	for about, body := range map[string]string{
		"neither": `{"entity":"incident"}`, "both": `{"post":"@1","event":{"post":{"id":1}}}`, "null": `{"event":null}`,
	} {
		if a := w.send(http.MethodPost, console.PathLinks, body); a.status != 422 || !strings.Contains(string(a.body), "give one of them") {
			t.Errorf("%s: %d %s", about, a.status, a.body)
		}
	}
	w.send(http.MethodPost, console.PathLinks+"?wait=61", event(4)).problem(422, "invalid-request")
}

func TestDetailsAreOfTheRecordOrElseOfTheActivity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.link(1)
	d := as[console.LinkDetails](w.get(to(console.PathPostLink, "1")).is(200))
	if d.Of != console.OfRecord || d.Comment != "" || d.Label != "Case" || d.Record.Entity != "incident" || len(d.Fields) != 2 ||
		d.Fields[0].Name != "title" || d.Fields[0].Label != "Case Title" || d.Fields[1].Value == "" || d.Link.Record == nil || *d.Link.Record != d.Record {
		t.Errorf("details %+v", d)
	}
	if u := as[console.LinkURL](w.get(to(console.PathLinkURL, "1")).is(200)); u.URL != d.URL || !strings.Contains(u.URL, d.Record.ID) {
		t.Errorf("url %q", u.URL)
	}
	w.contoso.SetSettings(sandbox.Settings{NoConversion: true})
	w.link(2)
	d = as[console.LinkDetails](w.get(to(console.PathPostLink, "2")).is(200))
	if d.Of != console.OfSocialActivity || !strings.Contains(d.Comment, "No record creation rule") || d.Record.Entity != "socialactivity" {
		t.Errorf("details %+v", d)
	}
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultForbidden, Method: http.MethodGet, Path: "^incidents"})
	d = as[console.LinkDetails](w.get(to(console.PathPostLink, "1")).is(200))
	if d.Of != console.OfSocialActivity || !strings.Contains(d.Comment, "may not read it") {
		t.Errorf("details %+v", d)
	}
}

func TestADeadLetterIsShownAndSentOnItsWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.die(1)
	w.publish(`{"post":` + "\"\xff")
	var letters console.Page[console.DeadLetter]
	w.eventually("two letters", func() bool {
		letters = as[console.Page[console.DeadLetter]](w.get(console.PathDead).is(200))
		return len(letters.Items) == 2
	})
	unreadable := letters.Items[0]
	if unreadable.Kind != "post" || unreadable.Reason == "" || unreadable.Post != "" {
		t.Errorf("letter of a post: %+v", unreadable)
	}
	if l := letters.Items[1]; l.Kind != "link" || l.Instance != "contoso" || l.PostID != "1" || l.Post != name(1) || l.Generation != 1 || l.Sequence != link {
		t.Errorf("letter of a link: %+v", l)
	}
	page := as[console.Page[console.DeadLetter]](w.get(console.PathDead + "?limit=1"))
	rest := as[console.Page[console.DeadLetter]](w.get(console.PathDead + "?limit=1&cursor=" + page.NextCursor))
	only := as[console.Page[console.DeadLetter]](w.get(console.PathDead + "?kind=link"))
	if page.Items[0].Sequence != unreadable.Sequence || rest.Items[0].Sequence != link || len(only.Items) != 1 || only.Items[0].Sequence != link {
		t.Errorf("pages %+v, %+v, %+v", page, rest, only)
	}
	content := as[console.DeadLetterContent](w.get(to(console.PathDeadLetter, fmt.Sprint(unreadable.Sequence))).is(200))
	if content.Event != "{\"post\":\"\uFFFD" {
		t.Errorf("event %q", content.Event)
	}
	r := as[console.Redriven](w.send(http.MethodPost, to(console.PathRedriveLetter, fmt.Sprint(link)), nil).is(200))
	if r.Kind != "link" || r.Link.Generation != 2 || r.Link.PostID != "1" {
		t.Errorf("redriven %+v", r)
	}
	w.reaches(1, ledger.Linked)
	r = as[console.Redriven](w.send(http.MethodPost, to(console.PathRedriveLetter, fmt.Sprint(unreadable.Sequence)), nil).is(200))
	if r.Kind != "post" || r.Link != nil {
		t.Errorf("redriven %+v", r)
	}
	w.get(to(console.PathDeadLetter, "0")).problem(422, "invalid-request")
}

func TestTheCatalogIsAppliedPlannedAndExported(t *testing.T) {
	t.Parallel()
	w := newQuietWorld(t)
	plan := as[console.Plan](w.send(http.MethodPut, console.PathCatalog+"?dry_run=true", plainCatalog).is(200))
	if !plan.DryRun || plan.Revision != nil || len(plan.Changes) != 7 {
		t.Errorf("plan of the first catalog: %+v", plan)
	}
	w.get(console.PathCatalogExport).problem(404, "no-catalog")
	a := w.send(http.MethodPut, console.PathCatalog+"?message=first+try", plainCatalog).is(200)
	plan = as[console.Plan](a)
	if plan.DryRun || plan.Revision == nil || plan.Revision.Message != "first try" || plan.Revision.Author != "administrator@example.com" {
		t.Errorf("applied: %+v", plan)
	}
	c := w.get(console.PathCatalog).is(200)
	if got := as[console.Catalog](c); got.Instances != 2 || got.Rules != 2 || got.Active != 1 || got.Number != plan.Revision.Number {
		t.Errorf("catalog %+v", got)
	}
	if c.header.Get("ETag") != a.header.Get("ETag") || c.header.Get("ETag") != fmt.Sprintf("%q", fmt.Sprint(plan.Revision.Number)) {
		t.Errorf("ETags %s and %s", c.header.Get("ETag"), a.header.Get("ETag"))
	}
	exported := w.get(console.PathCatalogExport).is(200)
	if exported.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("type %s", exported.header.Get("Content-Type"))
	}
	if again := as[console.Plan](w.do(ask{method: http.MethodPut, path: console.PathCatalog + "?dry_run=true", body: exported.body, header: http.Header{"Content-Type": {"application/yaml"}}})); len(again.Changes) != 0 {
		t.Errorf("what was exported changes %+v", again.Changes)
	}
	asJSON := `{"instances":[{"name":"contoso","url":"https://contoso.crm.dynamics.com","auth":{"kind":"static","token":{"env":"TOKEN"}}}]}`
	plan = as[console.Plan](w.send(http.MethodPut, console.PathCatalog+"?dry_run=true", asJSON).is(200))
	var texts []string
	for _, d := range plan.Changes {
		texts = append(texts, d.Text)
	}
	want := []string{"~ instance contoso: no longer default", "- entity incident of instance contoso", "- entity new_complaint of instance contoso",
		"- instance fabrikam", "- entity lead of instance fabrikam", `- rule "complaints"`, `- rule "sleeping / rule"`}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	w.send(http.MethodPut, console.PathCatalog, "").problem(400, "malformed-request")
	w.do(ask{method: http.MethodPut, path: console.PathCatalog + "?dry_run=true", body: asJSON, header: http.Header{"If-Match": {`"7000"`}}}).problem(412, "catalog-changed")
}

func TestAChangeForAnOldRevisionIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tag := w.get(console.PathCatalog).header.Get("ETag")
	with := func(tag string) answer {
		return w.do(ask{method: http.MethodPost, path: to(console.PathDefaultInstance, "fabrikam"), header: http.Header{"If-Match": {tag}}})
	}
	next := with(tag).is(200).header.Get("ETag")
	if next == tag {
		t.Error("the ETag stays")
	}
	p := with(tag).problem(412, "catalog-changed")
	if !strings.Contains(p.Detail, "by administrator@example.com") {
		t.Errorf("detail %q", p.Detail)
	}
	with("W/" + next).is(200)
	with("*").is(200)
	with(`"abc"`).problem(412, "catalog-changed")
	with(`"0"`).problem(412, "catalog-changed")
	w.do(ask{method: http.MethodPut, path: console.PathCatalog + "?dry_run=true", body: plainCatalog, header: http.Header{"If-Match": {tag}}}).problem(412, "catalog-changed")
}

func TestOfTwoChangesForOneRevisionOneWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for round := range 20 {
		tag := w.get(console.PathCatalog).header.Get("ETag")
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				a := w.do(ask{
					method: http.MethodPatch, path: to(console.PathInstance, "fabrikam"), header: http.Header{"If-Match": {tag}},
					body: console.InstanceChange{URL: fmt.Sprintf("https://fabrikam-%d-%d.crm.dynamics.com", round, i)},
				})
				switch a.status {
				case http.StatusOK:
					won.Add(1)
				case http.StatusPreconditionFailed:
				default:
					t.Errorf("status %d: %s", a.status, a.body)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("round %d: %d changes won", round, won.Load())
		}
	}
}

func TestRemovingAnEntityAndActivatingItsRuleNeverBothSucceed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 20 {
		w.apply(plainCatalog)
		var removed, activated answer
		var wg sync.WaitGroup
		wg.Go(func() { removed = w.send(http.MethodDelete, to(console.PathEntity, "fabrikam", "lead"), nil) })
		wg.Go(func() { activated = w.send(http.MethodPost, to(console.PathActivateRule, "sleeping / rule"), nil) })
		wg.Wait()
		switch {
		case removed.status == http.StatusNoContent:
			activated.problem(409, "rule-target")
		case activated.status == http.StatusOK:
			removed.problem(409, "in-use")
		default:
			t.Errorf("both were refused: %s, %s", removed.body, activated.body)
		}
		current, err := w.store.Current(w.ctx)
		must(t, err)
		for _, r := range current.Catalog.Rules {
			if _, err := current.Catalog.Entity(r.Link.Instance, r.Link.Entity); r.Active && err != nil {
				t.Errorf("rule %s leads nowhere", r.Name)
			}
		}
	}
}

func TestALargeCatalogFits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var b strings.Builder
	b.WriteString(plainCatalog)
	for i := range 8000 {
		fmt.Fprintf(&b, "  - name: rule %d\n    when: post.mentions(\"word%d\") && post.country == \"%060d\"\n    link: {instance: contoso, entity: incident}\n", i, i, i)
	}
	if b.Len() < 1<<20 {
		t.Fatalf("%d bytes are not many", b.Len())
	}
	plan := as[console.Plan](w.send(http.MethodPut, console.PathCatalog, b.String()).is(200))
	if len(plan.Changes) != 8000 {
		t.Errorf("%d changes", len(plan.Changes))
	}
	var names int
	for cursor := ""; ; {
		page := as[console.Page[console.Rule]](w.get(console.PathRules + "?limit=500&cursor=" + cursor).is(200))
		names += len(page.Items)
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if names != 8002 {
		t.Errorf("%d rules are listed", names)
	}
}
