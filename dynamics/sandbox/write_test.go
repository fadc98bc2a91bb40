package sandbox_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/dynamics/sandbox"
)

func TestWritesAnswerAsTheWebAPI(t *testing.T) {
	t.Parallel()
	type step struct {
		method, path, body string
		headers            []string
		status             int
		code               string
		entityID           string // set and id in OData-EntityId
	}
	entity := func(s step) step { s.entityID = s.path; return s }
	create := entity(step{method: "PATCH", path: contact, body: `{"lastname":"B"}`, status: 204})
	none := []string{"If-None-Match", "*"}
	for name, steps := range map[string][]step{
		"create-only makes a record once": {
			entity(step{"PATCH", contact, `{"lastname":"B"}`, none, 204, "", ""}),
			{"PATCH", contact, `{"lastname":"C"}`, none, 412, "0x80040237", ""},
		},
		"an upsert cannot be told from an update":     {create, create},
		"If-None-Match: null is nothing":              {entity(step{"PATCH", contact, `{"lastname":"B"}`, []string{"If-None-Match", "null"}, 204, "", ""}), create},
		"another If-None-Match on a PATCH is unknown": {create, {"PATCH", contact, `{}`, []string{"If-None-Match", `W/"1"`}, 501, "", ""}},
		"If-Match: * updates only":                    {{"PATCH", contact, `{}`, []string{"If-Match", "*"}, 404, "0x80040217", ""}, create, entity(step{"PATCH", contact, `{"lastname":"C"}`, []string{"If-Match", "*"}, 204, "", ""})},
		"a stale version is refused":                  {create, {"PATCH", contact, `{}`, []string{"If-Match", `W/"1"`}, 412, "0x80060882", ""}},
		"a strong entity tag is refused":              {create, {"PATCH", contact, `{}`, []string{"If-Match", `"1"`}, 400, "0x80040203", ""}},
		"both preconditions at once are refused":      {{"PATCH", contact, `{}`, []string{"If-Match", "*", "If-None-Match", "*"}, 400, "0x80040203", ""}},
		"If-Match on a POST is unknown":               {{"POST", "contacts", `{}`, []string{"If-Match", "*"}, 501, "", ""}},
		"If-Match on a GET is unknown":                {create, {"GET", contact, "", []string{"If-Match", "*"}, 501, "", ""}},
		"a POST with a free id uses it":               {{"POST", "contacts", `{"contactid":"` + contactID + `"}`, nil, 204, "", contact}},
		"a POST with a used id is a duplicate":        {create, {"POST", "contacts", `{"contactid":"` + contactID + `"}`, nil, 412, "0x80040237", ""}},
		"another key in the body is refused":          {{"PATCH", contact, `{"contactid":"` + unknownID + `"}`, nil, 400, "0x80040203", ""}},
		"the same key in the body is ignored":         {entity(step{"PATCH", contact, `{"contactid":"` + contactID + `"}`, nil, 204, "", ""}), entity(step{"PATCH", contact, `{"contactid":"` + contactID + `"}`, nil, 204, "", ""})},
		"a deleted record can be made again":          {create, {"DELETE", contact, "", nil, 204, "", ""}, {"GET", contact, "", nil, 404, "0x80040217", ""}, {"DELETE", contact, "", nil, 404, "0x80040217", ""}, entity(step{"PATCH", contact, `{}`, none, 204, "", ""})},
		"a stale delete is refused":                   {create, {"DELETE", contact, "", []string{"If-Match", `W/"1"`}, 412, "0x80060882", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, sandbox.Options{})
			for i, s := range steps {
				r := o.do(s.method, s.path, s.body, s.headers...)
				if r.status != s.status || r.code() != s.code {
					t.Fatalf("step %d: %d %q, want %d %q: %s", i+1, r.status, r.code(), s.status, s.code, r.body)
				}
				want := ""
				if s.entityID != "" {
					want = "http://crm.test" + root + s.entityID
				}
				if got := r.header.Get("OData-EntityId"); got != want {
					t.Errorf("step %d: OData-EntityId %q, want %q", i+1, got, want)
				}
				if r.status == 204 && r.body != "" {
					t.Errorf("step %d: 204 with a body: %s", i+1, r.body)
				}
				if got := r.header.Get("OData-Version"); got != "4.0" {
					t.Errorf("step %d: OData-Version %q", i+1, got)
				}
			}
		})
	}
}

