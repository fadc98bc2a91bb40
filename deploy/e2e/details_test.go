package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/dynamics/sandbox"
	"postlink/worker/console/api"
)

// What a user of Microsoft Social Engagement could do with record details, with what is configured for them, and in removing a link.

func TestAnEntityHasAnOrderedListOfFieldsToShowInEachInstance(t *testing.T) {
	stated(t, func(s site) {
		s.t.Cleanup(s.applyCatalog)
		post := s.post("in good order")
		s.link(api.NewLink{Post: post, Instance: contoso, Entity: "lead"})
		elsewhere := s.post("in another order")
		s.link(api.NewLink{Post: elsewhere, Instance: fabrikam, Entity: "lead"})
		shown := func(post string) (labels []string) {
			for _, f := range s.details(post).Fields {
				labels = append(labels, f.Label)
			}
			return labels
		}
		steps := []struct {
			about  string
			fields []string
			want   []string
		}{
			{"at first", []string{"subject", "fullname"}, []string{"Topic", "Name"}},
			{"added", []string{"subject", "fullname", "statuscode", "ownerid"}, []string{"Topic", "Name", "Status Reason", "Owner"}},
			{"moved up", []string{"subject", "statuscode", "fullname", "ownerid"}, []string{"Topic", "Status Reason", "Name", "Owner"}},
			{"moved down", []string{"statuscode", "fullname", "ownerid", "subject"}, []string{"Status Reason", "Name", "Owner", "Topic"}},
			{"removed", []string{"statuscode", "subject"}, []string{"Status Reason", "Topic"}},
		}
		for _, step := range steps {
			set := as[api.Entity](s.do(http.MethodPut, to(api.PathEntityFields, contoso, "lead"), api.Fields{Fields: step.fields}).is(200))
			if !slices.Equal(set.Fields, step.fields) {
				s.t.Errorf("%s: the list is %v, want %v", step.about, set.Fields, step.fields)
			}
			waitFor(s.t, step.about+": "+strings.Join(step.want, ", "), func() (bool, error) {
				labels := shown(post)
				return slices.Equal(labels, step.want), fmt.Errorf("details show %v", labels)
			})
		}
		if d := s.details(post); value(d, "statuscode") != "New" || value(d, "subject") != "in good order" {
			s.t.Errorf("values %+v", d.Fields)
		}
		if labels := shown(elsewhere); !slices.Equal(labels, []string{"Name", "Status Reason"}) {
			s.t.Errorf("the other instance shows %v", labels)
		}
		s.do(http.MethodPut, to(api.PathEntityFields, contoso, "lead"), api.Fields{Fields: []string{"subject", "mood"}}).refused(422, "field-unknown")
	})
}

func TestAnEntityCannotBeRemovedWhileAnActiveRuleUsesIt(t *testing.T) {
	statedEverywhere(t, func(s site) {
		s.t.Cleanup(s.applyCatalog)
		remove := func() answer { return s.do(http.MethodDelete, to(api.PathEntity, contoso, "account"), nil) }
		refused := func(want ...string) {
			s.t.Helper()
			p := remove().refused(409, "in-use")
			if !slices.Equal(p.Rules, want) {
				s.t.Errorf("refused for the rules %v, want %v", p.Rules, want)
			}
			for _, name := range []string{"partners", "suppliers", "rivals"} {
				if strings.Contains(p.Detail, name) != slices.Contains(want, name) {
					s.t.Errorf("refused for the rules %v, but it says: %s", want, p.Detail)
				}
			}
			if !slices.Contains(s.entities(contoso), "account") {
				s.t.Error("it was removed all the same")
			}
		}
		refused("partners", "suppliers") // both, and not the inactive one
		s.do(http.MethodPost, to(api.PathDeactivateRule, "partners"), nil).is(200)
		refused("suppliers")
		s.do(http.MethodPost, to(api.PathActivateRule, "rivals"), nil).is(200)
		refused("rivals", "suppliers")
		s.do(http.MethodPost, to(api.PathDeactivateRule, "rivals"), nil).is(200)

		// Deleting a rule helps as well as deactivating it.
		exported := s.do(http.MethodGet, api.PathCatalogExport, nil).is(200)
		s.do(http.MethodPut, api.PathCatalog, withoutRule(s.t, string(exported.body), "suppliers")).is(200)
		remove().is(204)
		if slices.Contains(s.entities(contoso), "account") {
			s.t.Error("the entity is still there")
		}
		s.do(http.MethodPost, to(api.PathActivateRule, "partners"), nil).refused(409, "rule-unconfigured")
	})
}

// withoutRule cuts a rule out of an exported catalog.
func withoutRule(t *testing.T, exported, name string) string {
	t.Helper()
	before, rest, found := strings.Cut(exported, "  - name: "+name+"\n")
	if !found {
		t.Fatalf("no rule %s in:\n%s", name, exported)
	}
	_, after, _ := strings.Cut(rest, "\n  - ")
	if after == "" {
		return before
	}
	return before + "  - " + after
}

