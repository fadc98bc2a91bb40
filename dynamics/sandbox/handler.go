package sandbox

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	contentType = "application/json; odata.metadata=minimal"
	maxBody     = 1 << 20 // bytes of a request
	orgVersion  = "9.2.24014.198"
)

// answer is a response that has not been written yet, with what the log records of it.
type answer struct {
	status int
	header http.Header
	body   []byte

	table   *table
	id      uuid.UUID
	code    string
	created bool
}

// call is one Web API request.
type call struct {
	r      *http.Request
	base   string // public base URL of the organization
	root   string // /api/data/v9.2/
	path   string // below root
	body   []byte // at most one byte more than maxBody
	query  query
	prefer preferences
	table  *table    // that the path names; nil when it names none
	id     uuid.UUID // that the path names; zero when it names none

	fault FaultKind     // the fault that the request met, if any
	wait  time.Duration // before the answer is sent
	drop  bool          // close the connection instead of answering
}

func (c *call) recordURL(t *table, id uuid.UUID) string {
	return c.base + c.root + t.set + "(" + id.String() + ")"
}

// serveData answers one Web API request and logs it.
func (s *Sandbox) serveData(w http.ResponseWriter, r *http.Request, base, path string) {
	c := &call{r: r, base: base}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	c.body = body
	var a answer
	if err == nil {
		a, err = s.data(c, path)
	} else {
		err = badRequest("The body could not be read: %v", err)
	}
	if err != nil {
		a = failed(err)
	}
	if a.table == nil {
		a.table, a.id = c.table, c.id
	}
	s.log.add(s.opts.Now(), path, c, a)
	if c.wait > 0 {
		select {
		case <-time.After(c.wait):
		case <-r.Context().Done():
		}
	}
	if c.drop {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	maps.Copy(w.Header(), a.header)
	w.Header().Set("OData-Version", "4.0")
	w.Header().Set("x-ms-service-request-id", uuid.NewString())
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // fails when the client has gone away
}

// failed turns any error into an answer. An error that is not a refusal is a defect of the sandbox.
func failed(err error) answer {
	if e, ok := errors.AsType[*refusal](err); ok {
		return e.answer()
	}
	return refuse(http.StatusInternalServerError, "0x80040216", "An unexpected error occurred. (%v)", err).answer()
}

var rootPath = regexp.MustCompile(`^/api/data/v9\.[0-9]+/`)

// data checks version and token, then answers through the faults in force.
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
	return s.faults.apply(c, func() (answer, error) {
		if err := checkHeader(c.r.Header); err != nil {
			return answer{}, err
		}
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
	})
}

// checkHeader refuses the headers that would change the answer of Dynamics, but not the sandbox's: impersonation, and those
// that begin with MSCRM. Duplicate detection is always suppressed.
func checkHeader(h http.Header) error {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		value := h.Get(name)
		switch lower := strings.ToLower(name); {
		case lower == "mscrm.suppressduplicatedetection" && strings.EqualFold(value, "true"):
		case lower == "mscrm.suppressduplicatedetection":
			return unsupported("duplicate detection (MSCRM.SuppressDuplicateDetection: " + clip([]byte(value)) + ")")
		case lower == "callerobjectid":
			return unsupported("impersonation (CallerObjectId)")
		case lower == "mscrmcallerid":
			return unsupported("impersonation (MSCRMCallerID)")
		case strings.HasPrefix(lower, "mscrm"):
			return unsupported("the header " + name)
		}
	}
	return nil
}

// resource answers for a set of records or one record.
func (s *Sandbox) resource(c *call, key, rest string) (answer, error) {
	t, method := c.table, c.r.Method
	if rest != "" {
		return answer{}, unsupported("'" + rest + "' below " + t.set)
	}
	if method != http.MethodGet && c.r.URL.RawQuery != "" {
		return answer{}, unsupported("query options of a " + method)
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

// function answers requests that are not for a set of records: functions, actions and metadata.
func (s *Sandbox) function(c *call, segment, rest string) (answer, error) {
	name, _, _ := strings.Cut(segment, "(")
	switch name {
	case "EntityDefinitions":
		return s.metadata(c, segment, rest)
	case "WhoAmI":
		return c.result("WhoAmIResponse", "BusinessUnitId", derive("businessunit", s.opts.Name), "UserId", s.userID, "OrganizationId", s.organizationID)
	case "RetrieveVersion":
		return c.result("RetrieveVersionResponse", "Version", orgVersion)
	case "ApplyRecordCreationAndUpdateRule":
		if c.r.Method != http.MethodPost {
			return answer{}, wrongMethod(c.r.Method)
		}
		return s.applyRules(c)
	case "", "$metadata", "$batch", "RelationshipDefinitions", "GlobalOptionSetDefinitions", "RetrieveTotalRecordCount", "CreateMultiple",
		"appmodules", "teams", "activityparties", "queueitems":
		return answer{}, unsupported("'" + segment + "'")
	}
	return answer{}, noSegment(name)
}

// result answers a function with the members of its response type, given as names and values.
func (c *call) result(typ string, members ...any) (answer, error) {
	if c.r.Method != http.MethodGet {
		return answer{}, wrongMethod(c.r.Method)
	}
	if c.r.URL.RawQuery != "" {
		return answer{}, unsupported("query options of a function")
	}
	b := appendMember([]byte("{"), "@odata.context", c.base+c.root+"$metadata#Microsoft.Dynamics.CRM."+typ)
	for i := 0; i+1 < len(members); i += 2 {
		b = appendMember(b, members[i].(string), members[i+1])
	}
	return answer{status: http.StatusOK, body: append(b, '}'), header: http.Header{"Content-Type": {contentType}}}, nil
}
