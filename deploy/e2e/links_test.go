package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"postlink/dynamics/sandbox"
	"postlink/worker/console/api"
)

// What a user of Microsoft Social Engagement could do in linking a post.

func TestAPostThatIsSentBecomesASocialActivityAndRulesInDynamicsTurnItIntoARecord(t *testing.T) {
	statedEverywhere(t, func(s site) {
		kinds := []string{"incident", "lead", "account", "new_complaint"} // a case, a lead, another system record, a custom one
		var all []sandbox.ConversionRule
		for _, kind := range kinds {
			all = append(all, prefers(kind))
		}
		s.conversions(all...)
		for _, kind := range kinds {
			post := s.post("please turn me into " + kind)
			activity := s.activity(s.link(api.NewLink{Post: post, Instance: contoso, Entity: kind}))
			if text := activity.Record["description"]; text != "please turn me into "+kind {
				s.t.Errorf("the activity says %v", text)
			}
			table, id := activity.lookup("regardingobjectid")
			if table != kind {
				s.t.Fatalf("a record of type %q was made, want %s", table, kind)
			}
			s.record(contoso, table, id)
		}
	})
}

func TestAnUnknownAuthorGetsASocialProfileAndAContactThatAreLinked(t *testing.T) {
	statedEverywhere(t, func(s site) {
		send := func(id, author string) record {
			s.publish(id, author, "it is me")
			return s.activity(s.link(api.NewLink{Post: id, Instance: contoso, Entity: "lead"}))
		}
		profiles := func(author string) []record {
			return s.records(contoso, func(r record) bool { return r.Table == "socialprofile" && r.Record["uniqueprofileid"] == author })
		}
		contacts := func(author string) []record {
			return s.records(contoso, func(r record) bool { return r.Table == "contact" && r.Record["fullname"] == "Given "+author })
		}
		first := s.post("the first of its author")
		author := "author " + first
		if len(profiles(author))+len(contacts(author)) != 0 {
			s.t.Fatal("the author is known before the first link")
		}
		one := s.activity(s.link(api.NewLink{Post: first, Instance: contoso, Entity: "lead"}))
		two := send(first+"2", author)
		if n, m := len(profiles(author)), len(contacts(author)); n != 1 || m != 1 {
			s.t.Fatalf("two posts of one author made %d profiles and %d contacts", n, m)
		}
		profile, contact := profiles(author)[0], contacts(author)[0]
		if table, id := profile.lookup("customerid"); table != "contact" || id != contact.ID {
			s.t.Errorf("the profile belongs to %s %s, want contact %s", table, id, contact.ID)
		}
		for _, activity := range []record{one, two} {
			if _, id := activity.lookup("postfromprofileid"); id != profile.ID {
				s.t.Errorf("activity %s is of profile %s, want %s", activity.ID, id, profile.ID)
			}
		}

		// An author whom Dynamics knows already gets nothing new.
		known := "author known before " + first
		own := fmt.Sprintf("00000000-0000-4000-8000-%012s", first)
		s.dynamics(http.MethodPatch, "socialprofiles("+own+")", map[string]any{"uniqueprofileid": known, "community": 2})
		third := send(first+"3", known)
		if _, id := third.lookup("postfromprofileid"); id != own || len(profiles(known)) != 1 || len(contacts(known)) != 0 {
			s.t.Errorf("the activity of a known author is of profile %s, want %s; profiles %d, contacts %d", id, own, len(profiles(known)), len(contacts(known)))
		}
	})
}

func TestTheDetailsOfARecordCanBeShownOnceItIsMade(t *testing.T) {
	stated(t, func(s site) {
		post := s.post("tell me more of it")
		s.do(http.MethodGet, to(api.PathPostLink, post), nil).refused(404, "not-linked")
		link := s.link(api.NewLink{Post: post, Instance: contoso, Entity: "incident"})
		table, id := s.activity(link).lookup("regardingobjectid")
		d := s.details(post)
		if d.Of != api.OfRecord || d.Record != (api.Record{Entity: table, ID: id}) || d.Label != "Case" || d.Link.ID != link.ID {
			s.t.Errorf("details of the wrong record: %+v, want those of %s %s", d, table, id)
		}
		kept := s.record(contoso, table, id).Record
		if value(d, "title") != "tell me more of it" || value(d, "ticketnumber") != kept["ticketnumber"] {
			s.t.Errorf("fields %+v, want those of %v", d.Fields, kept)
		}
	})
}

