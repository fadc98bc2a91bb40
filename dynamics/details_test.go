package dynamics_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"postlink/dynamics"
)

// organization answers each path (up to the query) with a fixed answer, until a test changes it.
type organization struct {
	mu      sync.Mutex
	answers map[string]string // JSON, or a status and JSON: "404 {...}"
}

func (o *organization) set(path, answer string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers[path] = answer
}

func (o *organization) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	body, ok := o.answers[strings.TrimPrefix(r.URL.Path, "/api/data/v9.2/")]
	o.mu.Unlock()
	if !ok {
		body = `404 {"error":{"code":"0x80060888","message":"Resource not found for the segment."}}`
	}
	status := 200
	if _, err := fmt.Sscanf(body, "%d ", &status); err == nil {
		body = body[4:]
	}
	answerJSON(w, status, body)
}

const (
	activityID = "11111111-1111-5111-8111-111111111111"
	caseID     = "dddddddd-0000-4000-8000-000000000001"
)

func label(text string) string {
	return fmt.Sprintf(`{"LocalizedLabels":[],"UserLocalizedLabel":{"Label":%q,"LanguageCode":1033}}`, text)
}

// attribute describes a column in metadata. A kind after a minus is one that the Web API does not have.
func attribute(name, text, kind string) string {
	kind, without := strings.CutPrefix(kind, "-")
	return fmt.Sprintf(`{"LogicalName":%q,"DisplayName":%s,"AttributeType":%q,"AttributeTypeName":{"Value":%q},"IsValidODataAttribute":%v}`, name, label(text), kind, kind+"Type", !without)
}

func newOrganization() *organization {
	return &organization{answers: map[string]string{
		"EntityDefinitions(LogicalName='socialactivity')": `{"LogicalName":"socialactivity","EntitySetName":"socialactivities","DisplayName":` + label("Social Activity") + `,"PrimaryIdAttribute":"activityid","PrimaryNameAttribute":"subject"}`,
		"EntityDefinitions(LogicalName='socialactivity')/Attributes": `{"value":[` + strings.Join([]string{attribute("activityid", "Social Activity", "Uniqueidentifier"),
			attribute("subject", "Title", "String"), attribute("regardingobjectid", "Regarding", "Lookup"), attribute("createdon", "Created On", "DateTime"), attribute("statuscode", "Status Reason", "Status")}, ",") + `]}`,
		"EntityDefinitions(LogicalName='incident')": `{"LogicalName":"incident","EntitySetName":"incidents","DisplayName":` + label("Case") + `,"PrimaryIdAttribute":"incidentid","PrimaryNameAttribute":"title"}`,
		"EntityDefinitions(LogicalName='incident')/Attributes": `{"value":[` + strings.Join([]string{attribute("incidentid", "Case", "Uniqueidentifier"), attribute("title", "Case Title", "String"),
			attribute("ownerid", "Owner", "Owner"), attribute("owneridname", "", "-String"), attribute("owneridtype", "", "-EntityName"), attribute("statuscode", "Status Reason", "Status"), attribute("statuscodename", "", "-Virtual"), attribute("entityimage", "Image", "Virtual"), attribute("to", "To", "PartyList"),
			attribute("escalated", "Is Escalated", "Boolean"), attribute("amount", "Amount", "Money"), attribute("new_name", "Legal name", "String"), attribute("description", "Description", "Memo"),
			`{"LogicalName":"new_topics","DisplayName":` + label("Topics") + `,"AttributeType":"Virtual","AttributeTypeName":{"Value":"MultiSelectPicklistType"},"IsValidODataAttribute":true}`,
			`{"LogicalName":"secret","DisplayName":{"UserLocalizedLabel":null},"AttributeType":"String","IsValidODataAttribute":false,"IsValidForRead":true}`,
			`{"LogicalName":"new_unlabelled","DisplayName":{"UserLocalizedLabel":null},"AttributeType":"Integer","IsValidODataAttribute":true,"IsValidForRead":false}`}, ",") + `]}`,
		"socialactivities(" + activityID + ")": `{"activityid":"` + activityID + `","subject":"Flight cancelled","statuscode":4,"statuscode@OData.Community.Display.V1.FormattedValue":"Open","_regardingobjectid_value":"` + caseID +
			`","_regardingobjectid_value@Microsoft.Dynamics.CRM.lookuplogicalname":"incident","_regardingobjectid_value@OData.Community.Display.V1.FormattedValue":"Flight cancelled","createdon":"2026-03-02T08:00:00Z","createdon@OData.Community.Display.V1.FormattedValue":"3/2/2026 9:00 AM"}`,
		"incidents(" + caseID + ")": `{"incidentid":"` + caseID + `","title":"Flight cancelled","_ownerid_value":"eeeeeeee-0000-4000-8000-000000000001","_ownerid_value@OData.Community.Display.V1.FormattedValue":"Grace Hopper","_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname":"systemuser",` +
			`"statuscode":1,"statuscode@OData.Community.Display.V1.FormattedValue":"In Progress","escalated":false,"amount":12345678901234567890.10,"description":null}`,
	}}
}

