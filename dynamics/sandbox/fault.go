package sandbox

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// FaultKind is one way in which a request can go wrong. The zero value is no kind: AddFault refuses it.
type FaultKind string

// The kinds of fault. Unless said otherwise the request is refused before it has any effect. Microsoft lists the codes in "Web
// service error codes"; the texts of the three 429s are in "Service protection API limits".
const (
	FaultThrottleRequests    FaultKind = "throttle_requests"    // 429 0x80072322: too many requests
	FaultThrottleTime        FaultKind = "throttle_time"        // 429 0x80072321: too much execution time
	FaultThrottleConcurrency FaultKind = "throttle_concurrency" // 429 0x80072326: too many at once
	FaultStatus              FaultKind = "status"               // Status (500 when zero) with Code and Message as Dynamics' error document
	FaultGateway             FaultKind = "gateway"              // Status (502 when zero) with an HTML page
	FaultUnavailable         FaultKind = "unavailable"          // 503 with an empty body, and Retry-After when set
	FaultForbidden           FaultKind = "forbidden"            // 403 0x80040220: a privilege is missing
	FaultUnauthorized        FaultKind = "unauthorized"         // 401, whatever the token
	FaultHTML                FaultKind = "html"                 // 200 with a page, as a captive proxy answers
	FaultLogin               FaultKind = "login"                // 302 to a login page
	FaultDuplicateDetection  FaultKind = "duplicate_detection"  // Status (500 when zero) with 0x80040333
	FaultDeadBind            FaultKind = "dead_bind"            // 404 0x80040217: the bound contact is gone
	FaultDrop                FaultKind = "drop"                 // the request takes effect, then the connection closes without an answer
	FaultDropBefore          FaultKind = "drop_before"          // the connection closes without any effect
	FaultRace                FaultKind = "race"                 // the request takes effect, but the answer is 412 0x80040237, as for the loser of a race
	FaultSlow                FaultKind = "slow"                 // the request takes effect, the answer comes after Delay
)

// Fault makes requests fail. A request meets the first fault that matches it, in the order in which they were added, and no
// other. Only requests of the Web API with a valid token meet faults. To create one social activity a client sends several
// requests (it looks for the author's profile and may make contact and profile), so a test that means one of them sets Path.
//
// Times counts exactly, also for requests at the same time: with Times 1 one of them fails.
type Fault struct {
	ID     int       `json:"id"` // given by AddFault
	Kind   FaultKind `json:"kind"`
	Method string    `json:"method,omitempty"` // any when empty
	Path   string    `json:"path,omitempty"`   // regular expression found in the path below /api/data/v9.2/, without query; any when empty
	Times  int       `json:"times,omitempty"`  // requests that fail, after which the fault is gone; no end when zero

	// RetryAfter is in seconds; no header when zero. It goes with every kind that refuses the request, and not with slow, drop,
	// drop_before and race. Status, Code and Message matter only to the kinds that name them.
	RetryAfter int           `json:"retry_after,omitempty"`
	Status     int           `json:"status,omitempty"`
	Code       string        `json:"code,omitempty"`
	Message    string        `json:"message,omitempty"`
	Delay      time.Duration `json:"delay,omitempty"` // nanoseconds, before the answer, with any kind
}

var kindsOfFault = []FaultKind{FaultThrottleRequests, FaultThrottleTime, FaultThrottleConcurrency, FaultStatus, FaultGateway, FaultUnavailable,
	FaultForbidden, FaultUnauthorized, FaultHTML, FaultLogin, FaultDuplicateDetection, FaultDeadBind, FaultDrop, FaultDropBefore, FaultRace, FaultSlow}

// faults are the faults in force. Their mutex is held to choose a fault, never while a request is answered.
type faults struct {
	mu     sync.Mutex // guards what follows, and the counts in list
	list   []*armed   // in the order in which they were added
	lastID int        // ids are never used twice, also after ClearFaults
}

// armed is a fault with its compiled path and its count.
type armed struct {
	Fault
	path   *regexp.Regexp
	failed int // requests that met it
}

// AddFault puts a fault in force for requests from now on and returns its id, a number from 1. It returns an error, and changes
// nothing, for an unknown kind, a negative number, a status outside of 200-599 and a path that does not compile.
func (s *Sandbox) AddFault(fault Fault) (int, error) {
	if !slices.Contains(kindsOfFault, fault.Kind) {
		return 0, fmt.Errorf("add fault: there is no kind %q; there are %v", fault.Kind, kindsOfFault)
	}
	if fault.Times < 0 || fault.Delay < 0 || fault.RetryAfter < 0 {
		return 0, fmt.Errorf("add fault: times, delay and retry_after cannot be negative")
	}
	if fault.Status != 0 && (fault.Status < 200 || fault.Status > 599) {
		return 0, fmt.Errorf("add fault: %d is not a final HTTP status", fault.Status)
	}
	path, err := regexp.Compile(fault.Path)
	if err != nil {
		return 0, fmt.Errorf("add fault: path: %w", err)
	}
	f := s.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastID++
	fault.ID = f.lastID
	f.list = append(f.list, &armed{Fault: fault, path: path})
	return fault.ID, nil
}

