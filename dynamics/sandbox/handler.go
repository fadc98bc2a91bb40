package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Options describe one organization. Only Name is required.
type Options struct {
	Name           string            // of the instance: lower case letters, digits and dashes
	OrganizationID uuid.UUID         // derived from Name when zero
	URL            string            // public base URL, without /api; taken from each request when empty
	Version        string            // what RetrieveVersion answers; 9.2.24014.198 when empty
	Tokens         []string          // bearer tokens that are always accepted, besides those of the token endpoint
	Clients        map[string]string // client ids and secrets that the token endpoint accepts; any when nil
	TokenLifetime  time.Duration     // of issued tokens; an hour when zero
	Rules          []ConversionRule  // DefaultRules when nil
	Custom         []CustomTable     // DefaultTables when nil
	Absent         []string          // standard tables that are not installed, such as lead
	Settings       Settings          // at the start and after a reset
	PageSize       int               // records in a page, at most; 5000 when zero
	MaxBody        int64             // bytes in a request body, at most; 1 MiB when zero
	EmptyCodes     bool              // failed preconditions carry an empty code, as Microsoft's pages print it
	Seed           uint64            // makes ids and fault probabilities repeatable when not zero
	Now            func() time.Time  // time.Now when nil
}

// Settings are the organization's switches. They can be changed while it runs.
type Settings struct {
	DisableSocialCare bool `json:"disablesocialcare"` // refuse new social activities with 0x80060621
	SocialCareStatus  int  `json:"socialcarestatus"`  // HTTP status of that refusal; 400 when zero
	RefuseProfiles    bool `json:"refuseprofiles"`    // then refuse new social profiles too
	NoConversion      bool `json:"noconversion"`      // record-creation rules are deactivated
	ConvertBlocked    bool `json:"convertblocked"`    // create records for blocked social profiles as well
	PrivateOnly       bool `json:"privateonly"`       // create records for direct messages only
}

// DefaultTables are one table that may be the regarding record of a social activity, and one that may not.
func DefaultTables() []CustomTable {
	return []CustomTable{
		{Name: "new_complaint", Label: "Complaint", Related: true},
		{Name: "new_vehicle", Label: "Vehicle"},
	}
}

