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

// answer is a response that has not been written yet, with what the log records of it. It exists apart from the
// http.ResponseWriter because a fault may replace, delay or drop it after the request has taken effect.
type answer struct {
	status int // 0 for a connection that is dropped before any effect
	header http.Header
	body   []byte

	table   *table    // of the record; nil leaves it to what the path names
	id      uuid.UUID // of the record; zero for answers about several
	code    string    // error code, also in the body
	created bool      // the request made the record, even where the answer hides it (FaultRace)
}

// call is one Web API request. It belongs to the goroutine that serves it.
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

// serveData answers one Web API request and logs it. The answer is decided and logged first, then a fault's Delay passes, then
// the answer is sent; the other order would let a client read the log before its own request is in it. A Delay ends early when
// the client goes away.
//
// A dropped connection is a panic with http.ErrAbortHandler, on which net/http closes the connection and logs nothing. It needs
// a real server: with an httptest.ResponseRecorder the panic reaches the test.
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

// rootPath accepts every minor version of v9, since on-premises organizations have older ones than v9.2. Answers repeat the
// version that was asked for.
var rootPath = regexp.MustCompile(`^/api/data/v9\.[0-9]+/`)

// data checks version and token, then answers through the faults in force. It reads table and id from the path first, so that
// the log names the record of a request that is refused, too. The token comes before the faults: a request without a valid one
// is 401 and uses up no fault. Headers and query come after them, as a gateway or a limit does not read them.
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

// resource answers for a set of records or one record. Key is what follows the set in its segment, with parentheses, and rest
// what follows the segment. Only the GUID of a record is a key here: alternate keys are 501.
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

// function answers requests that are not for a set of records: functions, actions and metadata. Names that exist in Dynamics and
// that a client might try are 501; a name that we do not know is 404, as in an organization where the app that brings it is not
// installed.
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

// result answers a function with the members of its response type, given as names and values in turn; names are strings, values
// those that appendValue knows.
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
