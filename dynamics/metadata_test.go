package dynamics_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"postlink/dynamics"
)

func TestFieldsAreThoseThatCanBeShown(t *testing.T) {
	t.Parallel()
	o := newOrganization()
	c := newClient(t, play(t, o.ServeHTTP).URL)
	got, err := c.Fields(t.Context(), "incident")
	if err != nil {
		t.Fatal(err)
	}
	want := []dynamics.Field{{"amount", "Amount", "Money"}, {"description", "Description", "Memo"}, {"escalated", "Is Escalated", "Boolean"}, {"incidentid", "Case", "Uniqueidentifier"},
		{"new_name", "Legal name", "String"}, {"new_topics", "Topics", "MultiSelectPicklist"}, {"new_unlabelled", "new_unlabelled", "Integer"}, {"ownerid", "Owner", "Owner"}, {"statuscode", "Status Reason", "Status"}, {"title", "Case Title", "String"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if _, err := c.Fields(t.Context(), "lead"); !errors.Is(err, dynamics.ErrNoEntity) {
		t.Errorf("error %v, want %v", err, dynamics.ErrNoEntity)
	}
	o.set("EntityDefinitions(LogicalName='lead')", `{}`)
	o.set("EntityDefinitions(LogicalName='lead')/Attributes", `{}`)
	if _, err := c.Fields(t.Context(), "lead"); !errors.Is(err, dynamics.ErrNotDynamics) {
		t.Errorf("error %v, want %v", err, dynamics.ErrNotDynamics)
	}
	if _, err := c.Fields(t.Context(), "o'brien/../x?y"); !errors.Is(err, dynamics.ErrNoEntity) {
		t.Errorf("error %v, want %v", err, dynamics.ErrNoEntity)
	}
}

func TestMetadataOffersWhatAnActivityCanBelongTo(t *testing.T) {
	t.Parallel()
	o := newOrganization()
	o.set("EntityDefinitions(LogicalName='socialactivity')/ManyToOneRelationships", `{"value":[{"ReferencedEntity":"new_complaint"},{"ReferencedEntity":"incident"},{"ReferencedEntity":"incident"},{"ReferencedEntity":"hidden"}]}`)
	o.set("EntityDefinitions", `{"value":[
		{"LogicalName":"new_complaint","EntitySetName":"new_complaints","DisplayName":`+label("Complaint")+`,"IsCustomEntity":true,"PrimaryIdAttribute":"new_complaintid","PrimaryNameAttribute":"new_name"},
		{"LogicalName":"new_vehicle","EntitySetName":"new_vehicles","DisplayName":`+label("Vehicle")+`,"IsCustomEntity":true,"PrimaryIdAttribute":"new_vehicleid"},
		{"LogicalName":"hidden","EntitySetName":null,"DisplayName":{"UserLocalizedLabel":null}},
		{"LogicalName":"incident","EntitySetName":"incidents","DisplayName":{"UserLocalizedLabel":null},"PrimaryIdAttribute":"incidentid","PrimaryNameAttribute":"title"}]}`)
	i := play(t, o.ServeHTTP)
	c := newClient(t, i.URL)
	got, err := c.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := dynamics.Metadata{RecordTypes: []dynamics.RecordType{
		{Name: "incident", Label: "incident", Set: "incidents", PrimaryID: "incidentid", PrimaryName: "title"},
		{Name: "new_complaint", Label: "Complaint", Set: "new_complaints", PrimaryID: "new_complaintid", PrimaryName: "new_name", Custom: true},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if _, ok := got.RecordType("new_vehicle"); ok {
		t.Error("a table without a relationship is offered")
	}
	if r, ok := got.RecordType("incident"); !ok || r.Set != "incidents" {
		t.Errorf("incident: %+v, %v", r, ok)
	}
	if h := i.requests()[0].Header.Get("Consistency"); h != "Strong" {
		t.Errorf("Consistency %q, want Strong", h)
	}
	o.set("EntityDefinitions", `{}`)
	if _, err := c.Metadata(t.Context()); !errors.Is(err, dynamics.ErrNotDynamics) {
		t.Errorf("error %v", err)
	}
	o.set("EntityDefinitions", `503 {}`)
	if _, err := c.Metadata(t.Context()); err == nil {
		t.Error("no error")
	}
	o.set("EntityDefinitions(LogicalName='socialactivity')/ManyToOneRelationships", `503 {}`)
	if _, err := c.Metadata(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestAnOrganizationSaysWhoItIs(t *testing.T) {
	t.Parallel()
	const id = "99999999-0000-4000-8000-000000000001"
	settings := "organizations(" + id + ")"
	known := dynamics.Organization{ID: uuid.MustParse(id), Version: "9.2.1.2"}
	with := func(disabled bool) dynamics.Organization {
		o := known
		o.SocialDataDisabled = &disabled
		return o
	}
	tests := map[string]struct {
		who, version, settings string
		want                   dynamics.Organization
		status                 int
	}{
		"that takes social data":              {settings: `{"disablesocialcare":false}`, want: with(false)},
		"that refuses social data":            {settings: `{"disablesocialcare":true}`, want: with(true)},
		"that keeps its settings to itself":   {settings: `403 {"error":{"code":"0x80040220","message":"no"}}`, want: known},
		"that has no such setting":            {settings: `400 {"error":{"code":"0x80060888","message":"no"}}`, want: known},
		"that fails at its settings":          {settings: `500 {}`, status: 500},
		"that is nobody":                      {who: `{}`, status: 200},
		"that has no version":                 {version: `{}`, status: 200},
		"that does not say who":               {who: `403 {}`, status: 403},
		"that does not say its version":       {version: `503 {}`, status: 503},
		"whose id is none":                    {who: `{"OrganizationId":"x"}`, status: 200},
		"whose setting is of another kind":    {settings: `{"disablesocialcare":"yes"}`, status: 200},
		"whose settings are there but not it": {settings: `{}`, want: known},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrganization()
			o.set("WhoAmI", `{"BusinessUnitId":"`+id+`","UserId":"`+id+`","OrganizationId":"`+id+`"}`)
			o.set("RetrieveVersion", `{"Version":"9.2.1.2"}`)
			for path, body := range map[string]string{"WhoAmI": tt.who, "RetrieveVersion": tt.version, settings: tt.settings} {
				if body != "" {
					o.set(path, body)
				}
			}
			got, err := newClient(t, play(t, o.ServeHTTP).URL).Organization(t.Context())
			var refused *dynamics.Error
			if tt.status != 0 {
				if !errors.As(err, &refused) || refused.Status != tt.status {
					t.Errorf("error %v, want status %d", err, tt.status)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("error %v, organization (-want +got):\n%s", err, diff)
			}
		})
	}
}