func TestOnlyCustomEntitiesRelatedToSocialActivityAreOffered(t *testing.T) {
	statedEverywhere(t, func(s site) {
		s.t.Cleanup(s.applyCatalog)
		offered := map[string]bool{} // with whether they are custom
		for _, r := range as[api.List[api.RecordType]](s.do(http.MethodGet, to(api.PathRecordTypes, fabrikam), nil).is(200)).Items {
			offered[r.Name] = r.Custom
		}
		want := map[string]bool{"account": false, "contact": false, "incident": false, "lead": false, "new_complaint": true}
		if diff := cmp.Diff(want, offered); diff != "" {
			s.t.Errorf("offered (-want +got):\n%s", diff)
		}
		p := s.do(http.MethodPost, to(api.PathEntities, fabrikam), api.Entity{Name: "new_vehicle"}).refused(422, "entity-unrelated")
		if !strings.Contains(p.Detail, "new_complaint") {
			s.t.Errorf("the refusal does not tell the choice: %s", p.Detail)
		}
		s.do(http.MethodPost, to(api.PathEntities, fabrikam), api.Entity{Name: "new_complaint"}).is(201)
		if got := s.entities(fabrikam); !slices.Equal(got, []string{"lead", "new_complaint"}) {
			s.t.Errorf("entities %v", got)
		}
	})
}

func TestDetailsShowTheValuesOfThisMoment(t *testing.T) {
	statedEverywhere(t, func(s site) {
		post := s.post("as it was")
		s.link(api.NewLink{Post: post, Instance: contoso, Entity: "incident"})
		d := s.details(post)
		if value(d, "title") != "as it was" || value(d, "statuscode") != "In Progress" {
			s.t.Errorf("at first: %+v", d.Fields)
		}
		changes := []struct {
			title, reason string
			code          int
		}{{"as it is", "On Hold", 2}, {"as it will be", "Researching", 4}}
		for _, c := range changes {
			s.dynamics(http.MethodPatch, "incidents("+d.Record.ID+")", map[string]any{"title": c.title, "statuscode": c.code})
			if now := s.details(post); value(now, "title") != c.title || value(now, "statuscode") != c.reason {
				s.t.Errorf("after the change to %q, %q: %+v", c.title, c.reason, now.Fields)
			}
		}
	})
}

func TestOpenRecordOpensTheTargetRecordOnceThereIsOne(t *testing.T) {
	statedEverywhere(t, func(s site) {
		opens := func(post string, table, id string) {
			s.t.Helper()
			at := as[api.LinkURL](s.do(http.MethodGet, to(api.PathLinkURL, post), nil).is(200)).URL
			if page := s.open(contoso, at); !strings.Contains(page, "<h1>"+table+" "+id+"</h1>") {
				s.t.Errorf("%s opens another page than that of %s %s:\n%s", at, table, id, page)
			}
			if d := s.details(post); d.URL != at || d.Record != (api.Record{Entity: table, ID: id}) {
				s.t.Errorf("details are of %+v at %s, but %s is opened", d.Record, d.URL, at)
			}
		}
		unmet := prefers("incident")
		unmet.Conditions = append(unmet.Conditions, sandbox.Condition{Column: "postmessagetype", Value: 1})
		cases := []struct {
			about string
			rules []sandbox.ConversionRule
			off   bool
		}{
			{"no rules", nil, false},
			{"no active rules", []sandbox.ConversionRule{prefers("incident")}, true},
			{"conditions that are not met", []sandbox.ConversionRule{unmet}, false},
		}
		for _, c := range cases {
			s.conversions(c.rules...)
			restore := s.settings(func(o *sandbox.Settings) { o.NoConversion = c.off })
			post := s.post("open me: " + c.about)
			link := s.link(api.NewLink{Post: post, Instance: contoso, Entity: "incident"})
			opens(post, "socialactivity", link.ID)
			restore()

			// The organization's administrator makes good for it.
			s.conversions(prefers("incident"))
			s.dynamics(http.MethodPost, "ApplyRecordCreationAndUpdateRule", map[string]any{
				"Target": map[string]string{"@odata.type": "Microsoft.Dynamics.CRM.socialactivity", "activityid": link.ID},
			})
			table, id := s.activity(link).lookup("regardingobjectid")
			if table != "incident" {
				s.t.Fatalf("%s: the activity regards %q after the rule was applied", c.about, table)
			}
			opens(post, "incident", id)
		}
	})
}

