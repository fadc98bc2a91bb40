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

// Options describe one organization. Only Name is required.
type Options struct {
	Name    string            // of the instance: lower case letters, digits and dashes
	Tokens  []string          // bearer tokens that are always accepted, besides those of the token endpoint
	Clients map[string]string // client ids and secrets that the token endpoint accepts; any when nil
	Now     func() time.Time  // time.Now when nil
}

// Settings are the organization's switches. They can be changed while it runs.
type Settings struct {
	DisableSocialCare bool `json:"disablesocialcare"` // refuse new social activities with 0x80060621
	NoConversion      bool `json:"noconversion"`      // conversion rules are deactivated
}

var instanceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// Sandbox is one simulated organization. All its methods may be called at once from many goroutines: one mutex guards
// everything that changes, and a request holds it only while it reads or writes records.
type Sandbox struct {
	opts           Options
	schema         *schema
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

// New returns an organization without records. It starts nothing; only delayed conversions need Run.
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

// firstRecords writes the records that every organization has from the start.
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

// SetSettings replaces the organization's switches.
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

// SetRules replaces the conversion rules. Conversions that already wait keep the rule that chose them.
func (s *Sandbox) SetRules(rules []ConversionRule) error {
	if err := s.checkRules(rules); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = slices.Clone(rules)
	return nil
}

// Rules returns the conversion rules in their order.
func (s *Sandbox) Rules() []ConversionRule {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.rules)
}

// Delete removes a record and what cascades, as another user of the organization would; it reports whether there was one. The
// log does not show it.
func (s *Sandbox) Delete(name string, id uuid.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.schema.byName[name]
	return t != nil && !t.system && s.store.remove(t, id)
}

// ServeHTTP answers the Web API, the token endpoint, the pages of records and the control endpoints of the organization.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r, "") }

// serve answers a request whose path starts with prefix.
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

// Mux plays several organizations on one address: the instance contoso has the base URL http://host/contoso.
type Mux struct{ byName map[string]*Sandbox }

// NewMux returns a handler for these organizations, whose names must differ.
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

// ServeHTTP routes by the first segment of the path.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s := m.byName[name]
	if s == nil {
		complain(w, http.StatusNotFound, fmt.Errorf("no instance %q is played here", name))
		return
	}
	s.serve(w, r, "/"+name)
}

// origin is the address that the client used.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// derive makes the fixed ids of an organization.
func derive(parts ...string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("postlink:sandbox:"+strings.Join(parts, ":")))
}