func (o *Options) validate() error {
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`).MatchString(o.Name) {
		return fmt.Errorf("sandbox %q: a name has lower case letters, digits and dashes", o.Name)
	}
	if o.OrganizationID == (uuid.UUID{}) {
		o.OrganizationID = derive("organization", o.Name)
	}
	if o.Version == "" {
		o.Version = "9.2.24014.198"
	}
	if o.TokenLifetime == 0 {
		o.TokenLifetime = time.Hour
	}
	if o.Custom == nil {
		o.Custom = DefaultTables()
	}
	if o.Rules == nil {
		o.Rules = DefaultRules(o.Custom...)
	}
	if o.PageSize == 0 {
		o.PageSize = 5000
	}
	if o.MaxBody == 0 {
		o.MaxBody = 1 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
	return nil
}

// Sandbox is one simulated organization. All its methods may be called at once from many goroutines: one mutex guards
// everything that changes, and a request holds it only while it reads or writes records.
type Sandbox struct {
	opts   Options
	schema *schema
	userID uuid.UUID // of the application user that every client is
	issuer *issuer
	log    *journal
	faults *faults

	mu       sync.RWMutex
	store    *store
	settings Settings
	rules    []ConversionRule
	pending  queue

	idMu   sync.Mutex
	random *rand.ChaCha8

	wake chan struct{} // tells Run of an earlier conversion
}

// New returns an organization without records. It starts nothing; only delayed conversions need Run.
func New(opts Options) (*Sandbox, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	schema, err := newSchema(opts.Custom, opts.Absent)
	if err != nil {
		return nil, fmt.Errorf("sandbox %s: %w", opts.Name, err)
	}
	s := &Sandbox{
		opts:   opts,
		schema: schema,
		userID: derive("systemuser", opts.Name),
		issuer: newIssuer(opts),
		log:    &journal{},
		faults: newFaults(opts.Seed, opts.Now),
		wake:   make(chan struct{}, 1),
	}
	if err := s.checkRules(opts.Rules); err != nil {
		return nil, fmt.Errorf("sandbox %s: %w", opts.Name, err)
	}
	s.Reset()
	return s, nil
}

// Name returns the name of the instance that the sandbox plays.
func (s *Sandbox) Name() string { return s.opts.Name }

// Reset forgets all records, requests, faults, issued tokens and waiting conversions, and restores rules and settings.
func (s *Sandbox) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store = newStore(s.schema)
	s.rules = s.opts.Rules
	s.pending = nil
	s.idMu.Lock()
	s.random = newRandom(s.opts.Seed)
	s.idMu.Unlock()
	s.seedRecords()
	s.applySettings(s.opts.Settings)
	s.log.reset()
	s.faults.clear()
	s.issuer.expire()
}

// SetSettings replaces the organization's switches.
func (s *Sandbox) SetSettings(settings Settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applySettings(settings)
}

// Settings returns the organization's switches.
func (s *Sandbox) Settings() Settings {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.settings
}

func (s *Sandbox) applySettings(settings Settings) {
	if settings.SocialCareStatus == 0 {
		settings.SocialCareStatus = http.StatusBadRequest
	}
	s.settings = settings
	t := s.schema.byName["organization"]
	v, _ := s.store.load(t, s.opts.OrganizationID)
	v[t.byName["disablesocialcare"].ordinal] = settings.DisableSocialCare
	s.store.replace(t, s.opts.OrganizationID, v)
}

// seedRecords writes what every organization has before its first client comes.
func (s *Sandbox) seedRecords() {
	put := func(name string, id uuid.UUID, columns map[string]any) {
		t := s.schema.byName[name]
		v := make(values, len(t.columns))
		v[0] = id
		for column, value := range columns {
			v[t.byName[column].ordinal] = value
		}
		s.store.insert(t, id, v)
	}
	put("organization", s.opts.OrganizationID, map[string]any{
		"name": s.opts.Name, "disablesocialcare": false, "socialinsightsenabled": false, "languagecode": int64(1033)})
	put("systemuser", s.userID, map[string]any{"fullname": "# postlink", "isdisabled": false})
	put("appmodule", derive("appmodule", s.opts.Name), map[string]any{"uniquename": "msdyn_CustomerServiceHub", "name": "Customer Service Hub"})
}

// Delete removes a record behind the clients' back, with what cascades; it reports whether there was one. The log does not show it.
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
	base := s.opts.URL
	if base == "" {
		base = origin(r) + prefix
	}
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

// origin is the address that the client used.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

const contentType = "application/json; odata.metadata=minimal"

// answer is a response that has not been written yet, with what the log will say of it.
type answer struct {
	status int
	header http.Header
	body   []byte

	table   *table
	id      uuid.UUID
	code    string
	created bool
	fault   FaultKind
}

// call is one Web API request.
type call struct {
	r      *http.Request
	base   string // public base URL of the organization
	root   string // /api/data/v9.2/
	path   string // below root
	query  query
	prefer preferences
	table  *table    // that the path names, when it does
	id     uuid.UUID // likewise

	fault FaultKind     // the fault that the request met, if any
	wait  time.Duration // before the answer goes out
	drop  bool          // close the connection instead of answering
}

func (c *call) recordURL(t *table, id uuid.UUID) string {
	return c.base + c.root + t.set + "(" + id.String() + ")"
}

// serveData answers one Web API request and logs it.
func (s *Sandbox) serveData(w http.ResponseWriter, r *http.Request, base, path string) {
	c := &call{r: r, base: base}
	a, err := s.data(c, path)
	if err != nil {
		a = failed(err)
	}
	if a.table == nil {
		a.table, a.id = c.table, c.id
	}
	a.fault = c.fault
	s.log.add(s.opts.Now(), r.Method, path, a)
	if c.wait > 0 {
		select {
		case <-time.After(c.wait):
		case <-r.Context().Done():
		}
	}
	if c.drop {
		panic(http.ErrAbortHandler) // the connection closes without an answer
	}
	maps.Copy(w.Header(), a.header)
	w.Header().Set("OData-Version", "4.0")
	w.Header().Set("x-ms-service-request-id", uuid.NewString())
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a client that went away is its own business
}

// failed turns any error into an answer; what is not a refusal is a defect of the sandbox and says so.
func failed(err error) answer {
	if e, ok := errors.AsType[*refusal](err); ok {
		return e.answer()
	}
	return refuse(http.StatusInternalServerError, "0x80040216", "An unexpected error occurred. (%v)", err).answer()
}

var rootPath = regexp.MustCompile(`^/api/data/v9\.[0-9]+/`)

// data is the road of every request: version, token, faults, then the resource.
func (s *Sandbox) data(c *call, path string) (answer, error) {
	c.root = rootPath.FindString(path)
	if c.root == "" {
		return answer{}, refuse(http.StatusNotFound, codeRequest, "No service listens at '%s'; the Web API is below /api/data/v9.2/.", path)
	}
	c.path = strings.TrimPrefix(path, c.root)
	segment, rest, _ := strings.Cut(c.path, "/")
	set, key, keyed := strings.Cut(segment, "(")
	c.table = s.schema.bySet[set]
	if c.table != nil && keyed {
		c.id, _ = parseGUID(strings.TrimSuffix(key, ")"))
	}
	if !s.issuer.valid(c.r.Header.Get("Authorization")) {
		return answer{}, unauthorized(c.base)
	}
	run := func() (answer, error) {
		var err error
		if c.query, err = parseQuery(c.r.URL.RawQuery); err != nil {
			return answer{}, err
		}
		if c.prefer, err = parsePrefer(c.r.Header.Values("Prefer")); err != nil {
			return answer{}, err
		}
		if c.table == nil {
			return s.function(c, segment, rest)
		}
		return s.resource(c, strings.TrimPrefix(segment, set), rest)
	}
	return s.faults.apply(c, run)
}

// resource answers for a set of records or one record.
func (s *Sandbox) resource(c *call, key, rest string) (answer, error) {
	t, method := c.table, c.r.Method
	if rest != "" {
		return answer{}, unsupported("'" + rest + "' below " + t.set)
	}
	if key == "" {
		switch method {
		case http.MethodGet:
			return s.list(c, t)
		case http.MethodPost:
			return s.create(c, t)
		}
		return answer{}, wrongMethod(method)
	}
	if strings.Contains(key, "=") {
		return answer{}, unsupported("alternate keys")
	}
	if c.id == (uuid.UUID{}) || !strings.HasSuffix(key, ")") {
		return answer{}, badRequest("Bad Request - Error in query syntax: '%s' is not the key of a record.", key)
	}
	switch method {
	case http.MethodGet:
		return s.one(c, t, c.id)
	case http.MethodPatch:
		return s.upsert(c, t, c.id)
	case http.MethodDelete:
		return s.remove(c, t, c.id)
	}
	return answer{}, wrongMethod(method)
}

// newID returns a GUID of the server's own making.
func (s *Sandbox) newID() uuid.UUID {
	if s.opts.Seed == 0 {
		return uuid.New()
	}
	s.idMu.Lock()
	defer s.idMu.Unlock()
	return uuid.Must(uuid.NewRandomFromReader(s.random))
}

// newRandom is repeatable for a seed that is not zero.
func newRandom(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	if seed == 0 {
		seed = rand.Uint64()
	}
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// derive makes the fixed ids of an organization.
func derive(parts ...string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("postlink:sandbox:"+strings.Join(parts, ":")))
}
