package sandbox

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// record shows a record to filters.
type record struct {
	table  *table
	values values
}

func (r record) field(name string) any {
	switch v := r.values[r.table.byWire[name].ordinal].(type) {
	case reference:
		return v.id
	default:
		return v
	}
}

// one answers GET on a record.
func (s *Sandbox) one(c *call, t *table, id uuid.UUID) (answer, error) {
	if c.r.Header.Get("If-Match") != "" {
		return answer{}, unsupported("If-Match on a GET")
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
	a := answer{status: http.StatusOK, table: t, id: id, header: http.Header{"Content-Type": {contentType}, "Etag": {etag(r.version)}}}
	if applied := c.prefer.applied(); applied != "" {
		a.header.Set("Preference-Applied", applied)
	}
	if c.r.Header.Get("If-None-Match") == etag(r.version) {
		a.status = http.StatusNotModified
		a.header.Del("Content-Type")
		return a, nil
	}
	a.body = s.document(c, t, r, sel)
	return a, nil
}

// document is a record on its own, with its context.
func (s *Sandbox) document(c *call, t *table, r row, sel []bool) []byte {
	b := appendMember([]byte("{"), "@odata.context", c.context(t)+"/$entity")
	b = s.appendRecord(b, t, r, sel, c.prefer)
	return append(b, '}')
}

func (c *call) context(t *table) string {
	context := c.base + c.root + "$metadata#" + t.set
	if c.query.sel != nil {
		context += "(" + strings.Join(c.query.sel, ",") + ")"
	}
	return context
}

// maxCount is where Dynamics stops counting.
const maxCount = 5000

// list answers GET on a set. Pages are cut by position: a record that appears or goes between two pages may shift them.
func (s *Sandbox) list(c *call, t *table) (answer, error) {
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
		f, err = parseFilter(c.query.filter, t.name, func(name string) (kind, bool) {
			col := t.byWire[name]
			if col == nil {
				return 0, false
			}
			return col.kind, true
		})
		if err != nil {
			return answer{}, err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := s.search(t, f, order)
	page := s.opts.PageSize
	if c.prefer.pageSize > 0 {
		page = min(page, c.prefer.pageSize)
	}
	total := len(found)
	if c.query.top >= 0 {
		found = found[:min(c.query.top, total)]
	}
	end := min(c.query.skip+page, len(found))
	shown := found[min(c.query.skip, end):end]

	b := appendMember([]byte("{"), "@odata.context", c.context(t))
	if c.query.count {
		b = appendMember(b, "@odata.count", int64(min(total, maxCount)))
	}
	b = append(b, `,"value":[`...)
	for i, r := range shown {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = s.appendRecord(b, t, r, sel, c.prefer)
		b = append(b, '}')
	}
	b = append(b, ']')
	if end < len(found) {
		next := c.query.raw
		next.Set("$skiptoken", strconv.Itoa(end))
		b = appendMember(b, "@odata.nextLink", c.base+c.root+t.set+"?"+next.Encode())
	}
	a := answer{status: http.StatusOK, table: t, body: append(b, '}'), header: http.Header{"Content-Type": {contentType}}}
	if applied := c.prefer.applied(); applied != "" {
		a.header.Set("Preference-Applied", applied)
	}
	return a, nil
}

type ordering struct {
	column     *column
	descending bool
}

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
		if col == nil {
			return nil, noProperty(words[0], t.name)
		}
		order = append(order, ordering{col, len(words) == 2 && words[1] == "desc"})
	}
	return order, nil
}

// search returns the rows that a filter holds for, in order; without an order in that of their creation.
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
		rec := record{t, s.store.values(t, r)}
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

// candidates asks an index, when the filter demands that an indexed column equal a text.
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

// appendRecord writes the members of a record: its ETag, then its columns, each after its annotations.
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
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = appendText(b, name)
	b = append(b, ':')
	return appendValue(b, value)
}

// format shows a value as the application would to an American user in UTC. Plain text and ids have no such form.
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
		return s.tableLabel(v), c.kind == kindEntityName
	}
	return "", false
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
