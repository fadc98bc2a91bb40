package sandbox

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Options describe one organization. Only Name is required. The sandbox keeps Tokens and Clients: do not change them later.
type Options struct {
	// Name is that of the instance: lower case letters, digits and dashes. The ids of the organization, of its user and of
	// converted records are functions of it, so that two sandboxes of one name give them the same ids.
	Name    string
	Tokens  []string          // bearer tokens that are always accepted, besides those of the token endpoint
	Clients map[string]string // client ids and secrets that the token endpoint accepts; any when nil, none when empty
	// Now is the clock for the times in records and log, for the lifetime of tokens and for delayed conversions; time.Now when
	// nil. It is called from many goroutines at once, also under locks of the sandbox. The Delay of a fault and the sleep of Run
	// are real time: a clock that jumps does not wake them.
	Now func() time.Time
}

// Settings are the organization's switches. They can be changed while it runs. The zero value is an organization that takes
// social data and converts it.
type Settings struct {
	// DisableSocialCare refuses new social activities with 400 and 0x80060621. Those that exist can still be read and changed,
	// and contacts and social profiles can be created. It is also a column of the organization record, which clients may write.
	DisableSocialCare bool `json:"disablesocialcare"`
	// NoConversion deactivates all conversion rules. A conversion that already waits for its Delay is carried out all the same.
	NoConversion bool `json:"noconversion"`
}

var instanceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// Sandbox is one simulated organization. All its methods may be called at once from many goroutines. One mutex guards records,
// settings and rules; the issuer, the log and the faults each have one of their own, and no two of them are held at once. A
// request holds the mutex only while it reads or writes records: a body that arrives slowly, or the Delay of a fault, holds up
// nobody else. A write is one critical section from its precondition to its conversion, so of many create-only requests for
// one id exactly one creates.
type Sandbox struct {
	opts           Options
	schema         *schema // not changed after New; read without a lock
	organizationID uuid.UUID
	userID         uuid.UUID // of the application user that all clients sign in as
	issuer         *issuer
	log            *journal
	faults         *faults

	mu       sync.RWMutex // guards what follows
	store    *store
	settings Settings
	rules    []ConversionRule
	pending  queue

	wake chan struct{} // holds an element when Run has to look at pending again
}

// New returns an organization without records but its own and its user's. It starts nothing; only delayed conversions need
// Run. The one error is a Name that is not well-formed.
func New(opts Options) (*Sandbox, error) {
	if !instanceName.MatchString(opts.Name) {
		return nil, fmt.Errorf("sandbox %q: write the name in lower case letters, digits and dashes", opts.Name)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	schema := newSchema()
	s := &Sandbox{
		opts:           opts,
		schema:         schema,
		organizationID: derive("organization", opts.Name),
		userID:         derive("systemuser", opts.Name),
		issuer:         newIssuer(opts),
		log:            newJournal(),
		faults:         &faults{},
		store:          newStore(schema),
		rules:          defaultRules(),
		wake:           make(chan struct{}, 1),
	}
	s.firstRecords()
	return s, nil
}

// Name returns the name of the instance that the sandbox plays.
func (s *Sandbox) Name() string { return s.opts.Name }

// firstRecords writes the records that every organization has from the start. They are of system tables: clients cannot create
// or delete them, and Snapshot and Summary leave them out.
func (s *Sandbox) firstRecords() {
	put := func(name string, id uuid.UUID, columns map[string]any) {
		t := s.schema.byName[name]
		v := make(values, len(t.columns))
		v[0] = id
		for column, value := range columns {
			v[t.byName[column].ordinal] = value
		}
		s.store.insert(t, id, v)
	}
	put("organization", s.organizationID, map[string]any{
		"name": s.opts.Name, "disablesocialcare": false, "socialinsightsenabled": false, "languagecode": int64(english)})
	put("systemuser", s.userID, map[string]any{"fullname": "# postlink", "isdisabled": false})
}

// SetSettings replaces the organization's switches, both at once. The organization record shows the new value and gets a new
// version, even when nothing changed.
func (s *Sandbox) SetSettings(settings Settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings = settings
	t := s.schema.byName["organization"]
	v, _ := s.store.load(t, s.organizationID)
	v[t.byName["disablesocialcare"].ordinal] = settings.DisableSocialCare
	s.store.replace(t, s.organizationID, v)
}

// Settings returns the organization's switches.
func (s *Sandbox) Settings() Settings {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.settings
}

// SetRules replaces the conversion rules. Conversions that already wait keep the rule that chose them. It returns an error for
// a table or column that does not exist and for a condition that is not well-formed; then the old rules stay. The slice is
// copied, the Conditions in it are not: do not change them later.
func (s *Sandbox) SetRules(rules []ConversionRule) error {
	if err := s.checkRules(rules); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = slices.Clone(rules)
	return nil
}

// Rules returns the conversion rules in their order. The slice is the caller's, the Conditions in it are shared.
func (s *Sandbox) Rules() []ConversionRule {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.rules)
}

