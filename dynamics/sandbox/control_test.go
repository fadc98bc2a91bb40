package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"postlink/dynamics/sandbox"
)

func TestControls(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.must(204, "PATCH", activity, `{"community":0,"postid":"1"}`)
	o.must(204, "POST", "socialactivities", `{"community":0,"postid":"1"}`)
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "summary", "", 200, `"duplicates":1,"requests":2`},
		{"GET", "settings", "", 200, `{"disablesocialcare":false,"noconversion":false}`},
		{"PATCH", "settings", `{"disablesocialcare":true}`, 200, `{"disablesocialcare":true,"noconversion":false}`},
		{"PATCH", "settings", `{"colour":true}`, 400, `unknown field`},
		{"PATCH", "settings", `{} {}`, 400, `goes on`},
		{"POST", "faults", `{"kind":"gateway","times":2,"path":"^contacts"}`, 201, `{"id":1}`},
		{"POST", "faults", `{"kind":"fire"}`, 400, `no kind`},
		{"DELETE", "faults", "", 204, ""},
		{"PUT", "rules", `[{"entity":"lead","conditions":[{"column":"community","value":2}]}]`, 200, `"lead"`},
		{"PUT", "rules", `[{"entity":"nothing"}]`, 400, `no table`},
		{"GET", "rules", "", 200, `[{"entity":"lead","conditions":[{"column":"community","value":2}]}]`},
		{"GET", "nonsense", "", 404, "no such control"},
		{"GET", "requests", "", 200, `"instance":"contoso"`},
		{"GET", "snapshot", "", 200, `"instance":"contoso"`},
	} {
		r := o.send(tc.method, "/_sandbox/"+tc.path, tc.body)
		if r.status != tc.status || !strings.Contains(r.body, tc.want) || tc.want == "" && r.body != "" {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, r.status, r.body)
		}
	}
	if r := o.do("GET", "contacts", ""); r.status != 200 {
		t.Errorf("a fault that was removed answers %d", r.status)
	}
}