func TestErrorDocumentsAreTheWebAPIs(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.author()
	golden(t, "error-duplicate", o.do("PATCH", contact, `{}`, "If-None-Match", "*").body)
	golden(t, "error-missing", o.do("GET", "contacts("+unknownID+")", "").body)
	golden(t, "error-stale", o.do("PATCH", contact, `{}`, "If-Match", `W/"1"`).body)
	golden(t, "error-length", o.do("PATCH", contact, `{"lastname":"`+strings.Repeat("x", 51)+`"}`).body)
	golden(t, "error-property", o.do("PATCH", contact, `{"colour":1}`).body)
	golden(t, "error-bind", o.do("PATCH", contact, `{"parentcustomerid@odata.bind":"/accounts(`+unknownID+`)"}`).body)
	golden(t, "error-segment", o.do("GET", "nonsenses", "").body)
	golden(t, "error-method", o.do("PUT", contact, "").body)

	docs := newOrg(t, sandbox.Options{EmptyCodes: true})
	docs.author()
	if r := docs.do("PATCH", contact, `{}`, "If-None-Match", "*"); r.status != 412 || r.code() != "" {
		t.Errorf("create-only of an existing record: %d %q, want 412 without a code", r.status, r.code())
	}
	if r := docs.do("PATCH", "contacts("+unknownID+")", `{}`, "If-Match", "*"); r.status != 404 || r.code() != "" {
		t.Errorf("update of a missing record: %d %q, want 404 without a code", r.status, r.code())
	}
}

