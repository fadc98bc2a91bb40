package sandbox

import (
	"slices"
	"strings"

	"github.com/google/uuid"
)

// store holds the records of one organization, without any checks. The Sandbox's mutex guards it: find, load and rows need it
// for reading, insert, replace and remove for writing. Values that load returns are a copy, which the caller may change and give
// to replace.
type store struct {
	schema  *schema
	tables  []*rows
	version int64 // of the latest write or delete, in the whole organization; ETags and versionnumber show it
}

// rows are the records of one table in the order of their creation. A position in all is never reused and never moves, so that
// the maps can hold positions and Sandbox.Records can go on after a write. A record that is created again gets a new position.
type rows struct {
	all  []row // a deleted row keeps its place, without data
	live int   // rows that are not deleted
	byID map[uuid.UUID]int32
	// index finds rows by a text column, folded as comparisons fold it; positions ascend.
	index map[*column]map[string][]int32
}

// row is one record as it is stored. A deleted one has no data.
type row struct {
	id      uuid.UUID
	version int64
	data    []byte // packed; replaced, never changed in place, so that it can be read after the lock is released
}

func newStore(s *schema) *store {
	st := &store{schema: s, version: 1_000_000}
	for _, t := range s.tables {
		r := &rows{byID: map[uuid.UUID]int32{}, index: map[*column]map[string][]int32{}}
		for _, name := range t.indexed {
			r.index[t.byName[name]] = map[string][]int32{}
		}
		st.tables = append(st.tables, r)
	}
	return st
}

func (st *store) rows(t *table) *rows { return st.tables[t.ordinal] }

// find returns a record as it is stored.
func (st *store) find(t *table, id uuid.UUID) (row, bool) {
	r := st.rows(t)
	at, ok := r.byID[id]
	if !ok {
		return row{}, false
	}
	return r.all[at], true
}

// load returns the columns of a record.
func (st *store) load(t *table, id uuid.UUID) (values, bool) {
	r, ok := st.find(t, id)
	if !ok {
		return nil, false
	}
	return st.values(t, r), true
}

// values unpacks a row. The version is that of the row: packed data holds none, or that of an earlier write.
func (st *store) values(t *table, r row) values {
	v := st.schema.unpack(t, r.data)
	v[t.byName["versionnumber"].ordinal] = r.version
	return v
}

// insert adds a record. The caller has checked that its id is free. Texts that are null are not in an index.
func (st *store) insert(t *table, id uuid.UUID, v values) {
	r := st.rows(t)
	st.version++
	at := int32(len(r.all))
	r.all = append(r.all, row{id: id, version: st.version, data: t.pack(v)})
	r.byID[id] = at
	r.live++
	for c, index := range r.index {
		if s, ok := v[c.ordinal].(string); ok {
			index[fold(s)] = append(index[fold(s)], at)
		}
	}
}

// replace overwrites an existing record under a new version. It keeps its position, so answers without $orderby stay in the order
// of creation.
func (st *store) replace(t *table, id uuid.UUID, v values) {
	r := st.rows(t)
	at := r.byID[id]
	st.unindex(t, at)
	st.version++
	r.all[at] = row{id: id, version: st.version, data: t.pack(v)}
	for c, index := range r.index {
		if s, ok := v[c.ordinal].(string); ok {
			list := index[fold(s)]
			i, _ := slices.BinarySearch(list, at)
			index[fold(s)] = slices.Insert(list, i, at)
		}
	}
}

// remove deletes a record and what cascades: the activities of a profile go with it, other lookups to it become empty. It reports
// whether there was such a record.
func (st *store) remove(t *table, id uuid.UUID) bool {
	r := st.rows(t)
	at, ok := r.byID[id]
	if !ok {
		return false
	}
	st.unindex(t, at)
	delete(r.byID, id)
	r.all[at] = row{id: id}
	r.live--
	st.version++
	st.release(t, id)
	return true
}

// release empties the lookups to a record that is gone, and deletes the activities of a profile that is gone. There is no index of
// lookups: it unpacks every record of each table that has a lookup to this one, because deletes are rare. A record whose lookup
// is emptied gets a new version, but keeps its modifiedon.
func (st *store) release(gone *table, id uuid.UUID) {
	for _, t := range st.schema.tables {
		var lookups []*column
		for i := range t.columns {
			if t.columns[i].nav(gone.name) != "" {
				lookups = append(lookups, &t.columns[i])
			}
		}
		if len(lookups) == 0 {
			continue
		}
		for _, other := range st.rows(t).all {
			if other.data == nil {
				continue
			}
			v := st.schema.unpack(t, other.data)
			touched := false
			for _, c := range lookups {
				if ref, ok := v[c.ordinal].(reference); ok && ref.id == id && ref.table == gone {
					v[c.ordinal], touched = nil, true
				}
			}
			switch {
			case touched && gone.name == "socialprofile" && t.activity():
				st.remove(t, other.id)
			case touched:
				st.replace(t, other.id, v)
			}
		}
	}
}

// unindex takes a row out of the indexes of its table. It must come before the row's data is replaced: the data is where the
// indexed texts are found. A text without rows is removed from the index, or an index would grow with every text ever stored.
func (st *store) unindex(t *table, at int32) {
	r := st.rows(t)
	if len(r.index) == 0 {
		return
	}
	v := st.schema.unpack(t, r.all[at].data)
	for c, index := range r.index {
		s, ok := v[c.ordinal].(string)
		if !ok {
			continue
		}
		list := index[fold(s)]
		if i, found := slices.BinarySearch(list, at); found {
			list = slices.Delete(list, i, i+1)
		}
		if len(list) == 0 {
			delete(index, fold(s))
		} else {
			index[fold(s)] = list
		}
	}
}

// fold is how the organization compares text: without regard to case. It stands for the collation of the database; accents count.
func fold(s string) string { return strings.ToLower(s) }
