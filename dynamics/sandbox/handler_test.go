package sandbox_test

import (
	"strings"
	"testing"

	"postlink/dynamics/sandbox"
)

func TestNamesAreChecked(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "con toso", "Contoso", "-contoso"} {
		if _, err := sandbox.New(sandbox.Options{Name: name}); err == nil {
			t.Errorf("the name %q is accepted", name)
		}
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.author()
	for name, tc := range map[string]struct {
		method, path string
		status       int
		code         string
	}{
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
		"users cannot be changed":                     {"PATCH", "systemusers(" + contactID + ")", 405, ""},
		"apps are unsupported":                        {"GET", "appmodules", 501, ""},
		"options of a function are unsupported":       {"GET", "WhoAmI?$select=UserId", 501, ""},
		"options of a write are unsupported":          {"POST", "contacts?$select=lastname", 501, ""},
		"a filter on one record is unsupported":       {"GET", contact + "?$filter=lastname eq 'x'", 501, ""},
		"users cannot be deleted":                     {"DELETE", "systemusers(" + contactID + ")", 405, ""},
		"WhoAmI is a function":                        {"POST", "WhoAmI", 405, ""},
		"expanding records is unsupported":            {"GET", "contacts?$expand=owninguser", 501, ""},
		"aggregation is unsupported":                  {"GET", "contacts?$apply=x", 501, ""},
		"parameter aliases are unsupported":           {"GET", "contacts?@p1=x", 501, ""},
		"other query parameters are refused":          {"GET", "contacts?page=2", 400, "0x80060888"},
		"an option cannot be given twice":             {"GET", "contacts?$top=1&$top=2", 400, "0x80060888"},
		"a negative $top is refused":                  {"GET", "contacts?$top=-1", 400, "0x80060888"},
		"counting is unsupported":                     {"GET", "contacts?$count=true", 501, ""},
		"an empty $filter is refused":                 {"GET", "contacts?$filter=", 400, "0x80060888"},
		"pages are unsupported":                       {"GET", "contacts?$skiptoken=abc", 501, ""},
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
		"relationships of all tables are unsupported": {"GET", "RelationshipDefinitions/Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata", 501, ""},
		"many-to-many relationships are unsupported":  {"GET", "EntityDefinitions(LogicalName='contact')/ManyToManyRelationships", 501, ""},
		"other expansions of a table are unsupported": {"GET", "EntityDefinitions(LogicalName='contact')?$expand=Keys", 501, ""},
		"expanding relationships is unsupported":      {"GET", "EntityDefinitions(LogicalName='contact')/ManyToOneRelationships?$expand=Entity", 501, ""},
		"orders in an expansion are unsupported":      {"GET", "EntityDefinitions(LogicalName='contact')?$expand=Attributes($orderby=LogicalName)", 501, ""},
		"an unknown property in an expansion":         {"GET", "EntityDefinitions(LogicalName='contact')?$expand=Attributes($select=Colour)", 400, "0x80060888"},
		"a broken expansion is refused":               {"GET", "EntityDefinitions(LogicalName='contact')?$expand=Attributes($select=LogicalName", 400, "0x80060888"},
		"filters on labels are unsupported":           {"GET", "EntityDefinitions?$filter=DisplayName/UserLocalizedLabel/Label eq 'Case'", 501, ""},
		"other properties of an attribute":            {"GET", "EntityDefinitions(LogicalName='contact')/Attributes(LogicalName='lastname')/RequiredLevel", 501, ""},
		"the options of a text are unsupported":       {"GET", "EntityDefinitions(LogicalName='contact')/Attributes(LogicalName='lastname')/Microsoft.Dynamics.CRM.StringAttributeMetadata/OptionSet", 501, ""},
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
	if r := o.do("GET", "contacts?$filter="+strings.Repeat("x", 40<<10), ""); r.status != 414 {
		t.Errorf("an endless query answers %d", r.status)
	}
}

// What would change the answer of Dynamics, and not that of the sandbox, is refused by name.
func TestHeadersThatAreNotImitated(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.author()
	for name, tc := range map[string]struct {
		method, path  string
		header, value string
		status        int
	}{
		"impersonation by object id":       {"PATCH", contact, "CallerObjectId", unknownID, 501},
		"impersonation by user id":         {"GET", "WhoAmI", "MSCRMCallerID", unknownID, 501},
		"duplicate detection":              {"PATCH", contact, "MSCRM.SuppressDuplicateDetection", "false", 501},
		"duplicate detection that is off":  {"PATCH", contact, "MSCRM.SuppressDuplicateDetection", "true", 204},
		"a bypass of plug-ins":             {"PATCH", contact, "MSCRM.BypassCustomPluginExecution", "true", 501},
		"a representation":                 {"PATCH", contact, "Prefer", "return=representation", 501},
		"pages":                            {"GET", "contacts", "Prefer", "odata.maxpagesize=2", 501},
		"changes since":                    {"GET", "contacts", "Prefer", "odata.track-changes", 501},
		"a condition on a set":             {"GET", "contacts", "If-None-Match", `W/"1"`, 501},
		"no condition on a set":            {"GET", "contacts", "If-None-Match", "null", 200},
		"a condition that is no version":   {"GET", contact, "If-None-Match", "*", 501},
		"a condition on a create by POST":  {"POST", "contacts", "If-None-Match", "*", 501},
		"a header that changes no answer ": {"GET", contact, "Consistency", "Strong", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := ""
			if tc.method != "GET" {
				body = "{}"
			}
			r := o.do(tc.method, tc.path, body, tc.header, tc.value)
			if r.status != tc.status {
				t.Fatalf("status %d, want %d: %s", r.status, tc.status, r.body)
			}
			words := r.body + strings.ToLower(r.body)
			if want, _, _ := strings.Cut(tc.value, "="); r.status == 501 && !strings.Contains(words, tc.header) && !strings.Contains(words, want) && !strings.Contains(words, strings.ToLower(tc.header)) {
				t.Errorf("the text does not name %s: %s", tc.header, r.body)
			}
		})
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

func TestARecordHasAPage(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.must(204, "PATCH", contact, `{"firstname":"Ada","lastname":"<b>Lovelace</b>"}`, "If-None-Match", "*")
	id := strings.TrimSuffix(strings.TrimPrefix(contact, "contacts("), ")")
	r := o.send("GET", "/main.aspx?etn=contact&pagetype=entityrecord&id=%7B"+id+"%7D", "")
	if r.status != 200 || !strings.Contains(r.body, "<th align=\"left\">lastname</th><td>&lt;b&gt;Lovelace&lt;/b&gt;</td>") {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	for name, query := range map[string]string{
		"another record": "etn=contact&id=%7B00000000-0000-0000-0000-000000000001%7D",
		"another table":  "etn=lead&id=%7B" + id + "%7D",
		"no table":       "etn=nothing&id=%7B" + id + "%7D",
		"no id":          "etn=contact",
	} {
		if r := o.send("GET", "/main.aspx?"+query, ""); r.status != 404 {
			t.Errorf("%s: status %d", name, r.status)
		}
	}
}
