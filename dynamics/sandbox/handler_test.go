package sandbox_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"postlink/dynamics/sandbox"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	root      = "/api/data/v9.2/"
	contactID = "c0000000-0000-4000-8000-000000000001"
	profileID = "50000000-0000-4000-8000-000000000001"
	postID    = "a0000000-0000-4000-8000-000000000001"
	otherID   = "a0000000-0000-4000-8000-000000000002"
	unknownID = "f0000000-0000-4000-8000-00000000000f"

	contact  = "contacts(" + contactID + ")"
	profile  = "socialprofiles(" + profileID + ")"
	activity = "socialactivities(" + postID + ")"
)

// clock is a time that tests move by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 23, 8, 15, 30, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// org is a sandbox with a client that holds a token.
type org struct {
	t *testing.T
	*sandbox.Sandbox
	clock *clock
}

func newOrg(t *testing.T, opts sandbox.Options) *org {
	t.Helper()
	c := newClock()
	opts.Name, opts.Tokens, opts.Seed = "contoso", []string{"secret"}, 1
	if opts.Now == nil {
		opts.Now = c.now
	}
	s, err := sandbox.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return &org{t, s, c}
}

type response struct {
	status int
	header http.Header
	body   string
}

// code returns the error code of the usual error document.
func (r response) code() string {
	var doc struct {
		Error struct{ Code, Message string }
	}
	_ = json.Unmarshal([]byte(r.body), &doc)
	return doc.Error.Code
}

func (r response) member(name string) any {
	var doc map[string]any
	_ = json.Unmarshal([]byte(r.body), &doc)
	return doc[name]
}

// do sends a Web API request; headers are names and values in turn.
func (o *org) do(method, path, body string, headers ...string) response {
	return o.send(method, root+path, body, append([]string{"Authorization", "Bearer secret"}, headers...)...)
}

func (o *org) send(method, path, body string, headers ...string) response {
	return serve(o.Sandbox, method, path, body, headers...)
}

