package desk_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/worker/catalog"
	"postlink/worker/desk"
	"postlink/worker/instance"
)

var ann = catalog.Commit{Author: "ann"}

func TestEntitiesAndFieldsAreCheckedAgainstDynamics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	i := w.Instances
	offered, err := i.Offered(t.Context(), "contoso")
	must(t, err)
	names := map[string]bool{}
	for _, o := range offered {
		names[o.Name] = true
	}
	if !names["lead"] || !names["new_complaint"] || names["new_vehicle"] {
		t.Errorf("offered %v", names)
	}
	refused(t, second(i.AddEntity(t.Context(), ann, "contoso", dynamics.Entity{Name: "new_vehicle"})), desk.RefusedEntityUnrelated)
	refused(t, second(i.AddEntity(t.Context(), ann, "contoso", dynamics.Entity{Name: "lead", Fields: []string{"subject", "colour"}})), desk.RefusedFieldUnknown)
	revision, err := i.AddEntity(t.Context(), ann, "contoso", dynamics.Entity{Name: "lead", Fields: []string{"subject"}})
	must(t, err)
	if _, err := revision.Catalog.Entity("contoso", "lead"); err != nil {
		t.Error(err)
	}
	exists, ok := errors.AsType[*catalog.ExistsError](second(i.AddEntity(t.Context(), ann, "contoso", dynamics.Entity{Name: "lead"})))
	if !ok {
		t.Errorf("added twice: %v", exists)
	}
	r := refused(t, second(i.SetFields(t.Context(), ann, "contoso", "lead", []string{"subject", "colour", "ownerid", "owneridname"})), desk.RefusedFieldUnknown)
	if !strings.Contains(r.Text, "no field colour, owneridname ") {
		t.Errorf("refused with %q", r.Text)
	}
	refused(t, second(i.Fields(t.Context(), "contoso", "new_nothing")), desk.RefusedEntityUnrelated)
	revision, err = i.SetFields(t.Context(), ann, "contoso", "lead", []string{"createdon", "subject"})
	must(t, err)
	if e, _ := revision.Catalog.Entity("contoso", "lead"); fmt.Sprint(e.Fields) != "[createdon subject]" {
		t.Errorf("fields %v", e.Fields)
	}
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultGateway})
	refused(t, second(i.Offered(t.Context(), "contoso")), desk.RefusedInstanceDown)
	must(t, second(i.SetFields(t.Context(), ann, "contoso", "lead", nil))) // for which nobody has to be asked
	if unknown, ok := errors.AsType[*catalog.NotFoundError](second(i.Offered(t.Context(), "northwind"))); !ok {
		t.Errorf("error %v", unknown)
	}
}

const outdated = `
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
`

func TestARefreshRemovesWhatIsGoneAndKeepsWhatRulesUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(outdated)
	found, err := w.Instances.Refresh(t.Context(), ann, "contoso")
	must(t, err)
	if diff := cmp.Diff([]desk.Missing{{Entity: "incident", Field: "colour"}, {Entity: "new_gone"}}, found.Removed); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]desk.Missing{{Entity: "new_used", Rules: []string{"uses-it"}}}, found.Kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if found.Organization.Version == "" || found.At.IsZero() {
		t.Errorf("found %+v", found)
	}
	in, err := w.revision().Catalog.Instance("contoso")
	must(t, err)
	if got := fmt.Sprint(in.Entities); got != "[{incident [title createdon]} {new_used []}]" {
		t.Errorf("entities %s", got)
	}
	status, err := w.Instances.Status(t.Context(), "contoso")
	must(t, err)
	if fmt.Sprint(status.Missing) != "[new_used]" || !status.RefreshedAt.Equal(found.At) || status.Organization != found.Organization.ID {
		t.Errorf("status %+v", status)
	}
}

func TestARefreshKeepsWhatWasConfiguredAfterDynamicsWasAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	dial := w.client
	w.client = func(i dynamics.Instance) (*dynamics.Client, error) { // after the catalog was read, before Dynamics is asked
		_, _, err := w.opts.Catalog.Change(t.Context(), ann, func(c *catalog.Catalog) error {
			return c.AddEntity("contoso", dynamics.Entity{Name: "lead"})
		})
		must(t, err)
		return dial(i)
	}
	found, err := w.Instances.Refresh(t.Context(), ann, "contoso")
	must(t, err)
	if _, err := w.revision().Catalog.Entity("contoso", "lead"); err != nil || len(found.Removed) != 0 {
		t.Errorf("removed %v, %v", found.Removed, err)
	}
}

