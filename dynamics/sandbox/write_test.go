package sandbox_test

import (
	"fmt"
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
		"sentiment is for creating only":             {`{"sentimentvalue":1}`, 204, "", map[string]any{"sentimentvalue": -1.0}},
		"community can be changed":                   {`{"community":1}`, 204, "", map[string]any{"community": 1.0}},
		"what only the server writes is ignored":     {`{"createdon":"2001-01-01T00:00:00Z","createdby@odata.bind":"/systemusers(` + unknownID + `)"}`, 204, "", map[string]any{"createdon": "2026-11-23T08:15:30Z"}},
		"a state brings its default status":          {`{"statecode":1}`, 204, "", map[string]any{"statecode": 1.0, "statuscode": 3.0}},
		"a state of null is unsupported":             {`{"statecode":null}`, 501, "", nil},
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

func TestSeveralChoicesAreKeptInOrder(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	const complaint = "new_complaints(" + otherID + ")"
	for body, want := range map[string]any{
		`{"new_topics":"3,1"}`:   "1,3 Delay; Staff",
		`{"new_topics":"2"}`:     "2 Baggage",
		`{"new_topics":"1, 1"}`:  "1 Delay",
		`{"new_topics":""}`:      "<nil> <nil>",
		`{"new_topics":null}`:    "<nil> <nil>",
		`{"new_topics":"1,4"}`:   "0x8004431a",
		`{"new_topics":"Delay"}`: "0x8004431a",
		`{"new_topics":1}`:       "0x80048d19",
	} {
		r := o.do("PATCH", complaint, body)
		got := r.code()
		if r.status == 204 {
			r = o.must(200, "GET", complaint, "", "Prefer", `odata.include-annotations="*"`)
			got = fmt.Sprint(r.member("new_topics"), " ", r.member("new_topics@OData.Community.Display.V1.FormattedValue"))
		}
		if got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	o.must(501, "GET", "new_complaints?$filter=new_topics eq '1'", "")
	o.must(501, "GET", "new_complaints?$orderby=new_topics", "")
}

func TestStatesBringTheirDefaultStatus(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.author()
	const incident = "incidents(" + otherID + ")"
	o.must(204, "PATCH", incident, `{"title":"x","customerid_contact@odata.bind":"/`+contact+`"}`)
	o.must(204, "PATCH", profile, `{"statecode":1}`)
	o.must(204, "PATCH", incident, `{"statecode":2}`)
	for path, want := range map[string]float64{profile: 2, incident: 6} {
		if got := o.must(200, "GET", path, "").member("statuscode"); got != want {
			t.Errorf("%s: status %v, want %v", path, got, want)
		}
	}
	o.must(204, "PATCH", profile, `{"statecode":0}`)
	if got := o.must(200, "GET", profile, "").member("statuscode"); got != 1.0 {
		t.Errorf("status %v, want 1", got)
	}
	o.must(204, "PATCH", incident, `{"statecode":0,"statuscode":2}`)
	o.must(501, "PATCH", incident, `{"statecode":1}`)
}

func TestTheCommunityOfAProfileIsForCreatingOnly(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.author()
	o.must(204, "PATCH", profile, `{"community":1}`)
	if got := o.must(200, "GET", profile, "").member("community"); got != 2.0 {
		t.Errorf("community %v, want that of the create", got)
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
		o.must(304, "GET", contact, "", "If-None-Match", tag)
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
	const incident = "incidents(" + otherID + ")"
	o.must(204, "PATCH", incident, `{"title":"x","customerid_contact@odata.bind":"/`+contact+`"}`)
	r := o.must(200, "GET", incident, "")
	if got, _ := r.member("ticketnumber").(string); !strings.HasPrefix(got, "CAS-") {
		t.Errorf("ticket number %q", got)
	}
}

func TestDeletesCascade(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.SetSettings(sandbox.Settings{NoConversion: true})
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
	o.SetSettings(sandbox.Settings{})
	o.must(204, "POST", "socialactivities", `{}`)
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
