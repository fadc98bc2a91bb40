package dynamics_test

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/payload"
)

// simulate starts a simulated organization at the address http://.../contoso, and a client of it.
func simulate(t *testing.T, o sandbox.Options, change ...func(*dynamics.Options)) (*sandbox.Sandbox, *dynamics.Client) {
	t.Helper()
	o.Name, o.Tokens = "contoso", append(o.Tokens, "secret-token")
	s, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux, err := sandbox.NewMux(s)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = quiet()
	server.Start()
	t.Cleanup(server.Close)
	return s, newClient(t, server.URL+"/contoso", change...)
}

// send does something in the simulated organization as one of its own users would.
func send(t *testing.T, s *sandbox.Sandbox, method, path, body string) {
	t.Helper()
	r := httptest.NewRequest(method, "http://contoso.test/api/data/v9.2/"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer secret-token")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 204 {
		t.Fatalf("%s %s: status %d: %s", method, path, w.Code, w.Body)
	}
}

// post is a social activity as Build makes it.
func post(t *testing.T, id, entity string) dynamics.Activity {
	t.Helper()
	p, err := payload.DecodePost([]byte(`{"post":{"id":"` + id + `","postType":"POST","title":"Flight cancelled","content":{"text":"Flight cancelled, again. Nobody answers 😀"},
		"uri":"https://twitter.com/ada/status/` + id + `","source":{"param":"TWITTER"},"publicationDate":"2018-01-31T08:15:30Z","sentiment":{"polarity":"NEGATIVE","value":-1},
		"profile":{"externalId":"1234567","externalHandle":"ada","displayName":"Ada King Lovelace"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	a, err := payload.Build(p, payload.Options{Entity: entity, Notes: "call back"})
	if err != nil {
		t.Fatal(err)
	}
	return dynamics.Activity{ID: payload.ActivityID("contoso", p.Network, p.ID, 1), Network: p.Network, SocialActivity: a}
}

func TestASimulatedOrganizationTakesAPost(t *testing.T) {
	t.Parallel()
	s, c := simulate(t, sandbox.Options{})
	a := post(t, "1", "incident")
	for n := range 3 {
		if err := c.Create(t.Context(), a); err != nil {
			t.Fatalf("attempt %d: %v", n+1, err)
		}
	}
	for table, want := range map[string]int{"socialactivity": 1, "socialprofile": 1, "contact": 1, "incident": 1} {
		if got := s.Count(table); got != want {
			t.Errorf("%d records of %s, want %d", got, table, want)
		}
	}
	for r := range s.Records("socialactivity") {
		var row struct {
			Profile    uuid.UUID `json:"_postfromprofileid_value"`
			Additional string    `json:"activityadditionalparams"`
			PostID     string    `json:"postid"`
		}
		if err := json.Unmarshal(r.Record, &row); err != nil {
			t.Fatal(err)
		}
		if r.ID != a.ID || row.Profile != payload.ProfileID("contoso", "twitter", "1234567") || row.Additional != a.Additional.Text() || row.PostID != a.PostID {
			t.Errorf("record %s: %s", r.ID, r.Record)
		}
	}

	q := dynamics.Query{Activity: a.ID, Fields: func(entity string) []string {
		return map[string][]string{"incident": {"title", "ticketnumber", "statuscode", "ownerid", "createdon", "vanished"}}[entity]
	}}
	d, err := c.Details(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, f := range d.Fields {
		if f.Missing {
			continue
		}
		shown = append(shown, f.Name)
		if f.Value == "" || f.Label == f.Name {
			t.Errorf("field %+v has no value or no label", f)
		}
	}
	if !d.Converted || d.Entity != "incident" || !slices.Equal(shown, []string{"title", "ticketnumber", "statuscode", "ownerid", "createdon"}) || !d.Fields[5].Missing {
		t.Errorf("details %+v", d)
	}
	q.Target = d.Target
	s.Delete("incident", d.Target.ID)
	if _, err := c.Details(t.Context(), q); !errors.Is(err, dynamics.ErrGone) {
		t.Errorf("error %v, want %v", err, dynamics.ErrGone)
	}
	s.Delete("socialactivity", a.ID)
	if _, err := c.Details(t.Context(), q); !errors.Is(err, dynamics.ErrGone) || errors.Is(err, dynamics.ErrDissociated) {
		t.Errorf("error %v, want %v", err, dynamics.ErrGone)
	}
}

func TestASimulatedOrganizationThatConvertsNothingShowsTheActivity(t *testing.T) {
	t.Parallel()
	s, c := simulate(t, sandbox.Options{})
	s.SetSettings(sandbox.Settings{NoConversion: true})
	a := post(t, "1", "lead")
	if err := c.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	d, err := c.Details(t.Context(), dynamics.Query{Activity: a.ID})
	if err != nil || d.Converted || d.Entity != "socialactivity" || d.ID != a.ID || d.Fields[0].Value != "Flight cancelled" {
		t.Errorf("details %+v, %v", d, err)
	}
	if s.Count("lead") != 0 {
		t.Error("a lead was made")
	}
}

func TestFaultsOfASimulatedOrganizationNeverMakeASecondRecord(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault  sandbox.Fault
		status int // of the first attempt; 0 for a broken connection or success
		is     error
		fine   bool // the first attempt succeeds all the same
	}{
		"a dropped activity":      {fault: sandbox.Fault{Kind: sandbox.FaultDrop, Path: "socialactivities"}},
		"a dropped profile":       {fault: sandbox.Fault{Kind: sandbox.FaultDrop, Method: "PATCH", Path: "socialprofiles"}},
		"a dropped contact":       {fault: sandbox.Fault{Kind: sandbox.FaultDrop, Path: "contacts"}},
		"a connection not used":   {fault: sandbox.Fault{Kind: sandbox.FaultDropBefore, Path: "socialactivities"}},
		"a race for the contact":  {fault: sandbox.Fault{Kind: sandbox.FaultRace, Path: "contacts"}, fine: true},
		"a race for the profile":  {fault: sandbox.Fault{Kind: sandbox.FaultRace, Method: "PATCH", Path: "socialprofiles"}, fine: true},
		"a race for the activity": {fault: sandbox.Fault{Kind: sandbox.FaultRace, Path: "socialactivities"}, fine: true},
		"a refused token":         {fault: sandbox.Fault{Kind: sandbox.FaultUnauthorized}, fine: true},
		"a throttle":              {fault: sandbox.Fault{Kind: sandbox.FaultThrottleTime, Path: "socialactivities", RetryAfter: 3}, status: 429},
		"a gateway":               {fault: sandbox.Fault{Kind: sandbox.FaultGateway, Path: "socialactivities"}, status: 502},
		"a page":                  {fault: sandbox.Fault{Kind: sandbox.FaultHTML}, status: 200, is: dynamics.ErrNotDynamics},
		"a login page":            {fault: sandbox.Fault{Kind: sandbox.FaultLogin}, status: 302, is: dynamics.ErrLogin},
		"a dead bind":             {fault: sandbox.Fault{Kind: sandbox.FaultDeadBind, Path: "socialactivities"}, status: 404},
		"duplicate detection":     {fault: sandbox.Fault{Kind: sandbox.FaultDuplicateDetection, Path: "contacts"}, status: 500},
		"a missing privilege":     {fault: sandbox.Fault{Kind: sandbox.FaultForbidden, Path: "socialactivities"}, status: 403},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := simulate(t, sandbox.Options{})
			tt.fault.Times = 1
			if _, err := s.AddFault(tt.fault); err != nil {
				t.Fatal(err)
			}
			a := post(t, "1", "incident")
			err := c.Create(t.Context(), a)
			var refused *dynamics.Error
			switch {
			case (err == nil) != tt.fine:
				t.Errorf("error %v", err)
			case tt.status != 0 && (!errors.As(err, &refused) || refused.Status != tt.status || !errors.Is(refused.Err, tt.is)):
				t.Errorf("error %v, want status %d", err, tt.status)
			}
			if err := c.Create(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			for _, table := range []string{"socialactivity", "socialprofile", "contact"} {
				if got := s.Count(table); got != 1 {
					t.Errorf("%d records of %s, want 1", got, table)
				}
			}
			if s.Duplicates() != 0 {
				t.Errorf("%d duplicates", s.Duplicates())
			}
		})
	}
}

func TestASimulatedOrganizationMayRefuseSocialData(t *testing.T) {
	t.Parallel()
	s, c := simulate(t, sandbox.Options{})
	disabled := func() bool {
		o, err := c.Organization(t.Context())
		if err != nil || o.ID == uuid.Nil || o.Version == "" || o.SocialDataDisabled == nil {
			t.Fatalf("organization %+v, %v", o, err)
		}
		return *o.SocialDataDisabled
	}
	if disabled() {
		t.Error("it refuses from the start")
	}
	s.SetSettings(sandbox.Settings{DisableSocialCare: true})
	var refused *dynamics.Error
	if err := c.Create(t.Context(), post(t, "1", "incident")); !errors.As(err, &refused) || refused.Code != dynamics.CodeSocialCareDisabled || !disabled() {
		t.Errorf("error %v", err)
	}
}

func TestTheTablesOfASimulatedOrganizationAreOffered(t *testing.T) {
	t.Parallel()
	_, c := simulate(t, sandbox.Options{})
	m, err := c.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"incident", "lead", "new_complaint"} {
		r, ok := m.RecordType(name)
		if !ok || r.Set == "" || r.PrimaryID == "" || r.PrimaryName == "" || r.Label == name || r.Custom != (name == "new_complaint") {
			t.Errorf("%s: %+v, %v", name, r, ok)
		}
		fields, err := c.Fields(t.Context(), name)
		if err != nil || !slices.ContainsFunc(fields, func(f dynamics.Field) bool { return f.Name == r.PrimaryName }) {
			t.Errorf("fields of %s: %v, %v", name, fields, err)
		}
	}
	if _, ok := m.RecordType("new_vehicle"); ok {
		t.Error("a table without a relationship is offered")
	}
	if _, err := c.Fields(t.Context(), "nothing"); !errors.Is(err, dynamics.ErrNoEntity) {
		t.Errorf("error %v, want %v", err, dynamics.ErrNoEntity)
	}
}

func TestASimulatedOrganizationIssuesTokensThatExpire(t *testing.T) {
	t.Parallel()
	s, err := sandbox.New(sandbox.Options{Name: "contoso", Clients: map[string]string{"app": "s3cret"}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	transport := server.Client().Transport
	t.Cleanup(server.Client().CloseIdleConnections)
	tokens, err := dynamics.NewClientCredentials(dynamics.ClientCredentialsOptions{
		Instance: "contoso", Resource: server.URL, Authority: server.URL, Tenant: "tenant", ClientID: "app",
		Secret: func() (string, error) { return "s3cret", nil }, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, server.URL, func(o *dynamics.Options) { o.Tokens, o.Transport = tokens, transport })
	if err := c.Create(t.Context(), post(t, "1", "incident")); err != nil {
		t.Fatal(err)
	}
	s.ExpireTokens()
	var all sync.WaitGroup
	for _, id := range []string{"2", "3", "4", "5"} {
		a := post(t, id, "incident")
		all.Go(func() {
			if err := c.Create(t.Context(), a); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := s.Count("socialactivity"); got != 5 {
		t.Errorf("%d activities, want 5", got)
	}
}

func TestAProfileDeletedInASimulatedOrganizationIsMadeAnew(t *testing.T) {
	t.Parallel()
	s, c := simulate(t, sandbox.Options{})
	a := post(t, "1", "incident")
	if err := c.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	s.Delete("socialprofile", payload.ProfileID("contoso", "twitter", "1234567")) // its activities are deleted with it
	if s.Count("socialactivity") != 0 {
		t.Fatal("the activity is still there")
	}
	if err := c.Create(t.Context(), a); err != nil || s.Count("socialactivity") != 1 || s.Count("socialprofile") != 1 {
		t.Errorf("error %v, %d activities, %d profiles", err, s.Count("socialactivity"), s.Count("socialprofile"))
	}
}
