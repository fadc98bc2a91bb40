package sandbox

import (
	"encoding/json"
	"iter"

	"github.com/google/uuid"
)

// Record is a stored record, as `postlink demo --records` prints it. It is a copy: it does not change with the sandbox.
type Record struct {
	Instance string          `json:"instance"`
	Table    string          `json:"table"` // logical name: socialactivity
	ID       uuid.UUID       `json:"id"`
	Record   json.RawMessage `json:"record"` // every column as the Web API answers it, lookups with their logical names
}

// Records yields the records of a table, by its logical name, in the order of their creation; none for an unknown name. Records
// that are written meanwhile may or may not be among them, and one that is deleted and created again may come twice; each one is
// consistent in itself. No lock is held while the caller has a record, so the loop may use the sandbox and may be left early.
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

// Snapshot yields the records of all tables that clients write, one table after the other, each as Records does. It is not one
// moment of the organization while requests run.
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

// plain renders a record with every column, and for lookups the name of their table, but without an ETag. It reads only the row
// and the schema, and needs no lock.
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

// Count returns how many records a table holds now, by its logical name; 0 for an unknown one. Deleted records do not count.
func (s *Sandbox) Count(name string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.schema.byName[name]; t != nil {
		return s.store.rows(t).live
	}
	return 0
}

// Duplicates returns how many social activities there are beyond the first of each community and postid. Activities without a
// postid are not compared, and ids are compared exactly. It counts records, not requests: a test that sends each post once wants
// 0, while a post that a person links again after removing its link makes a second activity on purpose.
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
