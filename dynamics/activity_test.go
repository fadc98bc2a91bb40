package dynamics_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"postlink/dynamics"
	"postlink/payload"
)

var update = flag.Bool("update", false, "write the golden files anew")

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// known is an activity of an author on Twitter.
func known(id string) dynamics.Activity {
	a := anonymous()
	a.Community = 2
	a.Author = payload.Author{ID: id, Handle: "ada", FullName: "Ada King Lovelace", Link: "https://twitter.com/ada"}
	return a
}

// tables is an instance with social profiles, contacts and activities, and nothing else.
type tables struct {
	mu       sync.Mutex
	rows     map[string]json.RawMessage // by "set(guid)"
	profiles string                     // what the look-up of a profile answers; what was created when empty
}

func (d *tables) has(set string, id uuid.UUID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rows[fmt.Sprintf("%s(%s)", set, id)] != nil
}

func (d *tables) remove(set string, id uuid.UUID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.rows, fmt.Sprintf("%s(%s)", set, id))
}

func (d *tables) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/api/data/v9.2/")
	if r.Method == http.MethodGet && path == "socialprofiles" {
		if d.profiles != "" {
			answerJSON(w, 200, d.profiles)
			return
		}
		var found []string
		for key, row := range d.rows {
			var p struct {
				ID      string `json:"uniqueprofileid"`
				Contact string `json:"customerid_contact@odata.bind"`
			}
			_ = json.Unmarshal(row, &p)
			if strings.HasPrefix(key, "socialprofiles(") && strings.Contains(r.URL.Query().Get("$filter"), "'"+strings.ReplaceAll(p.ID, "'", "''")+"'") {
				found = append(found, fmt.Sprintf(`{"socialprofileid":%q,"uniqueprofileid":%q,"_customerid_value":%q,"_customerid_value@Microsoft.Dynamics.CRM.lookuplogicalname":"contact"}`,
					key[15:51], p.ID, p.Contact[10:46]))
			}
		}
		answerJSON(w, 200, `{"value":[`+strings.Join(found, ",")+`]}`)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var binds map[string]any
	if json.Unmarshal(body, &binds) != nil || r.Method != http.MethodPatch || r.Header.Get("If-None-Match") != "*" {
		answerJSON(w, 400, `{"error":{"code":"0x80048d19","message":"bad request"}}`)
		return
	}
	if d.rows[path] != nil {
		answerJSON(w, 412, `{"error":{"code":"0x80040237","message":"A record with matching key values already exists."}}`)
		return
	}
	for name, target := range binds {
		if strings.HasSuffix(name, "@odata.bind") && d.rows[strings.TrimPrefix(target.(string), "/")] == nil {
			answerJSON(w, 404, `{"error":{"code":"0x80040217","message":"Entity Does Not Exist"}}`)
			return
		}
	}
	d.rows[path] = body
	w.WriteHeader(204)
}

func newTables() *tables { return &tables{rows: make(map[string]json.RawMessage)} }

