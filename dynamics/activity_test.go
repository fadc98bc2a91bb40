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
				found = append(found, fmt.Sprintf(`{"socialprofileid":%q,"uniqueprofileid":%q,"statecode":0,"_customerid_value":%q,"_customerid_value@Microsoft.Dynamics.CRM.lookuplogicalname":"contact"}`,
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
	made, err := c.Create(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	want := dynamics.Created{
		ID:       a.ID,
		Profile:  payload.ProfileID("contoso", "twitter", "1234567"),
		Customer: payload.ContactID("contoso", "twitter", "1234567"),
	}
	if made != want {
		t.Errorf("created %+v, want %+v", made, want)
	}
	b := a
	b.ID = uuid.MustParse("22222222-2222-5222-8222-222222222222")
	if _, err := c.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	calls := []string{"GET socialprofiles", "PATCH contacts", "PATCH socialprofiles", "PATCH socialactivities", "PATCH socialactivities"}
	if diff := cmp.Diff(calls, i.calls()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	// A client that remembers nothing finds the profile that the first one made.
	b.ID = uuid.MustParse("33333333-3333-5333-8333-333333333333")
	again, err := newClient(t, i.URL).Create(t.Context(), b)
	if err != nil || again.Profile != want.Profile || again.Customer != want.Customer || again.Ambiguous {
		t.Errorf("created %+v, %v", again, err)
	}
	if got := len(i.requests()); got != 7 {
		t.Errorf("%d requests, want 7", got)
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
			if _, err := newClient(t, i.URL).Create(t.Context(), a); err != nil {
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
	row := func(id, author string, state int, customerType string) string {
		if customerType == "" {
			return fmt.Sprintf(`{"socialprofileid":%q,"uniqueprofileid":%q,"statecode":%d,"_customerid_value":null}`, id, author, state)
		}
		return fmt.Sprintf(`{"socialprofileid":%q,"uniqueprofileid":%q,"statecode":%d,"_customerid_value":%q,"_customerid_value@Microsoft.Dynamics.CRM.lookuplogicalname":%q}`, id, author, state, customer, customerType)
	}
	tests := map[string]struct {
		rows      []string
		profile   string
		bind      string // of the author; empty for none
		ambiguous bool
		created   bool
	}{
		"with its contact":                          {rows: []string{row(one, "77", 0, "contact")}, profile: one, bind: "postauthor_contact@odata.bind"},
		"with its account":                          {rows: []string{row(one, "77", 0, "account")}, profile: one, bind: "postauthor_account@odata.bind"},
		"without a customer":                        {rows: []string{row(one, "77", 0, "")}, profile: one},
		"the first of two":                          {rows: []string{row(one, "77", 0, "contact"), row(two, "77", 0, "contact")}, profile: one, bind: "postauthor_contact@odata.bind", ambiguous: true},
		"the active one of two":                     {rows: []string{row(one, "77", 1, ""), row(two, "77", 0, "contact")}, profile: two, bind: "postauthor_contact@odata.bind", ambiguous: true},
		"an inactive one when there is no other":    {rows: []string{row(one, "77", 1, "contact")}, profile: one, bind: "postauthor_contact@odata.bind"},
		"but none that differs in upper-case only ": {rows: []string{row(one, "77X", 0, "contact")}, created: true},
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
			made, err := newClient(t, i.URL).Create(t.Context(), known("77"))
			if err != nil {
				t.Fatal(err)
			}
			if tt.created {
				if n := len(i.requests()); n != 4 || made.Profile != payload.ProfileID("contoso", "twitter", "77") {
					t.Errorf("%d requests, profile %s", n, made.Profile)
				}
				return
			}
			if made.Profile.String() != tt.profile || made.Ambiguous != tt.ambiguous || (made.Customer != uuid.Nil) != (tt.bind != "") {
				t.Errorf("created %+v", made)
			}
			var body map[string]any
			if err := json.Unmarshal([]byte(i.requests()[1].Body), &body); err != nil {
				t.Fatal(err)
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
			_, err := newClient(t, i.URL).Create(t.Context(), known("77"))
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
			if _, err := c.Create(t.Context(), a); err == nil {
				t.Fatal("no error although the connection broke")
			}
			made, err := c.Create(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			if made.Existed != (set == "socialactivities") {
				t.Errorf("existed: %v", made.Existed)
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
	if _, err := c.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	db.remove("socialprofiles", profile)
	db.remove("contacts", contact)
	a.ID = uuid.MustParse("22222222-2222-5222-8222-222222222222")
	made, err := c.Create(t.Context(), a)
	if err != nil || made.Existed || !db.has("socialprofiles", profile) || !db.has("contacts", contact) || !db.has("socialactivities", a.ID) {
		t.Fatalf("created %+v, %v", made, err)
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
			answerJSON(w, 200, `{"value":[{"socialprofileid":"aaaaaaaa-0000-4000-8000-000000000001","uniqueprofileid":"77","statecode":0}]}`)
		case dead:
			answerJSON(w, 404, `{"error":{"code":"0x80040217","message":"gone"}}`)
		default:
			w.WriteHeader(204)
		}
	})
	c := newClient(t, i.URL)
	_, err := c.Create(t.Context(), known("77"))
	var got *dynamics.Error
	if !errors.As(err, &got) || !got.Gone() || len(i.requests()) != 2 {
		t.Fatalf("error %v after %d requests", err, len(i.requests()))
	}
	dead = false
	if _, err := c.Create(t.Context(), known("77")); err != nil || len(i.requests()) != 4 {
		t.Errorf("error %v after %d requests, want none after 4", err, len(i.requests()))
	}
}
