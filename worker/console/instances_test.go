package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/dynamics/sandbox"
	"postlink/worker/console/api"
)

func TestAnInstanceIsAddedEditedAndDeleted(t *testing.T) {
	t.Parallel()
	w := newQuietWorld(t)
	if list := as[api.List[api.Instance]](w.get(api.PathInstances).is(http.StatusOK)); len(list.Items) != 0 {
		t.Errorf("instances before the first: %v", list)
	}
	disabled := false
	auth := api.Auth{Kind: "static", Token: api.Secret{Env: "TOKEN"}}
	a := w.send(http.MethodPost, api.PathInstances, api.NewInstance{
		Name: "contoso", URL: "https://contoso.crm.dynamics.com/", Default: true, Enabled: &disabled, Auth: auth,
	}).is(http.StatusCreated)
	got := as[api.Instance](a)
	want := api.Instance{Name: "contoso", URL: "https://contoso.crm.dynamics.com", Default: true, Auth: auth, Entities: []api.Entity{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	if a.header.Get("ETag") == "" {
		t.Error("no ETag")
	}
	w.contoso.SetSettings(sandbox.Settings{DisableSocialCare: true})
	w.send(http.MethodPost, to(api.PathEnableInstance, "contoso"), nil).is(http.StatusOK)
	changed := as[api.Instance](w.send(http.MethodPatch, to(api.PathInstance, "contoso"), api.InstanceChange{
		Auth: &api.Auth{Kind: "static", Token: api.Secret{File: "/run/secrets/contoso"}},
	}).is(http.StatusOK))
	if changed.URL != want.URL || changed.Auth.Token.File != "/run/secrets/contoso" || !changed.Enabled {
		t.Errorf("changed %+v", changed)
	}
	w.eventually("the instance is parked", func() bool {
		in := as[api.Instance](w.get(to(api.PathInstance, "contoso")))
		return strings.Contains(in.Parked, "can’t receive social data") && !in.ParkedSince.IsZero()
	})
	w.contoso.SetSettings(sandbox.Settings{})
	w.eventually("the instance was seen", func() bool {
		in := as[api.Instance](w.get(to(api.PathInstance, "contoso")))
		return in.Parked == "" && !in.LastSeen.IsZero() && in.Version != "" && in.Organization != ""
	})
	w.send(http.MethodPatch, to(api.PathInstance, "contoso"), api.InstanceChange{URL: "http://contoso.crm.dynamics.com/x?y"}).problem(422, "catalog-invalid")
	w.send(http.MethodDelete, to(api.PathInstance, "contoso"), nil).is(http.StatusNoContent)
	w.get(to(api.PathInstance, "contoso")).problem(404, "instance-unknown")

	var messages []string
	for _, r := range as[api.List[api.Revision]](w.get(api.PathCatalogHistory)).Items {
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
	for _, r := range as[api.List[api.RecordType]](w.get(to(api.PathRecordTypes, "contoso")).is(200)).Items {
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
	for _, f := range as[api.List[api.Field]](w.get(to(api.PathRecordTypeFields, "contoso", "incident")).is(200)).Items {
		if f.Name == "ticketnumber" || f.Name == "title" {
			labels = append(labels, f.Label+" "+f.Type)
		}
	}
	if diff := cmp.Diff([]string{"Case Number String", "Case Title String"}, labels); diff != "" {
		t.Error(diff)
	}
	added := as[api.Entity](w.send(http.MethodPost, to(api.PathEntities, "contoso"), api.Entity{Name: "lead", Fields: []string{"subject", "fullname"}}).is(201))
	moved := as[api.Entity](w.send(http.MethodPut, to(api.PathEntityFields, "contoso", "lead"), api.Fields{Fields: []string{"fullname", "subject"}}).is(200))
	if fmt.Sprint(added.Fields, moved.Fields) != "[subject fullname] [fullname subject]" {
		t.Errorf("fields %v, then %v", added.Fields, moved.Fields)
	}
	w.send(http.MethodPut, to(api.PathEntityFields, "contoso", "lead"), `{"fields":null}`).problem(422, "invalid-request")
	var names []string
	for _, e := range as[api.List[api.Entity]](w.get(to(api.PathEntities, "contoso"))).Items {
		names = append(names, e.Name)
	}
	if fmt.Sprint(names) != "[incident lead new_complaint]" {
		t.Errorf("entities %v", names)
	}
	w.get(to(api.PathEntities, "nowhere")).problem(404, "instance-unknown")
	w.get(to(api.PathRecordTypes, "nowhere")).problem(404, "instance-unknown")
	w.send(http.MethodDelete, to(api.PathEntity, "contoso", "lead"), nil).is(204)
	w.send(http.MethodPut, to(api.PathEntityFields, "contoso", "lead"), api.Fields{Fields: []string{"subject"}}).problem(404, "entity-unknown")
}

func TestARefreshReportsWhatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(strings.NewReplacer("[{name: lead}]", "[{name: lead, fields: [subject, mood]}, {name: new_gone}, {name: new_used}]",
		"active: false", "active: true", "entity: lead}", "entity: new_used}").Replace(plainCatalog))
	got := as[api.Refresh](w.send(http.MethodPost, to(api.PathRefreshInstance, "fabrikam"), nil).is(200))
	want := api.Refresh{
		Removed: []api.Missing{{Entity: "lead", Field: "mood"}, {Entity: "new_gone"}},
		Kept:    []api.Missing{{Entity: "new_used", Rules: []string{"sleeping / rule"}}},
	}
	if got.Version == "" || got.Organization == "" || got.At.IsZero() {
		t.Errorf("refresh %+v", got)
	}
	got.At, got.Version, got.Organization = want.At, "", ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refresh (-want +got):\n%s", diff)
	}
	w.eventually("the instance shows it too", func() bool {
		in := as[api.Instance](w.get(to(api.PathInstance, "fabrikam")))
		return fmt.Sprint(in.Missing) == "[new_used]" && !in.RefreshedAt.IsZero()
	})
}

func TestARefreshSaysThatTheOrganizationRefusesLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if r := as[api.Refresh](w.send(http.MethodPost, to(api.PathRefreshInstance, "contoso"), nil).is(http.StatusOK)); r.Refuses != "" {
		t.Errorf("it refuses: %s", r.Refuses)
	}
	w.contoso.SetSettings(sandbox.Settings{DisableSocialCare: true})
	r := as[api.Refresh](w.send(http.MethodPost, to(api.PathRefreshInstance, "contoso"), nil).is(http.StatusOK))
	if !strings.Contains(r.Refuses, "can’t receive social data") {
		t.Errorf("refresh %+v", r)
	}
}

func TestTheLinksOfAnInstanceAreCountedWhenAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.link(1)
	w.link(2)
	if in := as[api.Instance](w.get(to(api.PathInstance, "contoso"))); in.Links != nil {
		t.Errorf("counted unasked: %d", *in.Links)
	}
	for instance, want := range map[string]int{"contoso": 2, "fabrikam": 0} {
		in := as[api.Instance](w.get(to(api.PathInstance, instance) + "?links=true").is(http.StatusOK))
		if in.Links == nil || *in.Links != want {
			t.Errorf("links of %s: %v, want %d", instance, in.Links, want)
		}
	}
}
