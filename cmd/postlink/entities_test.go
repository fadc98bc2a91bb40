package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/worker/console/api"
)

// fieldsOf are the fields of an entity of contoso, as another command sees them.
func (w *world) fieldsOf(entity string) []string {
	w.t.Helper()
	var list api.List[api.Entity]
	must(w.t, json.Unmarshal([]byte(w.run("entities list contoso --json").out), &list))
	for _, e := range list.Items {
		if e.Name == entity {
			return e.Fields
		}
	}
	return nil
}

func TestFieldsAreMovedAndReplacedInTheirOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	for _, step := range []struct {
		change string
		want   []string
	}{
		{"", []string{"title", "ticketnumber", "createdon"}},
		{"--up createdon", []string{"title", "createdon", "ticketnumber"}},
		{"--up title", []string{"title", "createdon", "ticketnumber"}}, // the first stays
		{"--down title", []string{"createdon", "title", "ticketnumber"}},
		{"--down ticketnumber", []string{"createdon", "title", "ticketnumber"}}, // the last stays
		{"--up title", []string{"title", "createdon", "ticketnumber"}},
		{"statuscode title", []string{"statuscode", "title"}},
	} {
		said := w.run("entities fields contoso incident " + step.change)
		if diff := cmp.Diff(step.want, w.fieldsOf("incident")); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", step.change, diff)
		}
		for _, name := range step.want {
			said.prints("^" + name + "$")
		}
	}
	w.fails(1, "entities fields contoso incident --up createdon").warns("createdon is not shown, so it cannot be moved; the fields shown are: statuscode, title")
	w.fails(1, "entities fields contoso incident title ticketnumbr").warns("did you mean ticketnumber\\?")
	w.fails(1, "entities fields contoso incidnt").warns("instance contoso has no entity incidnt; did you mean incident\\?")
	w.fails(2, "entities fields contoso incident title --down title").warns("several ways to change the fields")
	if diff := cmp.Diff([]string{"statuscode", "title"}, w.fieldsOf("incident")); diff != "" {
		t.Errorf("a refusal changed the fields (-want +got):\n%s", diff)
	}
	w.run("entities fields contoso incident --reset").lacks("^statuscode$")
	w.run("entities fields contoso incident --json").prints(`"items": \[`)
}

func TestRecordDetailsFollowTheOrderOfTheFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.linked(1)
	w.run("links show @1").prints(`(?s)^Case Title .*^Case Number .*^Created On `)
	w.run("entities fields contoso incident createdon ticketnumber title")
	w.follows()
	w.run("links show @1").prints(`(?s)^Created On .*^Case Number .*^Case Title `)
}

func TestEntitiesAreAddedFromWhatTheInstanceOffersAndRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.run("entities list fabrikam").warns("^the instance has no entities; see what it offers with: postlink entities offered fabrikam$")
	w.run("entities offered fabrikam").prints("^incident +Case +- *$", "^lead +Lead ")
	w.run("entities offered fabrikam --json").prints(`"name": "incident"`)
	w.run("entities offered fabrikam incident").prints("^FIELD +LABEL +TYPE$", "^ticketnumber +Case Number +String$")
	w.run("entities offered contoso").prints("^incident +Case +- +yes$")
	w.run("entities add fabrikam lead --fields subject,fullname").warns("^posts may be linked to lead of instance fabrikam$")
	w.run("entities list fabrikam").prints("^lead +subject, fullname$")
	w.run("entities add fabrikam incident account")
	w.run("entities list fabrikam").prints("^incident$", "^account$")

	w.fails(2, "entities add fabrikam new_complaint contact --fields name").warns("add the entities one by one")
	w.fails(1, "entities add fabrikam lead").warns("lead")
	w.fails(1, "entities add fabrikam opportunity").warns("cannot be the record of a social activity in instance fabrikam; choose from: ")
	w.fails(1, "entities add fabrikam contact --fields nam").warns("nam")
	w.fails(1, "entities list fabricam").warns("did you mean fabrikam\\?")
	w.run("entities list fabrikam").lacks("^contact", "^new_complaint", "^opportunity")

	w.fails(2, "entities remove fabrikam lead account").
		warns(`Remove of instance fabrikam: lead with its list of 2 fields, account with its list of .*\?`, "add --yes")
	w.fails(1, "entities remove fabrikam led").warns("instance fabrikam has no entity led; did you mean lead\\?")
	// One that is refused does not keep the others.
	w.fails(1, "entities remove contoso incident lead --yes").warns("^postlink: incident: .*in use", "^  rule delays$", "^entity lead of instance contoso is removed$")
	w.run("entities list contoso").prints("^incident ").lacks("^lead")
	w.run("entities remove fabrikam lead account --yes").warns("^entity lead of ", "^entity account of ")
	w.run("entities list fabrikam").prints("^incident$").lacks("^lead", "^account")
}