func TestTheEntityIsAPreferenceAndTheTargetOfAPostIsAlwaysASocialActivity(t *testing.T) {
	statedEverywhere(t, func(s site) {
		s.conversions(sandbox.ConversionRule{Entity: "lead"}) // whatever people prefer
		for _, preferred := range []string{"incident", "new_complaint"} {
			post := s.post("rather another one")
			link := s.link(api.NewLink{Post: post, Instance: contoso, Entity: preferred})
			activity := s.activity(link)
			if p := activity.parameters(s.t); p["userPreferredTargetEntity"] != preferred || p["targetEntityName"] != "socialactivity" {
				s.t.Errorf("Dynamics was told %v", p)
			}
			table, id := activity.lookup("regardingobjectid")
			d := s.details(post)
			if want := (api.Record{Entity: "lead", ID: id}); table != "lead" || d.Record != want || d.Label != "Lead" {
				s.t.Errorf("a %s was made, and details show %+v, want %+v", table, d.Record, want)
			}
			if d.Link.Entity != preferred || value(d, "subject") != "rather another one" {
				s.t.Errorf("details %+v, want the preference %s and the fields of a lead", d, preferred)
			}
		}
	})
}

func TestWithoutARuleInDynamicsThereIsJustASocialActivity(t *testing.T) {
	stated(t, func(s site) {
		s.conversions()
		s.link(api.NewLink{Post: s.post("a first one"), Instance: contoso, Entity: "incident"}) // so that there is an author
		post := s.post("just this")
		before := s.count(contoso)
		link := s.link(api.NewLink{Post: post, Instance: contoso, Entity: "incident"})
		if table, id := s.activity(link).lookup("regardingobjectid"); table+id != "" {
			s.t.Errorf("the activity regards %s %s", table, id)
		}
		before["socialactivity"]++
		before["socialprofile"]++ // of the new author
		before["contact"]++
		if after := s.count(contoso); fmt.Sprint(after) != fmt.Sprint(before) {
			s.t.Errorf("records %v, want %v", after, before)
		}
	})
}

func TestOnlyAnActiveRuleInDynamicsThatLooksAtThePreferenceMakesACase(t *testing.T) {
	stated(t, func(s site) {
		looksElsewhere := sandbox.ConversionRule{Entity: "incident", Conditions: []sandbox.Condition{{Column: "community", Value: 1}}}
		cases := []struct {
			about string
			rules []sandbox.ConversionRule
			off   bool
			want  string
		}{
			{"no rule", nil, false, ""},
			{"a rule that looks at something else", []sandbox.ConversionRule{looksElsewhere}, false, ""},
			{"a rule that looks at it, not active", []sandbox.ConversionRule{prefers("incident")}, true, ""},
			{"a rule that looks for another preference", []sandbox.ConversionRule{prefers("lead")}, false, ""},
			{"an active rule that looks at it", []sandbox.ConversionRule{looksElsewhere, prefers("incident")}, false, "incident"},
		}
		for _, c := range cases {
			s.conversions(c.rules...)
			restore := s.settings(func(o *sandbox.Settings) { o.NoConversion = c.off })
			activity := s.activity(s.link(api.NewLink{Post: s.post("a case?"), Instance: contoso, Entity: "incident"}))
			if table, _ := activity.lookup("regardingobjectid"); table != c.want {
				s.t.Errorf("%s: made %q, want %q", c.about, table, c.want)
			}
			restore()
		}
	})
}