func TestTheLogShowsWhatWasSent(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.do("GET", "contacts?$select=lastname&$top=1", "", "Prefer", `odata.include-annotations="*"`, "If-None-Match", "null", "Accept", "application/json")
	o.do("PATCH", contact, `{"lastname":"A"}`, "If-Match", "*", "MSCRM.SuppressDuplicateDetection", "true", "CallerObjectId", otherID)
	o.send("POST", root+"contacts", `{"lastname":"no token"}`)
	long := `{"description":"` + strings.Repeat("x", 20<<10) + `"}`
	o.do("POST", "contacts", long)
	type line struct {
		Query, Prefer, Match, None, Caller, Duplicates, Authorization, Body string
		Cut                                                                 bool
		Names                                                               int
	}
	want := []line{
		{Query: "$select=lastname&$top=1", Prefer: `odata.include-annotations="*"`, None: "null", Authorization: "present", Names: 3},
		{Match: "*", Caller: otherID, Duplicates: "true", Authorization: "present", Body: `{"lastname":"A"}`, Names: 4},
		{Body: `{"lastname":"no token"}`},
		{Authorization: "present", Body: long[:16<<10], Cut: true, Names: 1},
	}
	var got []line
	for _, r := range o.Requests() {
		get := r.Header.Get
		got = append(got, line{r.Query, get("Prefer"), get("If-Match"), get("If-None-Match"), get("CallerObjectId"), get("MSCRM.SuppressDuplicateDetection"),
			get("Authorization"), r.Body, r.BodyCut, len(r.Header)})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if text := o.send("GET", "/_sandbox/requests", "").body; strings.Contains(text, "secret") || !strings.Contains(text, `"body":"{\"lastname\":\"A\"}"`) {
		t.Errorf("log: %.2000s", text)
	}
}

func TestTheLogDropsTheOldestBodies(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	body := `{"description":"` + strings.Repeat("x", 20<<10) + `"}`
	for range 2060 { // 16 KiB are kept of each, 32 MiB of all
		o.do("POST", "contacts", body)
	}
	all := o.Requests()
	held := 0
	for _, r := range all {
		held += len(r.Body)
	}
	if held > 32<<20 || held < 31<<20 || all[0].Body != "" || !all[0].BodyCut || all[len(all)-1].Body == "" {
		t.Errorf("%d bytes are held, %d of the first", held, len(all[0].Body))
	}
}

func TestTheLogIsAWitness(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.author()
	o.must(204, "PATCH", activity, fullActivity, "If-None-Match", "*")
	o.must(412, "PATCH", activity, fullActivity, "If-None-Match", "*")
	o.must(204, "PATCH", activity, `{"subject":"x"}`)
	o.must(200, "GET", "socialactivities?$top=1", "")
	posted := o.must(204, "POST", "contacts", `{}`)
	o.must(404, "GET", "nonsenses", "")
	o.send("GET", root+"WhoAmI", "")
	o.send("GET", "/api/data/v9.1/"+contact, "", "Authorization", "Bearer secret")
	o.fault(sandbox.Fault{Kind: sandbox.FaultRace, Times: 1})
	o.must(412, "PATCH", "contacts("+otherID+")", `{}`)
	created := strings.TrimSuffix(posted.header.Get("OData-EntityId")[len("http://crm.test"+root+"contacts("):], ")")
	type line struct {
		Method, Path, Table, ID string
		Status                  int
		Code                    string
		Created                 bool
	}
	want := []line{
		{"PATCH", root + contact, "contact", contactID, 204, "", true},
		{"PATCH", root + profile, "socialprofile", profileID, 204, "", true},
		{"PATCH", root + activity, "socialactivity", postID, 204, "", true},
		{"PATCH", root + activity, "socialactivity", postID, 412, "0x80040237", false},
		{"PATCH", root + activity, "socialactivity", postID, 204, "", false},
		{"GET", root + "socialactivities", "socialactivity", "", 200, "", false},
		{"POST", root + "contacts", "contact", created, 204, "", true},
		{"GET", root + "nonsenses", "", "", 404, "0x80060888", false},
		{"GET", root + "WhoAmI", "", "", 401, "", false},
		{"GET", "/api/data/v9.1/" + contact, "contact", contactID, 200, "", false},
		{"PATCH", root + "contacts(" + otherID + ")", "contact", otherID, 412, "0x80040237", true},
	}
	var got []line
	for _, r := range o.Requests() {
		if !r.Time.Equal(o.clock.now()) {
			t.Errorf("time %v", r.Time)
		}
		got = append(got, line{r.Method, r.Path, r.Table, r.ID, r.Status, r.Code, r.Created})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestSnapshotShowsEveryRecord(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.author()
	o.must(204, "PATCH", activity, fullActivity, "If-None-Match", "*")
	lines := strings.Split(strings.TrimSpace(o.send("GET", "/_sandbox/snapshot", "").body), "\n")
	var all []json.RawMessage
	for _, l := range lines {
		all = append(all, json.RawMessage(l))
	}
	doc, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "snapshot", string(doc))
	for range o.Snapshot() {
		break // a reader may stop early
	}
	if o.Count("nonsense") != 0 {
		t.Error("an unknown table has records")
	}
	for range o.Records("nonsense") {
		t.Error("an unknown table has records")
	}
}

func TestDuplicatesShareCommunityAndPostID(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	for _, body := range []string{`{"community":1,"postid":"a"}`, `{"community":2,"postid":"a"}`, `{"community":2,"postid":"A"}`, `{"community":1}`, `{"community":1}`} {
		o.must(204, "POST", "socialactivities", body)
	}
	if got := o.Duplicates(); got != 0 {
		t.Errorf("%d duplicates among different posts", got)
	}
	for range 2 {
		o.must(204, "POST", "socialactivities", `{"community":2,"postid":"a"}`)
	}
	if got := o.Duplicates(); got != 2 {
		t.Errorf("%d duplicates, want 2", got)
	}
}

func TestMuxPlaysSeveralOrganizations(t *testing.T) {
	t.Parallel()
	contoso := newOrg(t, sandbox.Options{})
	fabrikam, err := sandbox.New(sandbox.Options{Name: "fabrikam", Tokens: []string{"secret"}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := sandbox.NewMux(fabrikam, contoso.Sandbox)
	if err != nil {
		t.Fatal(err)
	}
	r := serve(m, "PATCH", "/contoso"+root+contact, `{"lastname":"x"}`, "Authorization", "Bearer secret")
	if got := r.header.Get("OData-EntityId"); got != "http://crm.test/contoso"+root+contact {
		t.Errorf("OData-EntityId %q", got)
	}
	if contoso.Count("contact") != 1 || fabrikam.Count("contact") != 0 {
		t.Errorf("%d and %d contacts", contoso.Count("contact"), fabrikam.Count("contact"))
	}
	for path, status := range map[string]int{"/": 404, "/tailspin" + root + "contacts": 404, "/contoso/_sandbox/summary": 200, "/_sandbox/summary": 404} {
		if r := serve(m, "GET", path, ""); r.status != status {
			t.Errorf("%s: %d", path, r.status)
		}
	}
	if _, err := sandbox.NewMux(fabrikam, fabrikam); err == nil {
		t.Error("two organizations of one name")
	}
}

// Whatever was written, changed and deleted: a look-up through the index finds what a look at every record finds.
func TestIndexesAgreeWithTheRecords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		o := newOrg(t, sandbox.Options{})
		held := map[string]string{} // author id by profile
		ids := rapid.IntRange(0, 5)
		author := rapid.SampledFrom([]string{"a", "A", "b", "O'x", ""})
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			id := fmt.Sprintf("50000000-0000-4000-8000-00000000000%d", ids.Draw(rt, "id"))
			if rapid.Bool().Draw(rt, "delete") {
				o.do("DELETE", "socialprofiles("+id+")", "")
				delete(held, id)
				continue
			}
			a := author.Draw(rt, "author")
			o.must(204, "PATCH", "socialprofiles("+id+")", `{"uniqueprofileid":"`+a+`"}`)
			held[id] = a
		}
		for _, a := range []string{"a", "b", "O'x"} {
			r := o.must(200, "GET", "socialprofiles?$filter=uniqueprofileid eq '"+strings.ReplaceAll(a, "'", "''")+"'", "")
			want := 0
			for _, h := range held {
				want += bit(strings.EqualFold(h, a))
			}
			if found, _ := r.member("value").([]any); len(found) != want {
				rt.Fatalf("%q: %d found, %d held: %v", a, len(found), want, held)
			}
		}
		if got := o.Count("socialprofile"); got != len(held) {
			rt.Fatalf("%d counted, %d held", got, len(held))
		}
	})
}