func serve(h http.Handler, method, path, body string, headers ...string) response {
	r := httptest.NewRequest(method, "http://crm.test"+strings.ReplaceAll(path, " ", "%20"), strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	data, _ := io.ReadAll(w.Result().Body)
	return response{w.Code, w.Result().Header, string(data)}
}

// must sends a request that has to answer with that status.
func (o *org) must(status int, method, path, body string, headers ...string) response {
	o.t.Helper()
	r := o.do(method, path, body, headers...)
	if r.status != status {
		o.t.Fatalf("%s %s: status %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

// author writes the contact and the profile that activities bind to.
func (o *org) author() {
	o.t.Helper()
	o.must(204, "PATCH", contact, `{"firstname":"Ada","lastname":"Lovelace"}`, "If-None-Match", "*")
	o.must(204, "PATCH", profile, `{"profilename":"ada","profilefullname":"Ada Lovelace","uniqueprofileid":"O'Ada","community":2,`+
		`"customerid_contact@odata.bind":"/`+contact+`"}`, "If-None-Match", "*")
}

const fullActivity = `{"subject":"Lost <bag> & \"more\"","description":"línea\n2","community":2,"postmessagetype":0,"directioncode":false,"sentimentvalue":-1.0,
"posturl":"https://example.test/1","postid":"1234","postedon":"2026-11-23T09:15:30.75+01:00",
"activityadditionalparams":"{\"userPreferredTargetEntity\":\"incident\",\"isRetweet\":false,\"influencescore\":41.0}",
"postfromprofileid@odata.bind":"/` + profile + `","postauthor_contact@odata.bind":"/` + contact + `"}`

// golden compares JSON, indented, with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(got), "", "  "); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	b.WriteByte('\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]sandbox.Options{
		"a name is required":                       {},
		"a name has no spaces":                     {Name: "con toso"},
		"a custom table needs a prefix":            {Name: "a", Custom: []sandbox.CustomTable{{Name: "complaint"}}},
		"a custom table has a logical name":        {Name: "a", Custom: []sandbox.CustomTable{{Name: "new_Complaint"}}},
		"two tables cannot share a name":           {Name: "a", Custom: []sandbox.CustomTable{{Name: "new_a"}, {Name: "new_a"}}},
		"a rule needs an operator that exists":     {Name: "a", Rules: []sandbox.ConversionRule{{Entity: "incident", Conditions: []sandbox.Condition{{Column: "community", Operator: "like", Value: 1}}}}},
		"a rule names columns that exist":          {Name: "a", Rules: []sandbox.ConversionRule{{Entity: "incident", Conditions: []sandbox.Condition{{Column: "colour", Value: 1}}}}},
		"a rule names profile columns that exist":  {Name: "a", Rules: []sandbox.ConversionRule{{Entity: "incident", Conditions: []sandbox.Condition{{Profile: "colour", Value: 1}}}}},
		"a condition names one thing":              {Name: "a", Rules: []sandbox.ConversionRule{{Entity: "incident", Conditions: []sandbox.Condition{{Column: "community", Property: "x", Value: 1}}}}},
		"a condition compares with a simple value": {Name: "a", Rules: []sandbox.ConversionRule{{Entity: "incident", Conditions: []sandbox.Condition{{Column: "community"}}}}},
		"a rule sets a status that exists":         {Name: "a", Rules: []sandbox.ConversionRule{{Entity: "incident", StatusCode: 77}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s, err := sandbox.New(opts); err == nil {
				t.Fatalf("accepted: %v", s.Name())
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{Absent: []string{"lead"}})
	o.author()
	for name, tc := range map[string]struct {
		method, path string
		status       int
		code         string
	}{
		"a set that is not installed is not found":    {"GET", "leads", 404, "0x80060888"},
		"an unknown set is not found":                 {"POST", "nonsenses", 404, "0x80060888"},
		"an action below records is unsupported":      {"POST", "socialprofiles/Microsoft.Dynamics.CRM.GenerateSocialProfile", 501, ""},
		"batches are unsupported":                     {"POST", "$batch", 501, ""},
		"the model document is unsupported":           {"GET", "$metadata", 501, ""},
		"alternate keys are unsupported":              {"GET", "socialprofiles(uniqueprofileid='1')", 501, ""},
		"a key that is no GUID is a bad request":      {"GET", "contacts(12)", 400, "0x80060888"},
		"a key without its parenthesis is bad":        {"GET", "contacts(" + contactID, 400, "0x80060888"},
		"reading one column is unsupported":           {"GET", contact + "/lastname", 501, ""},
		"PUT is not a method of records":              {"PUT", contact, 405, ""},
		"POST is not a method of records":             {"POST", contact, 405, ""},
		"PATCH is not a method of sets":               {"PATCH", "contacts", 405, ""},
		"organizations cannot be created":             {"POST", "organizations", 405, ""},
		"apps cannot be changed":                      {"PATCH", "appmodules(" + contactID + ")", 405, ""},
		"users cannot be deleted":                     {"DELETE", "systemusers(" + contactID + ")", 405, ""},
		"WhoAmI is a function":                        {"POST", "WhoAmI", 405, ""},
		"expanding records is unsupported":            {"GET", "contacts?$expand=owninguser", 501, ""},
		"aggregation is unsupported":                  {"GET", "contacts?$apply=x", 501, ""},
		"parameter aliases are unsupported":           {"GET", "contacts?@p1=x", 501, ""},
		"other query parameters are refused":          {"GET", "contacts?page=2", 400, "0x80060888"},
		"an option cannot be given twice":             {"GET", "contacts?$top=1&$top=2", 400, "0x80060888"},
		"a negative $top is refused":                  {"GET", "contacts?$top=-1", 400, "0x80060888"},
		"a $count that is no boolean is refused":      {"GET", "contacts?$count=yes", 400, "0x80060888"},
		"an empty $filter is refused":                 {"GET", "contacts?$filter=", 400, "0x80060888"},
		"an invented $skiptoken is refused":           {"GET", "contacts?$skiptoken=abc", 400, "0x80060888"},
		"a malformed query is refused":                {"GET", "contacts?$top=%zz", 400, "0x80060888"},
		"an unknown column in $select is refused":     {"GET", contact + "?$select=colour", 400, "0x80060888"},
		"a lookup is selected by its _value":          {"GET", profile + "?$select=customerid", 400, "0x80060888"},
		"an unknown column in $orderby is refused":    {"GET", "contacts?$orderby=colour", 400, "0x80060888"},
		"an $orderby in no direction is refused":      {"GET", "contacts?$orderby=lastname up", 400, "0x80060888"},
		"unknown tables have no definition":           {"GET", "EntityDefinitions(LogicalName='nonsense')", 404, "0x80060888"},
		"unknown columns have no definition":          {"GET", "EntityDefinitions(LogicalName='contact')/Attributes(LogicalName='colour')", 404, "0x80060888"},
		"metadata cannot be changed":                  {"POST", "EntityDefinitions", 501, ""},
		"metadata is found by logical name only":      {"GET", "EntityDefinitions(" + contactID + ")", 501, ""},
		"metadata is never paged":                     {"GET", "EntityDefinitions?$top=1", 501, ""},
		"keys of tables are unsupported":              {"GET", "EntityDefinitions(LogicalName='contact')/Keys", 501, ""},
		"an unknown property of metadata is refused":  {"GET", "EntityDefinitions?$select=Colour", 400, "0x80060888"},
		"an unknown metadata filter is refused":       {"GET", "EntityDefinitions?$filter=Colour eq 'red'", 400, "0x80060888"},
		"MaxLength needs a cast":                      {"GET", "EntityDefinitions(LogicalName='contact')/Attributes?$select=MaxLength", 400, "0x80060888"},
		"OptionSet needs a cast":                      {"GET", "EntityDefinitions(LogicalName='contact')/Attributes?$expand=OptionSet", 400, "0x80060888"},
		"a cast to another type finds no column":      {"GET", "EntityDefinitions(LogicalName='contact')/Attributes(LogicalName='lastname')/Microsoft.Dynamics.CRM.MemoAttributeMetadata", 404, "0x80060888"},
		"many-to-many relationships are not imitated": {"GET", "RelationshipDefinitions/Microsoft.Dynamics.CRM.ManyToManyRelationshipMetadata", 501, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := o.do(tc.method, tc.path, "")
			if r.status != tc.status || r.code() != tc.code {
				t.Errorf("%d %q, want %d %q: %s", r.status, r.code(), tc.status, tc.code, r.body)
			}
		})
	}
	if r := o.send("GET", "/api/data/v8.2/contacts", ""); r.status != 404 {
		t.Errorf("an old version answers %d", r.status)
	}
	if r := o.do("GET", "contacts", "", "Prefer", "odata.track-changes"); r.status != 501 {
		t.Errorf("an unsupported preference answers %d", r.status)
	}
	if r := o.do("GET", "contacts", "", "Prefer", "odata.maxpagesize=0"); r.status != 400 {
		t.Errorf("an empty page answers %d", r.status)
	}
	if r := o.do("GET", "contacts?$filter="+strings.Repeat("x", 40<<10), ""); r.status != 414 {
		t.Errorf("an endless query answers %d", r.status)
	}
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	who := o.must(200, "GET", "WhoAmI", "")
	golden(t, "whoami", who.body)
	golden(t, "version", o.must(200, "GET", "RetrieveVersion()", "").body)
	org := "organizations(" + who.member("OrganizationId").(string) + ")"
	golden(t, "organization", o.must(200, "GET", org+"?$select=organizationid,disablesocialcare", "").body)
	golden(t, "appmodules", o.must(200, "GET", "appmodules?$select=appmoduleid,uniquename", "").body)

	o.must(204, "PATCH", org, `{"disablesocialcare":true}`)
	if !o.Settings().DisableSocialCare {
		t.Error("an administrator's change of the organization is not its setting")
	}
	o.SetSettings(sandbox.Settings{})
	if r := o.must(200, "GET", org, ""); r.member("disablesocialcare") != false {
		t.Errorf("the setting is not shown: %s", r.body)
	}
	if r := o.do("PATCH", "organizations("+unknownID+")", `{"disablesocialcare":true}`); r.status != 404 {
		t.Errorf("a second organization: %d", r.status)
	}
}