func TestAPostIsLinkedByHandToAnInstanceAndAnEntityWithOptionalNotes(t *testing.T) {
	statedEverywhere(t, func(s site) {
		var instances []string
		for _, i := range as[api.List[api.Instance]](s.do(http.MethodGet, api.PathInstances, nil).is(200)).Items {
			instances = append(instances, i.Name)
		}
		if fmt.Sprint(instances) != "[contoso fabrikam]" || fmt.Sprint(s.entities(contoso)) != "[account incident lead new_complaint]" {
			s.t.Errorf("there are the instances %v and the entities %v to pick from", instances, s.entities(contoso))
		}
		cases := map[string]struct{ instance, other, entity, notes string }{
			"with notes":    {contoso, fabrikam, "incident", "asked <twice> & \"politely\" 🙂"},
			"without notes": {fabrikam, contoso, "lead", ""},
		}
		for about, c := range cases {
			post := s.post("by hand " + about)
			rows := as[api.Page[api.Post]](s.do(http.MethodGet, api.PathPosts+"?limit=1&link=unlinked", nil).is(200)).Items
			if len(rows) != 1 || rows[0].ID != post {
				s.t.Fatalf("%s: post %s is not the newest to pick: %+v", about, post, rows)
			}
			link := as[api.Link](s.do(http.MethodPost, api.PathLinks+"?wait=30",
				api.NewLink{Post: rows[0].Name, Instance: c.instance, Entity: c.entity, Notes: c.notes}).is(201))
			if link.Instance != c.instance || link.Entity != c.entity || link.Notes != c.notes || link.Rule != "" || link.Steps[0].By != administratorName {
				s.t.Errorf("%s: link %+v", about, link)
			}
			if p := s.activity(link).parameters(s.t); p["userPreferredTargetEntity"] != c.entity || c.notes == "" && p["notes"] != nil || c.notes != "" && p["notes"] != c.notes {
				s.t.Errorf("%s: Dynamics was told %v", about, p)
			}
			if found := s.activitiesOf(c.other, post); len(found) != 0 {
				s.t.Errorf("%s: the other instance has %v", about, found)
			}
		}
	})
}

func TestNotesAreAtMost250Characters(t *testing.T) {
	statedEverywhere(t, func(s site) {
		cases := map[string]struct {
			notes string
			taken bool
		}{
			"250 letters":               {strings.Repeat("ä", 250), true},
			"125 emoji, each of two":    {strings.Repeat("🙂", 125), true},
			"251 letters":               {strings.Repeat("ä", 251), false},
			"125 emoji and one letter":  {strings.Repeat("🙂", 125) + "a", false},
			"far too long, as by paste": {strings.Repeat("lorem ipsum ", 1000), false},
		}
		for about, c := range cases {
			post := s.post("with notes of " + about)
			if c.taken {
				link := s.link(api.NewLink{Post: post, Instance: contoso, Entity: "incident", Notes: c.notes})
				if p := s.activity(link).parameters(s.t); p["notes"] != c.notes || link.Notes != c.notes {
					s.t.Errorf("%s: Dynamics was told %v", about, p["notes"])
				}
				continue
			}
			p := s.do(http.MethodPost, api.PathLinks, api.NewLink{Post: post, Instance: contoso, Entity: "incident", Notes: c.notes}).refused(422, "notes-too-long")
			if !strings.Contains(p.Detail, "250") {
				s.t.Errorf("%s: the refusal does not tell the limit: %s", about, p.Detail)
			}
			if shown := s.show(post); shown.Linked || len(shown.Links)+len(s.activitiesOf(contoso, post)) != 0 {
				s.t.Errorf("%s: the post was linked: %+v", about, shown)
			}
		}
	})
}

func TestOnlyConfiguredEntitiesCanBePickedAndASingleOneIsPreselected(t *testing.T) {
	stated(t, func(s site) {
		if only := s.entities(fabrikam); !slices.Equal(only, []string{"lead"}) {
			s.t.Fatalf("entities of fabrikam: %v", only)
		}
		post := s.post("what shall I be?")
		// fabrikam has cases, but they are not configured.
		unknown := s.do(http.MethodPost, api.PathLinks, api.NewLink{Post: post, Instance: fabrikam, Entity: "incident"}).refused(404, "entity-unknown")
		if !strings.Contains(unknown.Detail, "lead") {
			s.t.Errorf("the refusal does not tell the choice: %s", unknown.Detail)
		}
		unnamed := s.do(http.MethodPost, api.PathLinks, api.NewLink{Post: post, Instance: contoso}).refused(422, "entity-unnamed")
		for _, e := range s.entities(contoso) {
			if !strings.Contains(unnamed.Detail, e) {
				s.t.Errorf("the refusal does not offer %s: %s", e, unnamed.Detail)
			}
		}
		if shown := s.show(post); len(shown.Links) != 0 {
			s.t.Fatalf("a refused link was made: %+v", shown.Links)
		}
		link := s.link(api.NewLink{Post: post, Instance: fabrikam})
		if p := s.activity(link).parameters(s.t); link.Entity != "lead" || p["userPreferredTargetEntity"] != "lead" {
			s.t.Errorf("link %+v, Dynamics was told %v", link, p)
		}
	})
}