func TestANewAuthorCostsFourRequestsAndAKnownOneASingleOne(t *testing.T) {
	t.Parallel()
	db := newTables()
	i := play(t, db.ServeHTTP)
	c := newClient(t, i.URL)
	a := known("1234567")
	if err := c.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	profile, contact := payload.ProfileID("contoso", "twitter", "1234567"), payload.ContactID("contoso", "twitter", "1234567")
	if !db.has("socialactivities", a.ID) || !db.has("socialprofiles", profile) || !db.has("contacts", contact) {
		t.Errorf("created %v", db.rows)
	}
	b := a
	b.ID = uuid.MustParse("22222222-2222-5222-8222-222222222222")
	if err := c.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	calls := []string{"GET socialprofiles", "PATCH contacts", "PATCH socialprofiles", "PATCH socialactivities", "PATCH socialactivities"}
	if diff := cmp.Diff(calls, i.calls()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	// A client that remembers nothing finds the profile that the first one made.
	b.ID = uuid.MustParse("33333333-3333-5333-8333-333333333333")
	if err := newClient(t, i.URL).Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	requests := i.requests()
	if got := len(requests); got != 7 || len(db.rows) != 5 {
		t.Errorf("%d requests and %d records, want 7 and 5", got, len(db.rows))
	}
	if last := requests[len(requests)-1].Body; !strings.Contains(last, profile.String()) || !strings.Contains(last, contact.String()) {
		t.Errorf("the third activity is not the author's: %s", last)
	}
}

func TestTheWireFormIsThatOfDynamics(t *testing.T) {
	t.Parallel()
	negative := -1
	long := "https://example.com/" + strings.Repeat("p", 200)
	influence := payload.Influence(41)
	tests := map[string]dynamics.Activity{
		"tweet": {ID: anonymous().ID, Network: "twitter", SocialActivity: payload.SocialActivity{
			Community: 2, SentimentValue: &negative, PostURL: "https://twitter.com/ada/status/9", Subject: "Flight cancelled", Description: "Flight \"cancelled\" again 😀",
			PostedOn: "2018-01-31T08:15:30+01:00", PostID: "9",
			Author: payload.Author{ID: "1234567", Handle: "ada", Name: "Ada King @ada", FullName: "Ada King Lovelace", Link: "https://twitter.com/ada"},
			Additional: payload.AdditionalParameters{TargetEntityName: "socialactivity", UserPreferredTargetEntity: "incident", SocialHandle: "ada", ProfileName: "ada",
				ProfileLink: "https://twitter.com/ada", FullName: "Ada King Lovelace", Community: 2, InfluenceScore: &influence, Notes: "<call> & \"back\""},
		}},
		"over_every_limit": {ID: anonymous().ID, Network: "facebook", SocialActivity: payload.SocialActivity{
			Community: 1, PostMessageType: 1, PostURL: long, PostID: strings.Repeat("1", 161),
			Author:     payload.Author{ID: strings.Repeat("9", 101), Handle: strings.Repeat("h", 99) + "😀", FullName: strings.Repeat("f", 60) + " " + strings.Repeat("m", 60) + " " + strings.Repeat("l", 49) + "😀", Link: long},
			Additional: payload.AdditionalParameters{TargetEntityName: "socialactivity", UserPreferredTargetEntity: "lead", Community: 1, PostURL: long},
		}},
		"single_name_with_control_characters": {ID: anonymous().ID, Network: "blogs", SocialActivity: payload.SocialActivity{
			Subject: "s", Author: payload.Author{ID: "https://blog.example/o'brien", FullName: "  \x00Cher\x07 "},
			Additional: payload.AdditionalParameters{TargetEntityName: "socialactivity", UserPreferredTargetEntity: "incident"},
		}},
		"name_that_ends_in_an_emoji": {ID: anonymous().ID, Network: "facebook", SocialActivity: payload.SocialActivity{
			Community: 1, Author: payload.Author{ID: "78", FullName: "Ada King Lovelace ✈️"},
			Additional: payload.AdditionalParameters{TargetEntityName: "socialactivity", UserPreferredTargetEntity: "incident"},
		}},
		"author_with_an_id_only": {ID: anonymous().ID, Network: "twitter", SocialActivity: payload.SocialActivity{
			Community: 2, Author: payload.Author{ID: "77"},
			Additional: payload.AdditionalParameters{TargetEntityName: "socialactivity", UserPreferredTargetEntity: "incident"},
		}},
		"no_author": {ID: anonymous().ID, Network: "facebook", SocialActivity: payload.SocialActivity{
			Community: 1, Subject: "s", Author: payload.Author{Name: "somebody"},
			Additional: payload.AdditionalParameters{TargetEntityName: "socialactivity", UserPreferredTargetEntity: "incident"},
		}},
	}
	for name, a := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := play(t, newTables().ServeHTTP)
			if err := newClient(t, i.URL).Create(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for _, r := range i.requests() {
				fmt.Fprintf(&got, "%s %s\n", r.Method, r.URI)
				if p := r.Header.Get("Prefer"); p != "" {
					fmt.Fprintf(&got, "Prefer: %s\n", p)
				}
				if r.Body != "" {
					_ = json.Indent(&got, []byte(r.Body), "", "  ")
					got.WriteString("\n")
				}
				got.WriteString("\n")
			}
			path := filepath.Join("testdata", "create", name+".golden")
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAProfileOfTheInstanceIsUsed(t *testing.T) {
	t.Parallel()
	const one, two, customer = "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002", "cccccccc-0000-4000-8000-000000000003"
	row := func(id, author, customerType string) string {
		if customerType == "" {
			return fmt.Sprintf(`{"socialprofileid":%q,"uniqueprofileid":%q,"_customerid_value":null}`, id, author)
		}
		return fmt.Sprintf(`{"socialprofileid":%q,"uniqueprofileid":%q,"_customerid_value":%q,"_customerid_value@Microsoft.Dynamics.CRM.lookuplogicalname":%q}`, id, author, customer, customerType)
	}
	tests := map[string]struct {
		rows    []string
		profile string // one of ours when empty
		bind    string // of the author; empty for none
	}{
		"with its contact":                           {rows: []string{row(one, "77x", "contact")}, profile: one, bind: "postauthor_contact@odata.bind"},
		"with its account":                           {rows: []string{row(one, "77x", "account")}, profile: one, bind: "postauthor_account@odata.bind"},
		"without a customer":                         {rows: []string{row(one, "77x", "")}, profile: one},
		"the first of two":                           {rows: []string{row(one, "77x", ""), row(two, "77x", "contact")}, profile: one},
		"but none that differs in upper case only":   {rows: []string{row(one, "77X", "contact")}, bind: "postauthor_contact@odata.bind"},
		"the second when the first differs that way": {rows: []string{row(one, "77X", "contact"), row(two, "77x", "contact")}, profile: two, bind: "postauthor_contact@odata.bind"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := play(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					answerJSON(w, 200, `{"value":[`+strings.Join(tt.rows, ",")+`]}`)
					return
				}
				w.WriteHeader(204)
			})
			if err := newClient(t, i.URL).Create(t.Context(), known("77x")); err != nil {
				t.Fatal(err)
			}
			requests, profile := 2, tt.profile
			if profile == "" {
				requests, profile = 4, payload.ProfileID("contoso", "twitter", "77x").String()
			}
			r := i.requests()
			if len(r) != requests {
				t.Fatalf("%d requests, want %d", len(r), requests)
			}
			var body map[string]any
			if err := json.Unmarshal([]byte(r[len(r)-1].Body), &body); err != nil {
				t.Fatal(err)
			}
			if got := body["postfromprofileid@odata.bind"]; got != "/socialprofiles("+profile+")" {
				t.Errorf("profile %v, want %s", got, profile)
			}
			for _, name := range []string{"postauthor_contact@odata.bind", "postauthor_account@odata.bind"} {
				_, bound := body[name]
				if bound != (name == tt.bind) {
					t.Errorf("%s bound: %v", name, bound)
				}
			}
		})
	}
}