// ClearFaults removes all faults. Requests that have met one already, such as those that wait for its Delay, go on with it.
func (s *Sandbox) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = nil
}

// next returns the fault that a request meets, if any, and counts it. Finding and counting are one step under the lock, so that
// Times is exact.
func (f *faults) next(method, path string) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, a := range f.list {
		if a.Method != "" && a.Method != method || !a.path.MatchString(path) {
			continue
		}
		a.failed++
		if a.Times > 0 && a.failed >= a.Times {
			f.list = slices.Delete(f.list, i, i+1)
		}
		return a.Fault, true
	}
	return Fault{}, false
}

// apply answers a request through the fault that it meets; run answers it without a fault. Only slow, drop and race call run: the
// request takes effect although the client may not learn it, which is what tests of exactly-once delivery need. All other kinds
// refuse before any effect. What run itself refuses is refused: a race answers with that refusal, and a drop hides it.
func (f *faults) apply(c *call, run func() (answer, error)) (answer, error) {
	fault, ok := f.next(c.r.Method, c.path)
	if !ok {
		return run()
	}
	c.fault, c.wait = fault.Kind, fault.Delay
	switch fault.Kind {
	case FaultSlow:
		return run()
	case FaultDrop, FaultDropBefore:
		c.drop = true
		if fault.Kind == FaultDropBefore {
			return answer{}, refuse(0, "", "dropped")
		}
		return run()
	case FaultRace:
		a, err := run()
		if err != nil {
			return answer{}, err
		}
		lost := duplicate().answer()
		lost.table, lost.id, lost.created = a.table, a.id, a.created
		return lost, nil
	}
	e := fault.refusal(c)
	if fault.RetryAfter > 0 {
		if e.header == nil {
			e.header = http.Header{}
		}
		e.header.Set("Retry-After", strconv.Itoa(fault.RetryAfter))
	}
	return answer{}, e
}

const page = "<!DOCTYPE html>\n<html><head><title>%d</title></head><body><h1>%s</h1></body></html>\n"

// refusal is the answer of the kinds that refuse. The 429s carry the texts of Dynamics; what stands in front of it (a gateway, a
// captive proxy, a login) answers with HTML instead of the Web API's error document, which a client must not take for success.
func (f Fault) refusal(c *call) *refusal {
	status := func(usual int) int {
		if f.Status != 0 {
			return f.Status
		}
		return usual
	}
	html := func(status int, title string) *refusal {
		e := refuse(status, "", "%s", title)
		e.body = fmt.Appendf(nil, page, status, title)
		e.header = http.Header{"Content-Type": {"text/html; charset=utf-8"}}
		return e
	}
	switch f.Kind {
	case FaultThrottleRequests:
		return refuse(http.StatusTooManyRequests, "0x80072322", "Number of requests exceeded the limit of 6000 over time window of 300 seconds.")
	case FaultThrottleTime:
		return refuse(http.StatusTooManyRequests, "0x80072321", "Combined execution time of incoming requests exceeded limit of 1,200,000  milliseconds over "+
			"time window of 300 seconds. Decrease number of concurrent requests or reduce the duration of requests and try again later.")
	case FaultThrottleConcurrency:
		return refuse(http.StatusTooManyRequests, "0x80072326", "Number of concurrent requests exceeded the limit of 52.")
	case FaultGateway:
		code := status(http.StatusBadGateway)
		return html(code, http.StatusText(code))
	case FaultHTML:
		return html(http.StatusOK, "Please accept the terms of use")
	case FaultLogin:
		e := html(http.StatusFound, "Object moved")
		e.header.Set("Location", c.base+"/common/oauth2/authorize?response_type=code")
		return e
	case FaultUnavailable:
		e := refuse(http.StatusServiceUnavailable, "", "")
		e.body = []byte{}
		return e
	case FaultForbidden:
		return refuse(http.StatusForbidden, "0x80040220", "Principal user is missing prvCreateActivity privilege.")
	case FaultUnauthorized:
		return unauthorized(c.base)
	case FaultDuplicateDetection:
		return refuse(status(http.StatusInternalServerError), "0x80040333", "A record was not created or updated because a duplicate of the current record already exists.")
	case FaultDeadBind:
		return refuse(http.StatusNotFound, codeMissing, "contact With Id = %s Does Not Exist", derive("dead", c.path))
	}
	return refuse(status(http.StatusInternalServerError), f.Code, "%s", f.Message)
}