func TestALinkedPostShowsSoWithTheNameOfTheInstance(t *testing.T) {
	statedEverywhere(t, func(s site) {
		post := s.post("where am I?")
		listed := func(filter string) bool {
			page := as[api.Page[api.Post]](s.do(http.MethodGet, api.PathPosts+"?limit=5&link="+filter, nil).is(200))
			return slices.ContainsFunc(page.Items, func(p api.Post) bool {
				return p.ID == post && (filter == "unlinked" || p.Linked && p.Link.Instance == fabrikam)
			})
		}
		if shown := s.show(post); shown.Linked || shown.Link != nil || listed("linked") || !listed("unlinked") {
			s.t.Errorf("before: %+v", shown.Post)
		}
		s.link(api.NewLink{Post: post, Instance: fabrikam})
		if shown := s.show(post); !shown.Linked || shown.Link == nil || shown.Link.State != "linked" || shown.Link.Instance != fabrikam {
			s.t.Errorf("after: %+v", shown.Post)
		}
		if !listed("linked") || listed("unlinked") {
			s.t.Errorf("listed as linked to %s: %v, as not linked: %v", fabrikam, listed("linked"), listed("unlinked"))
		}
	})
}

func TestAnInstanceThatRefusesSocialDataFailsTheLinkWithItsMessage(t *testing.T) {
	const message = "Dynamics 365 can\u2019t receive social data from postlink"
	statedEverywhere(t, func(s site) {
		restore := s.settings(func(o *sandbox.Settings) { o.DisableSocialCare = true })
		post := s.post("nobody wants me")
		p := s.do(http.MethodPost, api.PathLinks+"?wait=30", api.NewLink{Post: post, Instance: contoso, Entity: "incident"}).refused(409, "social-data")
		if !strings.HasPrefix(p.Detail, message) {
			s.t.Errorf("the message is: %s", p.Detail)
		}
		if !strings.Contains(p.Detail, "Dynamics 365 administrator") || !strings.Contains(p.Detail, "Disable Social Engagement") {
			s.t.Errorf("the message does not say whom to ask for what: %s", p.Detail)
		}
		if shown := s.show(post); shown.Linked || len(shown.Links)+len(s.activitiesOf(contoso, post)) != 0 {
			s.t.Errorf("the post was linked: %+v", shown)
		}
		restore()
		s.activity(s.link(api.NewLink{Post: post, Instance: contoso, Entity: "incident"}))
	})
	t.Run("links of rules wait", func(t *testing.T) {
		s := sharedProcess.site(t)
		restore := s.settings(func(o *sandbox.Settings) { o.DisableSocialCare = true })
		post := s.post("#calls nobody wants me")
		waitFor(t, "the instance being parked with the message", func() (bool, error) {
			return strings.HasPrefix(s.instance(contoso).Parked, message), nil
		})
		if shown := s.show(post); shown.Link == nil || shown.Link.State != "queued" || len(s.activitiesOf(contoso, post)) != 0 {
			t.Errorf("the link does not wait: %+v", shown)
		}
		restore()
		s.activity(s.reaches(post, "linked"))
	})
}

func TestWithoutARuleInDynamicsTheLinkSucceedsAndDetailsShowTheActivity(t *testing.T) {
	statedEverywhere(t, func(s site) {
		s.settings(func(o *sandbox.Settings) { o.NoConversion = true })
		post := s.post("only an activity")
		link := s.link(api.NewLink{Post: post, Instance: contoso, Entity: "incident"})
		d := s.details(post)
		if d.Of != api.OfSocialActivity || d.Record != (api.Record{Entity: "socialactivity", ID: link.ID}) || d.Label != "Social Activity" {
			s.t.Errorf("details of the wrong record: %+v", d)
		}
		if !strings.Contains(d.Comment, "rule") || d.Link.Record != nil {
			s.t.Errorf("details do not say why: %+v", d)
		}
		if got, want := value(d, "subject"), s.activity(link).Record["subject"]; got != want || want != "only an activity" {
			s.t.Errorf("the subject is %q, want %q", got, want)
		}
	})
}