// fill writes n posts with their authors, as a demo does, and returns the sandbox.
func fill(tb testing.TB, n int) *sandbox.Sandbox {
	s, err := sandbox.New(sandbox.Options{Name: "contoso", Tokens: []string{"secret"}})
	if err != nil {
		tb.Fatal(err)
	}
	text := strings.Repeat("We have been waiting on the tarmac for three hours. ", 5)
	do := func(set, id, body string) {
		if r := serve(s, "PATCH", root+set+"("+id+")", body, "If-None-Match", "*", "Authorization", "Bearer secret"); r.status != http.StatusNoContent {
			tb.Fatalf("%s: %d %s", set, r.status, r.body)
		}
	}
	for i := range n {
		id := uuid.NewSHA1(uuid.NameSpaceURL, fmt.Append(nil, i)).String()
		r := serve(s, "GET", root+fmt.Sprintf("socialprofiles?$filter=community eq 2 and uniqueprofileid eq '%d' and statecode eq 0&$orderby=createdon asc&$top=2", i), "",
			"Authorization", "Bearer secret")
		if r.status != 200 {
			tb.Fatal(r.body)
		}
		do("contacts", id, `{"firstname":"Ada","lastname":"Lovelace"}`)
		do("socialprofiles", id, fmt.Sprintf(`{"profilename":"ada","uniqueprofileid":"%d","community":2,"customerid_contact@odata.bind":"/contacts(%s)"}`, i, id))
		do("socialactivities", id, fmt.Sprintf(`{"subject":"%s","description":"%s","postid":"%d","community":2,"postfromprofileid@odata.bind":"/socialprofiles(%s)",`+
			`"activityadditionalparams":"{\"userPreferredTargetEntity\":\"incident\",\"fullName\":\"Ada Lovelace\",\"notes\":\"Flight trouble\"}"}`, text[:200], text, i, id))
	}
	return s
}

func TestTenThousandPostsAreSmall(t *testing.T) { //nolint:paralleltest // it measures the heap, which others would grow
	const posts = 10000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := fill(t, posts)
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20
	t.Logf("%d posts with authors and cases hold %d MB", posts, held)
	if held > 80 {
		t.Errorf("%d MB", held)
	}
	for _, table := range []string{"socialactivity", "incident", "contact", "socialprofile"} {
		if s.Count(table) != posts {
			t.Errorf("%d of %s", s.Count(table), table)
		}
	}
	if s.Duplicates() != 0 {
		t.Error("duplicates")
	}
}

func BenchmarkPost(b *testing.B) {
	b.ReportAllocs()
	fill(b, b.N)
}