// Delete removes a record and what cascades, as another user of the organization would; it reports whether there was one. The
// name is the logical name of a table; the organization and its user cannot be deleted. The log does not show it. With a social
// profile its activities go, and every other lookup to a deleted record becomes empty.
func (s *Sandbox) Delete(name string, id uuid.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.schema.byName[name]
	return t != nil && !t.system && s.store.remove(t, id)
}

// ServeHTTP answers the Web API, the token endpoint, the pages of records and the control endpoints of the organization. A fault
// that drops the connection panics with http.ErrAbortHandler, which net/http's server recovers; who calls ServeHTTP without a
// server, as with httptest.ResponseRecorder, has to recover it.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r, "") }

// serve answers a request whose path starts with prefix, which is that of the instance on a Mux, or empty. All addresses in
// answers carry it, and paths in the log do not, so that a log reads the same with and without a Mux.
func (s *Sandbox) serve(w http.ResponseWriter, r *http.Request, prefix string) {
	base := origin(r) + prefix
	path := strings.TrimPrefix(r.URL.Path, prefix)
	switch {
	case strings.HasPrefix(path, "/_sandbox/"):
		s.control(w, r, strings.TrimPrefix(path, "/_sandbox/"))
	case path == pagePath:
		s.showRecord(w, r)
	case isTokenPath(path):
		s.issuer.serve(w, r, base, path)
	default:
		s.serveData(w, r, base, path)
	}
}

// Mux plays several organizations on one address: the instance contoso has the base URL http://host/contoso. It is not changed
// after NewMux and may be called from many goroutines. It runs nothing: each Sandbox with delayed conversions needs its own Run.
type Mux struct{ byName map[string]*Sandbox }

// NewMux returns a handler for these organizations, whose names must differ. Two of one name are the one error.
func NewMux(sandboxes ...*Sandbox) (*Mux, error) {
	m := &Mux{byName: map[string]*Sandbox{}}
	for _, s := range sandboxes {
		if m.byName[s.Name()] != nil {
			return nil, fmt.Errorf("two sandboxes are called %s", s.Name())
		}
		m.byName[s.Name()] = s
	}
	return m, nil
}

// ServeHTTP routes by the first segment of the path. The answer for a name that nobody plays is 404 with a plain JSON object,
// not the Web API's error document: no organization has answered.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s := m.byName[name]
	if s == nil {
		complain(w, http.StatusNotFound, fmt.Errorf("no instance %q is played here", name))
		return
	}
	s.serve(w, r, "/"+name)
}

// origin is the address that the client used, by its Host header. Addresses in answers begin with it, so a proxy in front must
// pass Host on; one that ends TLS makes them http.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// derive makes the fixed ids of an organization: UUIDv5 of the parts, the same in every process, so that golden files hold.
func derive(parts ...string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("postlink:sandbox:"+strings.Join(parts, ":")))
}
