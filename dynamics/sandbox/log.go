package sandbox

import (
	"encoding/json"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Request is one Web API request as the organization answered it. The log only grows, so it can serve as a witness.
type Request struct {
	Time    time.Time `json:"time"`
	Method  string    `json:"method"`
	Path    string    `json:"path"`            // without the instance's prefix and the query
	Table   string    `json:"table,omitempty"` // logical name
	ID      string    `json:"id,omitempty"`    // of the record named or created
	Status  int       `json:"status"`          // answered; with a dropped connection the one that the client did not see
	Code    string    `json:"code,omitempty"`  // error code
	Created bool      `json:"created,omitempty"`
	Fault   FaultKind `json:"fault,omitempty"` // that the request met
}

// journal is the log. Entries are small, since a demo makes tens of thousands.
type journal struct {
	mu      sync.Mutex
	entries []entry
}

type entry struct {
	at      int64 // Unix nanoseconds
	id      uuid.UUID
	table   *table
	method  string
	path    string // empty when table and id say it
	code    string
	fault   FaultKind
	status  int16
	created bool
}

// usualRoot is the root whose record paths the journal does not store.
const usualRoot = "/api/data/v9.2/"

func recordPath(t *table, id uuid.UUID) string { return usualRoot + t.set + "(" + id.String() + ")" }

func (j *journal) add(at time.Time, method, path string, a answer) {
	e := entry{at: at.UnixNano(), id: a.id, table: a.table, method: method, path: path, code: a.code, fault: a.fault,
		status: int16(a.status), created: a.created}
	switch {
	case e.table == nil:
	case path == usualRoot+e.table.set:
		e.path = e.table.setPath
	case path == recordPath(e.table, e.id):
		e.path = ""
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = nil
}

// all returns the entries of this moment; they are never changed, so they can be read without the lock.
func (j *journal) all() []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clip(j.entries)
}

func (e entry) request() Request {
	r := Request{Time: time.Unix(0, e.at).UTC(), Method: e.method, Path: e.path, Status: int(e.status), Code: e.code, Created: e.created, Fault: e.fault}
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

// Requests returns every Web API request since the start or the last reset, in the order of their answers.
func (s *Sandbox) Requests() []Request {
	entries := s.log.all()
	list := make([]Request, len(entries))
	for i, e := range entries {
		list[i] = e.request()
	}
	return list
}

// Record is a stored record, as `postlink demo --records` prints it.
type Record struct {
	Instance string          `json:"instance"`
	Table    string          `json:"table"` // logical name: socialactivity
	ID       uuid.UUID       `json:"id"`
	Record   json.RawMessage `json:"record"` // every column as the Web API answers it, lookups with their logical names
}

// Records yields the records of a table, by its logical name, in the order of their creation. Records written meanwhile may or may not
// be among them; each is consistent in itself.
func (s *Sandbox) Records(name string) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		t := s.schema.byName[name]
		if t == nil {
			return
		}
		for at := 0; ; at++ {
			s.mu.RLock()
			rows := s.store.rows(t).all
			if at >= len(rows) {
				s.mu.RUnlock()
				return
			}
			r := rows[at]
			s.mu.RUnlock()
			if r.data != nil && !yield(Record{s.opts.Name, t.name, r.id, s.plain(t, r)}) {
				return
			}
		}
	}
}

// Snapshot yields the records of all tables that clients write.
func (s *Sandbox) Snapshot() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for _, t := range s.schema.tables {
			if t.system {
				continue
			}
			for r := range s.Records(t.name) {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// plain renders a record without ETag.
func (s *Sandbox) plain(t *table, r row) json.RawMessage {
	v := s.schema.unpack(t, r.data)
	v[t.byName["versionnumber"].ordinal] = r.version
	b := []byte("{")
	for i, value := range v {
		name := t.columns[i].wire()
		if ref, ok := value.(reference); ok {
			b = appendMember(b, name+"@"+lookupTable, ref.table.name)
		}
		b = appendMember(b, name, value)
	}
	return append(b, '}')
}

// Count returns how many records a table holds, by its logical name; 0 for an unknown one.
func (s *Sandbox) Count(name string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.schema.byName[name]; t != nil {
		return s.store.rows(t).live
	}
	return 0
}

// Duplicates returns how many social activities there are beyond the first of each community and postid. Activities without a postid
// are not compared.
func (s *Sandbox) Duplicates() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.schema.byName["socialactivity"]
	rows := s.store.rows(t)
	community, postID := t.byName["community"], t.byName["postid"]
	n := 0
	for _, positions := range rows.index[postID] {
		if len(positions) < 2 {
			continue
		}
		type post struct{ community, id any }
		seen := map[post]bool{}
		for _, at := range positions {
			v := s.schema.unpack(t, rows.all[at].data)
			p := post{v[community.ordinal], v[postID.ordinal]}
			if seen[p] {
				n++
			}
			seen[p] = true
		}
	}
	return n
}