func TestASuccessfulRefreshEndsAPark(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault    sandbox.Fault
		settings sandbox.Settings
		kind     string // of the refusal; empty when it succeeds
		parked   bool   // afterwards
	}{
		"the instance answers":     {},
		"it does not":              {fault: sandbox.Fault{Kind: sandbox.FaultForbidden}, kind: desk.RefusedInstanceDown, parked: true},
		"it refuses social data":   {settings: sandbox.Settings{DisableSocialCare: true}, parked: true},
		"it answers half the time": {fault: sandbox.Fault{Kind: sandbox.FaultGateway, Path: "EntityDefinitions"}, kind: desk.RefusedInstanceDown, parked: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.apply(instances)
			since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			must(t, w.opts.Statuses.Update(t.Context(), "contoso", func(s *instance.Status) {
				s.Park("Dynamics 365 was not kind", since)
				s.NextTry = since.Add(time.Hour)
			}))
			w.contoso.SetSettings(test.settings)
			if test.fault.Kind != "" {
				w.fault(w.contoso, test.fault)
			}
			_, err := w.Instances.Refresh(t.Context(), ann, "contoso")
			if test.kind != "" {
				refused(t, err, test.kind)
			} else {
				must(t, err)
			}
			status, err := w.Instances.Status(t.Context(), "contoso")
			must(t, err)
			if (status.Parked != "") != test.parked || status.NextTry.IsZero() == test.parked || status.LastSeen.IsZero() != (test.kind != "") {
				t.Errorf("status %+v", status)
			}
		})
	}
}

func TestAStatusSaysWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	status, err := w.Instances.Status(t.Context(), "fabrikam")
	if diff := cmp.Diff(desk.Status{}, status); err != nil || diff != "" {
		t.Errorf("an instance that nobody has used: %v, %s", err, diff)
	}
	before := time.Now().Add(-time.Minute) // clocks of one machine agree well enough
	w.publish(text(1), text(2))
	w.link("1", "fabrikam", "")
	w.link("2", "fabrikam", "")
	must(t, w.opts.Statuses.Update(t.Context(), "fabrikam", func(s *instance.Status) { s.Retrying = "it is slow" }))
	status, err = w.Instances.Status(t.Context(), "fabrikam")
	must(t, err)
	if status.Waiting != 2 || status.Oldest.Before(before) || status.Retrying != "it is slow" {
		t.Errorf("status %+v", status)
	}
	w.emptyOutbox("fabrikam")
	status, err = w.Instances.Status(t.Context(), "fabrikam")
	if err != nil || status.Waiting != 0 || !status.Oldest.IsZero() {
		t.Errorf("status %+v, %v", status, err)
	}
}

func TestLinksAreCountedByWhereTheyLive(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t, 3)
	must(t, second(w.Links.Unlink(t.Context(), "3", "ann")))
	w.publish(text(4), text(5))
	w.link("4", "fabrikam", "") // on its way, and counted
	w.link("5", "fabrikam", "")
	w.die(5)
	counts, err := w.Instances.LinkCounts(t.Context())
	must(t, err)
	if diff := cmp.Diff(map[string]int{"contoso": 2, "fabrikam": 1}, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestADeletedInstanceIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(outdated)
	must(t, w.opts.Statuses.Update(t.Context(), "contoso", func(s *instance.Status) { s.Organization = uuid.New() }))
	if inUse, ok := errors.AsType[*catalog.InUseError](second(w.Instances.Delete(t.Context(), ann, "contoso"))); !ok {
		t.Fatalf("an instance that a rule uses was deleted: %v", inUse)
	}
	w.apply(instances)
	must(t, second(w.Instances.Delete(t.Context(), ann, "contoso")))
	status, err := w.Instances.Status(t.Context(), "contoso")
	if diff := cmp.Diff(desk.Status{}, status); err != nil || diff != "" {
		t.Errorf("after it was deleted: %v, %s", err, diff)
	}
}

func TestADeskNeedsItsParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, take := range map[string]func(*desk.Options){
		"posts":    func(o *desk.Options) { o.Posts = nil },
		"ledger":   func(o *desk.Options) { o.Ledger = nil },
		"outboxes": func(o *desk.Options) { o.Outboxes = nil },
		"letters":  func(o *desk.Options) { o.Letters = nil },
		"events":   func(o *desk.Options) { o.Events = nil },
		"statuses": func(o *desk.Options) { o.Statuses = nil },
		"catalog":  func(o *desk.Options) { o.Catalog = nil },
		"client":   func(o *desk.Options) { o.Client = nil },
	} {
		opts := w.opts
		take(&opts)
		if _, err := desk.New(opts); err == nil {
			t.Errorf("a desk without %s was made", name)
		}
	}
}