func TestALookUpThatMakesNoSenseCreatesNothing(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"an object of another kind": `{}`,
		"a row without an id":       `{"value":[{"uniqueprofileid":"77"}]}`,
		"null":                      `null`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newTables()
			db.profiles = body
			i := play(t, db.ServeHTTP)
			err := newClient(t, i.URL).Create(t.Context(), known("77"))
			if !errors.Is(err, dynamics.ErrNotDynamics) || len(i.requests()) != 1 {
				t.Errorf("error %v after %d requests", err, len(i.requests()))
			}
		})
	}
}

func TestACreateThatWasCommittedBeforeTheConnectionBrokeIsFoundAgain(t *testing.T) {
	t.Parallel()
	for _, set := range []string{"contacts", "socialprofiles", "socialactivities"} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			db := newTables()
			var dropped atomic.Bool
			i := play(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/"+set+"(") && dropped.CompareAndSwap(false, true) {
					db.ServeHTTP(discard{}, r)
					panic(http.ErrAbortHandler)
				}
				db.ServeHTTP(w, r)
			})
			c, a := newClient(t, i.URL), known("77")
			if err := c.Create(t.Context(), a); err == nil {
				t.Fatal("no error although the connection broke")
			}
			if err := c.Create(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if len(db.rows) != 3 {
				t.Errorf("%d records, want 3", len(db.rows))
			}
		})
	}
}

// discard is an answer that nobody gets.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func TestRecordsOfAnAuthorThatWereDeletedAreMadeAnew(t *testing.T) {
	t.Parallel()
	a := known("77")
	profile, contact := payload.ProfileID("contoso", "twitter", "77"), payload.ContactID("contoso", "twitter", "77")
	db := newTables()
	i := play(t, db.ServeHTTP)
	c := newClient(t, i.URL)
	if err := c.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	db.remove("socialprofiles", profile)
	db.remove("contacts", contact)
	a.ID = uuid.MustParse("22222222-2222-5222-8222-222222222222")
	err := c.Create(t.Context(), a)
	if err != nil || !db.has("socialprofiles", profile) || !db.has("contacts", contact) || !db.has("socialactivities", a.ID) {
		t.Fatalf("error %v, records %v", err, db.rows)
	}
	if n := len(i.requests()); n != 4+1+4 {
		t.Errorf("%d requests, want 9", n)
	}
}

func TestABindThatStaysDeadIsAnErrorAndForgotten(t *testing.T) {
	t.Parallel()
	dead := true
	i := play(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			answerJSON(w, 200, `{"value":[{"socialprofileid":"aaaaaaaa-0000-4000-8000-000000000001","uniqueprofileid":"77"}]}`)
		case dead:
			answerJSON(w, 404, `{"error":{"code":"0x80040217","message":"gone"}}`)
		default:
			w.WriteHeader(204)
		}
	})
	c := newClient(t, i.URL)
	err := c.Create(t.Context(), known("77"))
	var got *dynamics.Error
	if !errors.As(err, &got) || !got.Gone() || len(i.requests()) != 2 {
		t.Fatalf("error %v after %d requests", err, len(i.requests()))
	}
	dead = false
	if err := c.Create(t.Context(), known("77")); err != nil || len(i.requests()) != 4 {
		t.Errorf("error %v after %d requests, want none after 4", err, len(i.requests()))
	}
}
