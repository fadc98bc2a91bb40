package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Request is one Web API request with its answer, as the log keeps it. Refused requests are logged like others, also those
// without a token and those to an address where nothing is.
type Request struct {
	Time   time.Time `json:"time"` // by Options.Now, when the answer was decided, in UTC
	Method string    `json:"method"`
	Path   string    `json:"path"`            // without the instance's prefix and the query
	Query  string    `json:"query,omitempty"` // as sent, encoded
	// Header holds Prefer, If-Match, If-None-Match, CallerObjectId and those that begin with MSCRM. Authorization is "present"
	// when one was sent, whatever it was. Requests share this map: do not change it.
	Header  http.Header `json:"header,omitempty"`
	Body    string      `json:"body,omitempty"`     // as sent
	BodyCut bool        `json:"body_cut,omitempty"` // bytes of the body are missing: it is long, or the log holds many later ones
	Table   string      `json:"table,omitempty"`    // logical name
	ID      string      `json:"id,omitempty"`       // of the record named or created
	// Status is that of the answer; with FaultDrop, of the answer that was not sent; with FaultDropBefore it is 0.
	Status int    `json:"status"`
	Code   string `json:"code,omitempty"` // error code
	// Created says that this request made the record, which neither a 204 to a PATCH nor the 412 of FaultRace shows.
	Created bool      `json:"created,omitempty"`
	Fault   FaultKind `json:"fault,omitempty"` // that the request met
}

const (
	maxLoggedBody   = 16 << 10 // bytes kept of one body
	maxLoggedBodies = 32 << 20 // bytes kept of all bodies; the oldest bodies are dropped first
)

// journal is the log. Entries are small, since a demo makes tens of thousands. Entries are never removed; only the bodies of the
// oldest are dropped.
type journal struct {
	mu      sync.Mutex // guards what follows; entries are in the order in which they got it
	entries []entry
	headers map[string]http.Header // each combination of headers once
	held    int                    // bytes of all bodies
	oldest  int                    // entries before it have lost their body
}

// entry is a Request in little memory: path, headers and table are shared between entries where they are usually the same.
type entry struct {
	at      int64 // Unix nanoseconds
	id      uuid.UUID
	table   *table
	method  string
	path    string // empty when table and id say it
	query   string
	header  http.Header
	body    string
	code    string
	fault   FaultKind
	status  int16
	created bool
	cut     bool // the body is not whole
}

func newJournal() *journal { return &journal{headers: map[string]http.Header{}} }

// usualRoot is the root of the paths that the journal does not store.
const usualRoot = "/api/data/v9.2/"

// recordPath is the path of nearly every write. The journal builds it from table and id when somebody reads the log.
func recordPath(t *table, id uuid.UUID) string { return usualRoot + t.set + "(" + id.String() + ")" }

// add logs a request. The path of a record is left out and that of a set is shared, see entry. A body beyond maxLoggedBody is
// cut, and while all bodies together exceed maxLoggedBodies the oldest that is left is dropped; oldest only moves forward, so
// an add costs the same however long the log is.
func (j *journal) add(at time.Time, path string, c *call, a answer) {
	e := entry{at: at.UnixNano(), id: a.id, table: a.table, method: c.r.Method, path: path, query: c.r.URL.RawQuery,
		body: string(c.body[:min(len(c.body), maxLoggedBody)]), code: a.code, fault: c.fault, status: int16(a.status), created: a.created}
	e.cut = len(e.body) < len(c.body)
	switch {
	case e.table == nil:
	case path == usualRoot+e.table.set:
		e.path = e.table.setPath
	case path == recordPath(e.table, e.id):
		e.path = ""
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	e.header = j.header(c.r.Header)
	j.entries = append(j.entries, e)
	for j.held += len(e.body); j.held > maxLoggedBodies; j.oldest++ {
		old := &j.entries[j.oldest]
		if old.body != "" {
			j.held -= len(old.body)
			old.body, old.cut = "", true
		}
	}
}

// header returns the headers of a request that the log keeps: those that change what a request means. Equal sets share one map,
// which nobody may change. net/http has made the names canonical, hence Callerobjectid and Mscrm. The caller holds the lock.
func (j *journal) header(sent http.Header) http.Header {
	var key strings.Builder
	kept := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		switch {
		case name == "Authorization":
			kept[name] = []string{"present"}
		case name == "Prefer", name == "If-Match", name == "If-None-Match", name == "Callerobjectid", strings.HasPrefix(name, "Mscrm"):
			kept[name] = sent[name]
		default:
			continue
		}
		key.WriteString(name + ": " + strings.Join(kept[name], "\n") + "\n")
	}
	if h, ok := j.headers[key.String()]; ok {
		return h
	}
	j.headers[key.String()] = kept
	return kept
}

// request is the entry as callers see it.
func (e *entry) request() Request {
	r := Request{Time: time.Unix(0, e.at).UTC(), Method: e.method, Path: e.path, Query: e.query, Header: e.header, Body: e.body, BodyCut: e.cut,
		Status: int(e.status), Code: e.code, Created: e.created, Fault: e.fault}
	if e.table != nil {
		r.Table = e.table.name
		if e.id != (uuid.UUID{}) {
			r.ID = e.id.String()
		}
		if e.path == "" {
			r.Path = recordPath(e.table, e.id)
		}
	}
	return r
}

// Requests returns every Web API request since the start, in the order in which their answers were decided; a slow answer is
// logged before its Delay. The slice is the caller's. It copies the whole log under its lock, which other requests wait for: call
// it when a scenario is over rather than in a loop.
func (s *Sandbox) Requests() []Request {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	list := make([]Request, len(s.log.entries))
	for i := range s.log.entries {
		list[i] = s.log.entries[i].request()
	}
	return list
}

func (j *journal) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.entries)
}