func TestBodiesAreChecked(t *testing.T) {
	t.Parallel()
	const payload, length, pick = "0x80048d19", "0x80044331", "0x8004431a"
	astral := strings.Repeat("😀", 100) // 200 UTF-16 units
	for name, tc := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"an empty object is enough":                     {`{}`, 204, ""},
		"null is always possible":                       {`{"subject":null,"community":null,"postfromprofileid@odata.bind":null}`, 204, ""},
		"a control annotation is ignored":               {`{"@odata.type":"Microsoft.Dynamics.CRM.socialactivity"}`, 204, ""},
		"a subject may have 200 UTF-16 units":           {`{"subject":"` + astral + `"}`, 204, ""},
		"a subject may not have 201 UTF-16 units":       {`{"subject":"` + astral + `x"}`, 400, length},
		"a post URL may not have 201":                   {`{"posturl":"` + strings.Repeat("x", 201) + `"}`, 400, length},
		"the parameters may have 8192":                  {`{"activityadditionalparams":"` + strings.Repeat("x", 8192) + `"}`, 204, ""},
		"the parameters may not have 8193":              {`{"activityadditionalparams":"` + strings.Repeat("x", 8193) + `"}`, 400, length},
		"NUL is not a character of a text":              {`{"subject":"a\u0000b"}`, 400, "0x80040278"},
		"other control characters are not either":       {`{"subject":"a\u000bb"}`, 400, "0x80040278"},
		"tabs and line ends are characters":             {`{"description":"a\t\r\nb"}`, 204, ""},
		"the last code point of a plane is not":         {`{"subject":"a\uffff"}`, 400, "0x80040278"},
		"a community outside the list":                  {`{"community":3}`, 400, pick},
		"a community as text":                           {`{"community":"2"}`, 400, payload},
		"a community as a fraction":                     {`{"community":2.5}`, 400, payload},
		"a community beyond 32 bits":                    {`{"community":4294967297}`, 400, payload},
		"a subject as a number":                         {`{"subject":7}`, 400, payload},
		"a subject as an object":                        {`{"subject":{}}`, 400, payload},
		"a nested object for the parameters":            {`{"activityadditionalparams":{"a":1}}`, 400, payload},
		"a direction as a number":                       {`{"directioncode":1}`, 400, payload},
		"a sentiment as a whole number":                 {`{"sentimentvalue":-1}`, 204, ""},
		"a sentiment beyond its range":                  {`{"sentimentvalue":1e12}`, 400, "0x80040203"},
		"a sentiment as text":                           {`{"sentimentvalue":"-1"}`, 400, payload},
		"a time without offset":                         {`{"postedon":"2026-11-23T08:15:30"}`, 400, payload},
		"a time as a number":                            {`{"postedon":1}`, 400, payload},
		"a time before the calendar of the database":    {`{"postedon":"1700-01-01T00:00:00Z"}`, 400, "0x80040239"},
		"an unknown property":                           {`{"colour":"red"}`, 400, payload},
		"the case of a property matters":                {`{"Subject":"x"}`, 400, payload},
		"an annotation of a property":                   {`{"subject@my.note":"x"}`, 400, payload},
		"a lookup without bind":                         {`{"_postauthor_value":"` + contactID + `"}`, 400, payload},
		"a column that only the server writes":          {`{"createdon":"2026-11-23T08:15:30Z"}`, 400, "0x80040203"},
		"a state at birth":                              {`{"statecode":0}`, 400, "0x80040203"},
		"a status reason of the first state":            {`{"statuscode":4}`, 204, ""},
		"a status reason of another state":              {`{"statuscode":1}`, 400, "0x80048408"},
		"a bind to a living contact":                    {`{"postauthor_contact@odata.bind":"/` + contact + `"}`, 204, ""},
		"a bind without a slash":                        {`{"postauthor_contact@odata.bind":"` + contact + `"}`, 204, ""},
		"a bind by absolute URL":                        {`{"postauthor_contact@odata.bind":"http://crm.test/contoso/api/data/v9.2/` + contact + `"}`, 204, ""},
		"a bind to a dead contact":                      {`{"postauthor_contact@odata.bind":"/contacts(` + unknownID + `)"}`, 404, "0x80040217"},
		"a bind without the suffix of a polymorph":      {`{"postauthor@odata.bind":"/` + contact + `"}`, 400, payload},
		"a bind to another table than it says":          {`{"postauthor_contact@odata.bind":"/accounts(` + unknownID + `)"}`, 400, payload},
		"a bind to an unknown set":                      {`{"postauthor_contact@odata.bind":"/kontakte(` + unknownID + `)"}`, 404, "0x80060888"},
		"a bind to no GUID":                             {`{"postauthor_contact@odata.bind":"/contacts(7)"}`, 400, payload},
		"a bind to a number":                            {`{"postauthor_contact@odata.bind":7}`, 400, payload},
		"a bind of an unrelated custom table":           {`{"regardingobjectid_new_vehicle_socialactivity@odata.bind":"/new_vehicles(` + unknownID + `)"}`, 400, payload},
		"two binds of one lookup":                       {`{"postauthor_contact@odata.bind":"/` + contact + `","postauthor_account@odata.bind":null}`, 400, payload},
		"a deep insert":                                 {`{"postfromprofileid":{"profilename":"x"}}`, 501, ""},
		"activity parties":                              {`{"socialactivity_activity_parties":[]}`, 501, ""},
		"a property given twice":                        {`{"subject":"a","subject":"b"}`, 400, payload},
		"an array":                                      {`[]`, 400, payload},
		"nothing but white space":                       {` `, 400, payload},
		"a truncated object":                            {`{"subject":"a"`, 400, payload},
		"a truncated value":                             {`{"subject":`, 400, payload},
		"two objects":                                   {`{} {}`, 400, payload},
		"bytes that are not UTF-8":                      {"{\"subject\":\"\xff\"}", 400, payload},
		"more bytes than the sandbox reads":             {`{"subject":"` + strings.Repeat("x", 20000) + `"}`, 413, ""},
		"a key that is no GUID":                         {`{"activityid":"7"}`, 400, payload},
		"a long wrong value is quoted short":            {`{"community":"` + strings.Repeat("é", 90) + `"}`, 400, payload},
		"regarding a custom table related to the posts": {`{"regardingobjectid_new_complaint_socialactivity@odata.bind":"/new_complaints(` + unknownID + `)"}`, 404, "0x80040217"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, sandbox.Options{MaxBody: 16 << 10})
			o.author()
			r := o.do("PATCH", activity, tc.body, "If-None-Match", "*")
			if r.status != tc.status || r.code() != tc.code {
				t.Errorf("%d %q, want %d %q: %s", r.status, r.code(), tc.status, tc.code, r.body)
			}
			if made := o.Count("socialactivity"); made != bit(tc.status == 204) {
				t.Errorf("%d records after status %d", made, r.status)
			}
		})
	}
	o := newOrg(t, sandbox.Options{})
	if r := o.do("POST", "contacts", `{}`, "Content-Type", "text/plain"); r.status != http.StatusUnsupportedMediaType {
		t.Errorf("a plain text body answers %d", r.status)
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestUpdates(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body   string
		status int
		code   string
		want   map[string]any
	}{
		"a column changes, the others stay":          {`{"subject":"new"}`, 204, "", map[string]any{"subject": "new", "postid": "1234"}},
		"an empty text is null":                      {`{"subject":""}`, 204, "", map[string]any{"subject": nil}},
		"sentiment is for creating only":             {`{"sentimentvalue":1}`, 400, "0x80040203", nil},
		"community is for creating only":             {`{"community":1}`, 400, "0x80040203", nil},
		"a state brings its first status":            {`{"statecode":1}`, 204, "", map[string]any{"statecode": 1.0, "statuscode": 1.0}},
		"a state and its status go together":         {`{"statecode":1,"statuscode":3}`, 204, "", map[string]any{"statecode": 1.0, "statuscode": 3.0}},
		"a state with the status of another":         {`{"statecode":2,"statuscode":3}`, 400, "0x80048408", nil},
		"a status of another state":                  {`{"statuscode":3}`, 400, "0x80048408", nil},
		"a bind to the other type replaces the one":  {`{"postauthor_account@odata.bind":"/accounts(` + otherID + `)"}`, 204, "", map[string]any{"_postauthor_value": otherID}},
		"a bind to null empties":                     {`{"postauthor_contact@odata.bind":null}`, 204, "", map[string]any{"_postauthor_value": nil}},
		"a dead bind is refused and changes nothing": {`{"subject":"new","postauthor_contact@odata.bind":"/contacts(` + unknownID + `)"}`, 404, "0x80040217", map[string]any{"subject": `Lost <bag> & "more"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, sandbox.Options{})
			o.author()
			o.must(204, "PATCH", "accounts("+otherID+")", `{"name":"Contoso"}`)
			o.must(204, "PATCH", activity, fullActivity)
			r := o.do("PATCH", activity, tc.body)
			if r.status != tc.status || r.code() != tc.code {
				t.Fatalf("%d %q, want %d %q: %s", r.status, r.code(), tc.status, tc.code, r.body)
			}
			got := o.must(200, "GET", activity, "")
			for column, want := range tc.want {
				if diff := cmp.Diff(want, got.member(column)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", column, diff)
				}
			}
		})
	}
}

func TestRepresentationIsReturnedOnRequest(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	prefer := []string{"Prefer", `return=representation, odata.include-annotations="*"`}
	r := o.must(201, "POST", "contacts?$select=lastname,statecode", `{"contactid":"`+contactID+`","lastname":"B"}`, prefer...)
	golden(t, "representation", r.body)
	if r.header.Get("OData-EntityId") != "" {
		t.Error("OData-EntityId beside a representation")
	}
	if got := r.header.Get("Preference-Applied"); got != `return=representation,odata.include-annotations="*"` {
		t.Errorf("Preference-Applied %q", got)
	}
	r = o.must(200, "PATCH", contact+"?$select=contactid", `{"lastname":"C"}`, prefer...)
	if r.header.Get("ETag") != r.member("@odata.etag") || r.header.Get("ETag") == "" {
		t.Errorf("ETag %q, body %s", r.header.Get("ETag"), r.body)
	}
	o.must(201, "PATCH", "contacts("+otherID+")", `{"lastname":"C"}`, prefer...)
	before := o.Count("contact")
	o.must(400, "POST", "contacts?$select=colour", `{}`, prefer...)
	if o.Count("contact") != before {
		t.Error("a create whose answer could not be selected was done all the same")
	}
}

func TestEveryWriteRaisesTheVersion(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	last := 0.0
	for range 5 {
		o.must(204, "PATCH", contact, `{"lastname":"B"}`)
		r := o.must(200, "GET", contact, "")
		version := r.member("versionnumber").(float64)
		if version <= last {
			t.Fatalf("version %v after %v", version, last)
		}
		last = version
		tag := r.header.Get("ETag")
		if r = o.do("GET", contact, "", "If-None-Match", tag); r.status != 304 || r.body != "" {
			t.Fatalf("unchanged: %d %s", r.status, r.body)
		}
		o.must(204, "PATCH", contact, `{"nickname":"b"}`, "If-Match", tag)
		o.must(200, "GET", contact, "", "If-None-Match", tag)
	}
}

func TestComputedColumns(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.author()
	if got := o.must(200, "GET", contact, "").member("fullname"); got != "Ada Lovelace" {
		t.Errorf("fullname %v", got)
	}
	o.must(204, "PATCH", contact, `{"firstname":null}`)
	if got := o.must(200, "GET", contact, "").member("fullname"); got != "Lovelace" {
		t.Errorf("fullname %v", got)
	}
	if r := o.do("POST", "incidents", `{"title":"x"}`); r.status != 400 {
		t.Errorf("a case without customer: %d", r.status)
	}
	r := o.must(201, "POST", "incidents", `{"title":"x","customerid_contact@odata.bind":"/`+contact+`"}`, "Prefer", "return=representation")
	if got, _ := r.member("ticketnumber").(string); !strings.HasPrefix(got, "CAS-") {
		t.Errorf("ticket number %q", got)
	}
}

func TestDeletesCascade(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{Settings: sandbox.Settings{NoConversion: true}})
	o.author()
	o.must(204, "PATCH", activity, fullActivity)
	o.must(204, "DELETE", contact, "")
	if got := o.must(200, "GET", activity, "").member("_postauthor_value"); got != nil {
		t.Errorf("the author is gone, the activity still has %v", got)
	}
	o.must(204, "DELETE", profile, "")
	o.must(404, "GET", activity, "")
	if n := o.Count("socialactivity"); n != 0 {
		t.Errorf("%d activities outlive their profile", n)
	}
}

func TestSocialDataCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.author()
	o.must(204, "PATCH", activity, fullActivity)
	o.SetSettings(sandbox.Settings{DisableSocialCare: true})
	r := o.do("PATCH", "socialactivities("+otherID+")", `{}`, "If-None-Match", "*")
	golden(t, "error-social", r.body)
	if r.status != 400 {
		t.Errorf("status %d", r.status)
	}
	o.must(204, "PATCH", activity, `{"subject":"still workable"}`)
	o.must(204, "POST", "socialprofiles", `{}`)
	o.SetSettings(sandbox.Settings{DisableSocialCare: true, SocialCareStatus: 503, RefuseProfiles: true})
	o.must(503, "POST", "socialactivities", `{}`)
	o.must(503, "POST", "socialprofiles", `{}`)
	o.must(204, "POST", "contacts", `{}`)
}

func TestOneOfManyCreateOnlyWritesWins(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	server := newServer(t, o.Sandbox)
	const writers = 50
	start := make(chan struct{})
	statuses := make(chan int, writers)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			<-start
			r, err := server.do("PATCH", root+activity, `{"postid":"1","community":2}`, "If-None-Match", "*")
			if err != nil {
				t.Error(err)
				return
			}
			statuses <- r.status
		})
	}
	close(start)
	wg.Wait()
	close(statuses)
	got := map[int]int{}
	for status := range statuses {
		got[status]++
	}
	if diff := cmp.Diff(map[int]int{204: 1, 412: writers - 1}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	created := 0
	for _, r := range o.Requests() {
		created += bit(r.Created)
	}
	if created != 1 || o.Count("socialactivity") != 1 {
		t.Errorf("the log says %d were created, the table holds %d", created, o.Count("socialactivity"))
	}
}
