package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// record is a record as filters see it. The lock must be held while it is used, because a path reads other records of the store.
type record struct {
	store  *store
	table  *table
	values values
}

// field follows a path through lookups. It is nil where a lookup is empty or points to another table. The name was checked when
// the filter, order or rule was read; a name that the table lacks would panic.
func (r record) field(name string) any {
	if nav, rest, path := strings.Cut(name, "/"); path {
		to := r.table.byNav[nav]
		ref, _ := r.values[to.column.ordinal].(reference)
		if ref.table == nil || ref.table.name != to.target {
			return nil
		}
		v, ok := r.store.load(ref.table, ref.id)
		if !ok {
			return nil
		}
		return record{r.store, ref.table, v}.field(rest)
	}
	switch v := r.values[r.table.byWire[name].ordinal].(type) {
	case reference:
		return v.id
	default:
		return v
	}
}

// resolve returns the type of a property of a table's records, which may be a path through single-valued lookups.
func (s *schema) resolve(t *table, name string) (kind, error) {
	nav, rest, path := strings.Cut(name, "/")
	if path {
		to, ok := t.byNav[nav]
		switch {
		case !ok:
			return 0, noProperty(nav, t.name)
		case to.column.kind == kindOwner: // a user or a team, of which only the key is common
			return 0, noProperty(rest, "principal")
		}
		return s.resolve(s.byName[to.target], rest)
	}
	col := t.byWire[name]
	switch {
	case col == nil:
		return 0, noProperty(name, t.name)
	case col.kind == kindMultiSelect:
		return 0, unsupported("filters on several choices (" + name + ")")
	}
	return col.kind, nil
}