func configured(fields map[string][]string) func(string) []string {
	return func(entity string) []string { return fields[entity] }
}

func query(fields map[string][]string) dynamics.Query {
	return dynamics.Query{Activity: uuid.MustParse(activityID), Fields: configured(fields)}
}

func unconverted(o *organization) {
	o.set("socialactivities("+activityID+")", `{"activityid":"`+activityID+`","subject":"Flight cancelled","_regardingobjectid_value":null,"statuscode":4,"statuscode@OData.Community.Display.V1.FormattedValue":"Open","createdon":"2026-03-02T08:00:00Z"}`)
}

func TestDetailsAreThoseOfTheTargetRecord(t *testing.T) {
	t.Parallel()
	o := newOrganization()
	i := play(t, o.ServeHTTP)
	c := newClient(t, i.URL)
	fields := map[string][]string{"incident": {"ownerid", "title", "gone", "statuscode", "escalated", "amount", "description", "owneridname", "secret"}}
	got, err := c.Details(t.Context(), query(fields))
	if err != nil {
		t.Fatal(err)
	}
	target := dynamics.Record{Entity: "incident", ID: uuid.MustParse(caseID)}
	want := dynamics.Details{Record: target, Label: "Case", Converted: true, Target: target, Fields: []dynamics.FieldValue{
		{Name: "ownerid", Label: "Owner", Value: "Grace Hopper", Record: dynamics.Record{Entity: "systemuser", ID: uuid.MustParse("eeeeeeee-0000-4000-8000-000000000001")}},
		{Name: "title", Label: "Case Title", Value: "Flight cancelled"},
		{Name: "gone", Label: "gone", Missing: true},
		{Name: "statuscode", Label: "Status Reason", Value: "In Progress"},
		{Name: "escalated", Label: "Is Escalated", Value: "false"},
		{Name: "amount", Label: "Amount", Value: "12345678901234567890.10"},
		{Name: "description", Label: "Description"},
		{Name: "owneridname", Label: "owneridname", Missing: true},
		{Name: "secret", Label: "secret", Missing: true},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	r := i.requests()
	last := r[len(r)-1]
	if want := "incidents(" + caseID + ")?$select=incidentid,_ownerid_value,title,statuscode,escalated,amount,description"; last.URI != want {
		t.Errorf("request %s, want %s", last.URI, want)
	}
	if !strings.Contains(last.Header.Get("Prefer"), "FormattedValue") || last.Header.Get("If-None-Match") != "null" {
		t.Errorf("headers %v", last.Header)
	}
	if _, err := c.Details(t.Context(), query(fields)); err != nil || len(i.requests()) != len(r)+2 {
		t.Errorf("error %v; the second time %d requests, want 2", err, len(i.requests())-len(r))
	}
}

func TestDetailsWithoutATargetRecordAreThoseOfTheActivity(t *testing.T) {
	t.Parallel()
	o := newOrganization()
	unconverted(o)
	i := play(t, o.ServeHTTP)
	got, err := newClient(t, i.URL).Details(t.Context(), dynamics.Query{Activity: uuid.MustParse(activityID)})
	if err != nil {
		t.Fatal(err)
	}
	want := dynamics.Details{Record: dynamics.Record{Entity: "socialactivity", ID: uuid.MustParse(activityID)}, Label: "Social Activity", Fields: []dynamics.FieldValue{
		{Name: "subject", Label: "Title", Value: "Flight cancelled"},
		{Name: "statuscode", Label: "Status Reason", Value: "Open"},
		{Name: "createdon", Label: "Created On", Value: "2026-03-02T08:00:00Z"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
}

func TestDetailsReportWhatEndsALink(t *testing.T) {
	t.Parallel()
	gone := `404 {"error":{"code":"0x80040217","message":"Does Not Exist"}}`
	target := dynamics.Record{Entity: "incident", ID: uuid.MustParse(caseID)}
	tests := map[string]struct {
		change    func(*organization)
		known     dynamics.Record
		gone      bool // the link ends
		dissolved bool
		unread    bool // the activity is shown instead
		status    int  // of another error
	}{
		"the activity was deleted": {change: func(o *organization) { o.set("socialactivities("+activityID+")", gone) }, gone: true},
		"the activity was deleted, in another version": {change: func(o *organization) {
			o.set("socialactivities("+activityID+")", strings.Replace(gone, "0x80040217", "0x80060891", 1))
		}, gone: true},
		"the activity was deleted, without a code": {change: func(o *organization) {
			o.set("socialactivities("+activityID+")", strings.Replace(gone, "0x80040217", "", 1))
		}, gone: true},
		"the target record was deleted":        {change: func(o *organization) { o.set("incidents("+caseID+")", gone) }, gone: true},
		"the target record was taken off":      {change: unconverted, known: target, gone: true, dissolved: true},
		"the target record is another one now": {known: dynamics.Record{Entity: "lead", ID: uuid.MustParse(activityID)}},
		"an unknown set ends nothing": {change: func(o *organization) {
			o.set("socialactivities("+activityID+")", `404 {"error":{"code":"0x80060888","message":"segment"}}`)
		}, status: 404},
		"a gateway that knows no route ends nothing": {change: func(o *organization) {
			o.set("incidents("+caseID+")", `404 {"message":"no Route matched with those values"}`)
		}, status: 404},
		"a gateway with words for codes ends nothing": {change: func(o *organization) {
			o.set("socialactivities("+activityID+")", `404 {"error":{"code":"ResourceNotFound","message":"m"}}`)
		}, status: 404},
		"an answer without the record ends nothing": {change: func(o *organization) { o.set("socialactivities("+activityID+")", `{}`) }, known: target, status: 200},
		"a target of no kind ends nothing": {change: func(o *organization) {
			o.set("socialactivities("+activityID+")", `{"activityid":"`+activityID+`","_regardingobjectid_value":"`+caseID+`"}`)
		}, status: 200},
		"an instance that is down ends nothing": {change: func(o *organization) { o.set("socialactivities("+activityID+")", `503 {}`) }, status: 503},
		"a target record of which we may not know": {change: func(o *organization) {
			o.set("incidents("+caseID+")", `403 {"error":{"code":"0x80040220","message":"no"}}`)
		}, unread: true},
		"a target record of a type of which we may not ": {change: func(o *organization) {
			o.set("EntityDefinitions(LogicalName='incident')", `404 {"error":{"code":"0x80060888","message":"no"}}`)
		}, unread: true},
		"a target record that cannot be read now": {change: func(o *organization) {
			o.set("incidents("+caseID+")", `500 {"error":{"code":"0x80040216","message":"no"}}`)
		}, status: 500},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrganization()
			if tt.change != nil {
				tt.change(o)
			}
			q := query(nil)
			q.Target = tt.known
			got, err := newClient(t, play(t, o.ServeHTTP).URL).Details(t.Context(), q)
			if errors.Is(err, dynamics.ErrGone) != tt.gone || errors.Is(err, dynamics.ErrDissociated) != tt.dissolved {
				t.Errorf("error %v", err)
			}
			var refused *dynamics.Error
			if tt.status != 0 && (!errors.As(err, &refused) || refused.Status != tt.status) {
				t.Errorf("error %v, want status %d", err, tt.status)
			}
			if tt.gone || tt.status != 0 {
				return
			}
			if err != nil || !got.Converted || got.Target != target || (got.Unread != nil) != tt.unread || (got.Entity == "socialactivity") != tt.unread {
				t.Errorf("details %+v, %v", got, err)
			}
		})
	}
}

func TestAFieldThatGoesAwayIsNoticed(t *testing.T) {
	t.Parallel()
	o := newOrganization()
	i := play(t, o.ServeHTTP)
	c := newClient(t, i.URL)
	q := query(map[string][]string{"incident": {"title", "amount"}})
	if _, err := c.Details(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	record := o.answers["incidents("+caseID+")"]
	o.set("EntityDefinitions(LogicalName='incident')/Attributes", `{"value":[`+attribute("title", "Case Title", "String")+`]}`)
	o.set("incidents("+caseID+")", `400 {"error":{"code":"0x80060888","message":"Could not find a property named 'amount'"}}`)
	if _, err := c.Details(t.Context(), q); err == nil {
		t.Error("no error although the instance goes on refusing")
	}
	o.set("incidents("+caseID+")", record)
	got, err := c.Details(t.Context(), q)
	if err != nil || len(got.Fields) != 2 || got.Fields[0].Missing || !got.Fields[1].Missing {
		t.Errorf("details %+v, %v", got, err)
	}
}

// Metadata may promise a column that the Web API then refuses: the record is read with all its columns, once an hour.
func TestAFieldThatTheWebAPIRefusesHidesNoOther(t *testing.T) {
	t.Parallel()
	o := newOrganization()
	record := o.answers["incidents("+caseID+")"]
	i := play(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Query().Get("$select"), "new_name") {
			answerJSON(w, 400, `{"error":{"code":"0x80060888","message":"Could not find a property named 'new_name' on type 'Microsoft.Dynamics.CRM.incident'."}}`)
			return
		}
		o.ServeHTTP(w, r)
	})
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	c := newClient(t, i.URL, func(o *dynamics.Options) { o.Now = func() time.Time { return now } })
	q := query(map[string][]string{"incident": {"title", "new_name", "statuscode", "description"}})
	want := []dynamics.FieldValue{
		{Name: "title", Label: "Case Title", Value: "Flight cancelled"},
		{Name: "new_name", Label: "new_name", Missing: true},
		{Name: "statuscode", Label: "Status Reason", Value: "In Progress"},
		{Name: "description", Label: "Description"},
	}
	for n, requests := range []int{7, 2, 7} { // activity and case, each with its type; and the case as a whole
		before := len(i.requests())
		got, err := c.Details(t.Context(), q)
		if diff := cmp.Diff(want, got.Fields); diff != "" || err != nil {
			t.Errorf("reading %d: error %v, fields (-want +got):\n%s", n+1, err, diff)
		}
		if got := len(i.requests()) - before; got != requests {
			t.Errorf("reading %d: %d requests, want %d", n+1, got, requests)
		}
		now = now.Add(31 * time.Minute)
	}
	last := i.requests()[len(i.requests())-1]
	if last.URI != "incidents("+caseID+")" {
		t.Errorf("the whole record is read by %s", last.URI)
	}
	o.set("incidents("+caseID+")", `404 {"error":{"code":"0x80040217","message":"Does Not Exist"}}`)
	for what, client := range map[string]*dynamics.Client{"at the first reading": c, "between two readings": newClient(t, i.URL)} {
		if _, err := client.Details(t.Context(), q); !errors.Is(err, dynamics.ErrGone) {
			t.Errorf("deleted %s: error %v, want %v", what, err, dynamics.ErrGone)
		}
	}
	o.set("incidents("+caseID+")", record)
}

func TestDescriptionsAreReadAgainAfterAnHour(t *testing.T) {
	t.Parallel()
	o := newOrganization()
	i := play(t, o.ServeHTTP)
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	c := newClient(t, i.URL, func(o *dynamics.Options) { o.Now = func() time.Time { return now } })
	for n, want := range []int{6, 2, 6} {
		before := len(i.requests())
		if _, err := c.Details(t.Context(), query(nil)); err != nil {
			t.Fatal(err)
		}
		if got := len(i.requests()) - before; got != want {
			t.Errorf("reading %d: %d requests, want %d", n+1, got, want)
		}
		now = now.Add(31 * time.Minute)
	}
}
