package dynamics_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
)

func names(fields []dynamics.Field) []string {
	var list []string
	for _, f := range fields {
		list = append(list, f.Name)
	}
	return list
}

// Metadata describes columns that the Web API does not have, such as the names beside lookups.
func TestOnlyColumnsOfTheWebAPIAreOffered(t *testing.T) {
	t.Parallel()
	_, c := simulate(t, sandbox.Options{})
	for entity, tt := range map[string]struct{ offered, withheld []string }{
		"incident":       {[]string{"title", "slaid", "ownerid", "statuscode", "incidentid"}, []string{"slaname", "owneridname", "owneridyominame", "owneridtype", "statuscodename", "customeridname"}},
		"socialactivity": {[]string{"subject", "activitytypecode", "postfromprofileid"}, []string{"postedbyname", "postauthorname", "postauthortype", "from", "to"}},
		"new_complaint":  {[]string{"new_name", "new_topics"}, []string{"new_topicsname", "owneridname"}},
	} {
		fields, err := c.Fields(t.Context(), entity)
		if err != nil {
			t.Fatal(err)
		}
		got := names(fields)
		for _, name := range tt.offered {
			if !slices.Contains(got, name) {
				t.Errorf("%s: %s is not offered", entity, name)
			}
		}
		for _, name := range tt.withheld {
			if slices.Contains(got, name) {
				t.Errorf("%s: %s is offered, but the Web API has no such column", entity, name)
			}
		}
	}
}

func TestEveryOfferedFieldCanBeShown(t *testing.T) {
	t.Parallel()
	s, c := simulate(t, sandbox.Options{})
	for id, entity := range map[string]string{"1": "incident", "2": "lead", "3": "new_complaint"} {
		a := post(t, id, entity)
		if err := c.Create(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		fields, err := c.Fields(t.Context(), entity)
		if err != nil {
			t.Fatal(err)
		}
		d, err := c.Details(t.Context(), dynamics.Query{Activity: a.ID, Fields: func(string) []string { return names(fields) }})
		if err != nil || d.Entity != entity {
			t.Fatalf("details of %s: %+v, %v", entity, d, err)
		}
		for _, f := range d.Fields {
			if f.Missing {
				t.Errorf("%s: the offered field %s is missing", entity, f.Name)
			}
		}
	}
	for _, r := range s.Requests() {
		if r.Status >= 400 {
			t.Errorf("%s %s?%s: status %d", r.Method, r.Path, r.Query, r.Status)
		}
	}
}

func TestChoicesAndTheActivityTypeAreShownAsText(t *testing.T) {
	t.Parallel()
	s, c := simulate(t, sandbox.Options{})
	a := post(t, "1", "new_complaint")
	if err := c.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	d, err := c.Details(t.Context(), dynamics.Query{Activity: a.ID})
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, "PATCH", "new_complaints("+d.ID.String()+")", `{"new_topics":"3,1"}`)
	d, err = c.Details(t.Context(), dynamics.Query{Activity: a.ID, Fields: func(string) []string { return []string{"new_topics"} }})
	want := []dynamics.FieldValue{{Name: "new_topics", Label: "Topics", Value: "Delay; Staff"}}
	if diff := cmp.Diff(want, d.Fields); diff != "" || err != nil {
		t.Errorf("error %v, choices (-want +got):\n%s", err, diff)
	}

	s.SetSettings(sandbox.Settings{NoConversion: true})
	b := post(t, "2", "incident")
	if err := c.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	d, err = c.Details(t.Context(), dynamics.Query{Activity: b.ID, Fields: func(string) []string { return []string{"activitytypecode"} }})
	want = []dynamics.FieldValue{{Name: "activitytypecode", Label: "Activity Type", Value: "Social Activity"}}
	if diff := cmp.Diff(want, d.Fields); diff != "" || err != nil {
		t.Errorf("error %v, activity type (-want +got):\n%s", err, diff)
	}
}

func TestAConfiguredFieldThatTheWebAPILacksIsShownAsGone(t *testing.T) {
	t.Parallel()
	_, c := simulate(t, sandbox.Options{})
	a := post(t, "1", "incident")
	if err := c.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	d, err := c.Details(t.Context(), dynamics.Query{Activity: a.ID, Fields: func(string) []string { return []string{"slaname", "title", "no_such", "statuscode"} }})
	want := []dynamics.FieldValue{
		{Name: "slaname", Label: "slaname", Missing: true},
		{Name: "title", Label: "Case Title", Value: "Flight cancelled"},
		{Name: "no_such", Label: "no_such", Missing: true},
		{Name: "statuscode", Label: "Status Reason", Value: "In Progress"},
	}
	if diff := cmp.Diff(want, d.Fields); diff != "" || err != nil {
		t.Errorf("error %v, fields (-want +got):\n%s", err, diff)
	}
}