// Of the two clients that Microsoft Social Engagement told apart, the web client and the interactive service hub, neither is left: Microsoft's
// one client of today, the unified interface, shows records of every entity, and is entered at the same main.aspx. An address
// that names a record and no app, as Microsoft documents it for links in other applications, leaves it to that client how to
// show the record; so there is nothing for postlink to tell apart.
func TestARecordOpensInTheClientThatIsMeantForItsEntity(t *testing.T) {
	stated(t, func(s site) {
		for _, entity := range []string{"incident", "lead", "new_complaint"} {
			post := s.post("open me as " + entity)
			_, id := s.activity(s.link(api.NewLink{Post: post, Instance: contoso, Entity: entity})).lookup("regardingobjectid")
			at := as[api.LinkURL](s.do(http.MethodGet, to(api.PathLinkURL, post), nil).is(200)).URL
			u, err := url.Parse(at)
			must(s.t, err)
			if got, want := u.Scheme+"://"+u.Host+u.Path, s.instanceURL(contoso)+"/main.aspx"; got != want {
				s.t.Errorf("%s is at %s, want %s", entity, got, want)
			}
			want := url.Values{"etn": {entity}, "pagetype": {"entityrecord"}, "id": {"{" + id + "}"}}
			if diff := cmp.Diff(want, u.Query()); diff != "" {
				s.t.Errorf("%s opens with other parameters (-want +got):\n%s", entity, diff)
			}
			if page := s.open(contoso, at); !strings.Contains(page, entity+" "+id) {
				s.t.Errorf("%s does not open: %s", entity, page)
			}
		}
	})
}

func TestRemovingALinkLeavesDynamicsAloneAndDeletesTheNotes(t *testing.T) {
	statedEverywhere(t, func(s site) {
		const notes = "do not tell anybody"
		post := s.post("let me go")
		link := s.link(api.NewLink{Post: post, Instance: contoso, Entity: "incident", Notes: notes})
		s.details(post) // which notes the record in the ledger
		everything := func() []record { return s.records(contoso, func(record) bool { return true }) }
		if raw := s.do(http.MethodGet, to(api.PathPost, post), nil).is(200); !strings.Contains(string(raw.body), notes) {
			s.t.Errorf("the post does not show the notes: %s", raw.body)
		}
		before := everything()
		removed := as[api.Link](s.do(http.MethodDelete, to(api.PathPostLink, post), nil).is(200))
		if removed.State != "removed" || removed.ID != link.ID || removed.Steps[len(removed.Steps)-1].By != administratorName {
			s.t.Errorf("removed %+v", removed)
		}
		if diff := cmp.Diff(before, everything()); diff != "" {
			s.t.Errorf("Dynamics was touched (-before +after):\n%s", diff)
		}
		for _, path := range []string{to(api.PathPost, post), api.PathLinks + "?limit=5", api.PathPosts + "?limit=5"} {
			if raw := s.do(http.MethodGet, path, nil).is(200); strings.Contains(string(raw.body), notes) {
				s.t.Errorf("%s still has the notes: %s", path, raw.body)
			}
		}
		if shown := s.show(post); shown.Linked || shown.Link.State != "removed" {
			s.t.Errorf("the post shows %+v", shown.Post)
		}
		s.do(http.MethodGet, to(api.PathPostLink, post), nil).refused(404, "not-linked")
	})
}

func TestARemovedLinkNeverComesBackAndThePostGetsANewRecord(t *testing.T) {
	statedEverywhere(t, func(s site) {
		post := s.post("#calls once and for all")
		first := s.reaches(post, "linked")
		_, firstRecord := s.activity(first).lookup("regardingobjectid")
		s.do(http.MethodDelete, to(api.PathPostLink, post), nil).is(200)

		s.publish(post, "author "+post, "#calls once and for all") // once more, as a replay would
		settled(s.t, s.world)
		if shown := s.show(post); shown.Linked || len(shown.Links) != 1 || shown.Link.State != "removed" {
			s.t.Errorf("the replay brought it back: %+v", shown)
		}
		s.activity(first) // still the only one
		s.do(http.MethodDelete, to(api.PathPostLink, post), nil).refused(404, "not-linked")

		second := s.link(api.NewLink{Post: post, Instance: contoso, Entity: "incident"})
		var ids []string
		for _, a := range s.activitiesOf(contoso, post) {
			ids = append(ids, a.ID)
		}
		if second.ID == first.ID || second.Generation != 2 || !slices.Equal(ids, []string{first.ID, second.ID}) {
			s.t.Fatalf("linked again as %s, generation %d, after %s; activities %v", second.ID, second.Generation, first.ID, ids)
		}
		if d := s.details(post); d.Of != api.OfRecord || d.Record.ID == firstRecord {
			s.t.Errorf("details are of %+v, the first record was %s", d.Record, firstRecord)
		}
		if links := s.show(post).Links; len(links) != 2 || links[0].State != "removed" || links[0].ID != first.ID || links[1].State != "linked" {
			s.t.Errorf("history %+v", links)
		}
	})
}