// one answers GET on a record: 200 with its ETag, or 304 when If-None-Match names the version that it has.
func (s *Sandbox) one(c *call, t *table, id uuid.UUID) (answer, error) {
	none := c.r.Header.Get("If-None-Match")
	conditional := none != "" && none != "null"
	switch q := c.query; {
	case c.r.Header.Get("If-Match") != "":
		return answer{}, unsupported("If-Match on a GET")
	case conditional && !isETag(none):
		return answer{}, unsupported("If-None-Match: " + clip([]byte(none)) + " on a GET")
	case q.filter != "" || q.orderBy != "" || q.top >= 0:
		return answer{}, unsupported("$filter, $orderby and $top on one record")
	}
	sel, err := c.selection(t)
	if err != nil {
		return answer{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.store.find(t, id)
	if !ok {
		return answer{}, missing(t, id)
	}
	a := answer{status: http.StatusOK, table: t, id: id, header: c.prefer.header()}
	a.header.Set("ETag", etag(r.version))
	// Annotations may show other records, whose changes an ETag does not cover: with them the answer is never 304.
	if none == etag(r.version) && !c.prefer.annotated {
		a.status = http.StatusNotModified
		return a, nil
	}
	b := appendMember([]byte("{"), "@odata.context", c.context(t)+"/$entity")
	a.body = append(s.appendRecord(b, t, r, sel, c.prefer), '}')
	return a, nil
}

// context is the @odata.context of answers about a table, which repeats the $select.
func (c *call) context(t *table) string {
	context := c.base + c.root + "$metadata#" + t.set
	if c.query.sel != nil {
		context += "(" + strings.Join(c.query.sel, ",") + ")"
	}
	return context
}

// maxPage is how many records one answer of Dynamics holds at most.
const maxPage = 5000

// list answers GET on a set, with $select, $filter, $orderby and $top. Dynamics cuts long answers into pages; the sandbox
// refuses to make them. It searches and renders under the lock for reading, so an answer shows one moment of the organization,
// and writes wait for it.
func (s *Sandbox) list(c *call, t *table) (answer, error) {
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if v := c.r.Header.Get(name); v != "" && v != "null" {
			return answer{}, unsupported(name + " on a GET of a set")
		}
	}
	sel, err := c.selection(t)
	if err != nil {
		return answer{}, err
	}
	order, err := parseOrder(c.query.orderBy, t)
	if err != nil {
		return answer{}, err
	}
	var f filter
	if c.query.filter != "" {
		f, err = parseFilter(c.query.filter, func(name string) (kind, error) { return s.schema.resolve(t, name) })
		if err != nil {
			return answer{}, err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := s.search(t, f, order)
	if c.query.top >= 0 {
		found = found[:min(c.query.top, len(found))]
	}
	if len(found) > maxPage {
		return answer{}, unsupported(fmt.Sprintf("answers of several pages (%d records; $top may be up to %d)", len(found), maxPage))
	}

	b := appendMember([]byte("{"), "@odata.context", c.context(t))
	b = append(b, `,"value":[`...)
	for i, r := range found {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = s.appendRecord(b, t, r, sel, c.prefer)
		b = append(b, '}')
	}
	return answer{status: http.StatusOK, table: t, body: append(b, "]}"...), header: c.prefer.header()}, nil
}

// ordering is one item of a $orderby.
type ordering struct {
	column     *column
	descending bool
}

// parseOrder reads a $orderby: columns, each with asc or desc, or neither.
func parseOrder(src string, t *table) ([]ordering, error) {
	if src == "" {
		return nil, nil
	}
	var order []ordering
	for part := range strings.SplitSeq(src, ",") {
		words := strings.Fields(part)
		if len(words) == 0 || len(words) > 2 || len(words) == 2 && words[1] != "asc" && words[1] != "desc" {
			return nil, badRequest("Syntax error in the $orderby '%s'.", clip([]byte(src)))
		}
		col := t.byWire[words[0]]
		nav, _, path := strings.Cut(words[0], "/")
		switch _, known := t.byNav[nav]; {
		case path && known:
			return nil, unsupported("$orderby through lookups (" + clip([]byte(words[0])) + ")")
		case col == nil:
			return nil, noProperty(words[0], t.name)
		case col.kind == kindMultiSelect:
			return nil, unsupported("$orderby of several choices (" + col.name + ")")
		}
		order = append(order, ordering{col, len(words) == 2 && words[1] == "desc"})
	}
	return order, nil
}

// search returns the rows that match a filter, in the order asked for. Ties, and rows without an order, are in the order of
// their creation. The caller holds the lock. Without an index to help, it unpacks each record of the table; $top does not shorten
// that. Sort keys are taken out once for each hit, since a comparison would otherwise unpack two records.
func (s *Sandbox) search(t *table, f filter, order []ordering) []row {
	type hit struct {
		row  row
		keys []any
	}
	rows := s.store.rows(t)
	var hits []hit
	visit := func(r row) {
		if r.data == nil {
			return
		}
		if f == nil && order == nil {
			hits = append(hits, hit{row: r})
			return
		}
		rec := record{s.store, t, s.store.values(t, r)}
		if f != nil && !f.match(rec) {
			return
		}
		h := hit{row: r}
		for _, o := range order {
			h.keys = append(h.keys, rec.field(o.column.wire()))
		}
		hits = append(hits, h)
	}
	if positions, ok := s.candidates(t, f); ok {
		for _, at := range positions {
			visit(rows.all[at])
		}
	} else {
		for _, r := range rows.all {
			visit(r)
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		for i, o := range order {
			if c := compare(a.keys[i], b.keys[i]); c != 0 {
				if o.descending {
					return -c
				}
				return c
			}
		}
		return 0
	})
	found := make([]row, len(hits))
	for i, h := range hits {
		found[i] = h.row
	}
	return found
}

// candidates returns the positions that an index has for a filter which demands that an indexed column equals a text; ok is
// false when the filter does not. Look-ups of profiles by author would otherwise read every profile.
func (s *Sandbox) candidates(t *table, f filter) ([]int32, bool) {
	if f == nil || len(t.indexed) == 0 {
		return nil, false
	}
	equal := map[string]string{}
	equalities(f, equal)
	for _, name := range t.indexed {
		if want, ok := equal[name]; ok {
			return s.store.rows(t).index[t.byName[name]][fold(want)], true
		}
	}
	return nil, false
}

const (
	formattedValue = "OData.Community.Display.V1.FormattedValue"
	lookupTable    = "Microsoft.Dynamics.CRM.lookuplogicalname"
	lookupNav      = "Microsoft.Dynamics.CRM.associatednavigationproperty"
)

// appendRecord writes the members of a record, without braces: its ETag, then the selected columns, each after its annotations.
// Annotations are written only when the Prefer header asks for them. Columns without a value are null.
func (s *Sandbox) appendRecord(b []byte, t *table, r row, sel []bool, p preferences) []byte {
	b = appendMember(b, "@odata.etag", etag(r.version))
	formatted, tables, navs := p.wants(formattedValue), p.wants(lookupTable), p.wants(lookupNav)
	for i, value := range s.store.values(t, r) {
		if sel != nil && !sel[i] {
			continue
		}
		col := &t.columns[i]
		name := col.wire()
		if ref, ok := value.(reference); ok {
			if navs {
				b = appendMember(b, name+"@"+lookupNav, col.nav(ref.table.name))
			}
			if tables {
				b = appendMember(b, name+"@"+lookupTable, ref.table.name)
			}
		}
		if formatted {
			if text, ok := s.format(col, value); ok {
				b = appendMember(b, name+"@"+formattedValue, text)
			}
		}
		b = appendMember(b, name, value)
	}
	return b
}

func appendMember(b []byte, name string, value any) []byte {
	return appendValue(appendName(b, name), value)
}

// appendName writes the name of an object's next member.
func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(appendText(b, name), ':')
}

// format returns a value as the application shows it to an American user in UTC; in Dynamics this depends on the settings of the
// user. Plain text and ids have no such form, nor has a lookup to a record without a name.
func (s *Sandbox) format(c *column, value any) (string, bool) {
	switch v := value.(type) {
	case int64:
		if ch, ok := c.choice(v); ok {
			return ch.label, true
		}
		return thousands(strconv.FormatInt(v, 10)), true
	case float64:
		return thousands(strconv.FormatFloat(v, 'f', 2, 64)), true
	case bool:
		ch, ok := c.choice(int64(bit(v)))
		return ch.label, ok
	case time.Time:
		return v.Format("1/2/2006 3:04 PM"), true
	case reference:
		return s.nameOf(v)
	case string:
		switch c.kind {
		case kindEntityName:
			return s.tableLabel(v), true
		case kindMultiSelect:
			return c.labels(v), true
		}
	}
	return "", false
}

// labels shows several choices: "Delay; Staff".
func (c *column) labels(value string) string {
	var list []string
	for part := range strings.SplitSeq(value, ",") {
		v, _ := strconv.ParseInt(part, 10, 64)
		ch, _ := c.choice(v)
		list = append(list, ch.label)
	}
	return strings.Join(list, "; ")
}

// nameOf returns the primary name of the record that a lookup points to.
func (s *Sandbox) nameOf(ref reference) (string, bool) {
	v, ok := s.store.load(ref.table, ref.id)
	if !ok {
		return "", false
	}
	name, ok := v[ref.table.byName[ref.table.title].ordinal].(string)
	return name, ok
}

// tableLabel returns the display name of a table, for columns whose values are names of tables.
func (s *Sandbox) tableLabel(name string) string {
	if t := s.schema.byName[name]; t != nil {
		return t.label
	}
	return name
}

// thousands puts commas into the digits before the point.
func thousands(number string) string {
	digits, fraction, point := strings.Cut(number, ".")
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if point {
		digits += "." + fraction
	}
	return sign + digits
}
