package sandbox

import (
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// query holds the system query options of a request, decoded but not checked against a table: what they mean depends on whether
// records or metadata are asked for, and either refuses the options that it cannot apply.
type query struct {
	sel     []string // of $select; nil selects all columns
	filter  string
	orderBy string
	expand  string
	top     int // -1 without $top
}

const maxQuery = 32 << 10 // bytes, as long as a URL to Dynamics may be

// parseQuery reads the query string. What Dynamics has and the sandbox lacks is 501; other parameters are 400, as there.
func parseQuery(raw string) (query, error) {
	q := query{top: -1}
	if len(raw) > maxQuery {
		return q, refuse(414, "", "The query string is longer than %d bytes.", maxQuery)
	}
	values, err := url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B")) // options in $expand are separated by semicolons
	if err != nil {
		return q, badRequest("The query string is malformed: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(values[name]) > 1 {
			return q, badRequest("The query option '%s' was given more than once.", name)
		}
		v := values[name][0]
		switch name {
		case "$select":
			q.sel = columnList(v)
		case "$filter":
			if strings.TrimSpace(v) == "" {
				return q, badRequest("The query option '$filter' is empty.")
			}
			q.filter = v
		case "$orderby":
			q.orderBy = v
		case "$expand":
			q.expand = v
		case "$top":
			if q.top, err = strconv.Atoi(v); err != nil || q.top < 0 {
				return q, badRequest("Invalid value '%s' for $top query option found. The $top query option requires a non-negative integer value.", clip([]byte(v)))
			}
		default:
			if strings.HasPrefix(name, "$") || strings.HasPrefix(name, "@") || name == "fetchXml" || name == "savedQuery" || name == "userQuery" {
				return q, unsupported("the query option " + name)
			}
			return q, badRequest("The query parameter '%s' is not supported.", clip([]byte(name)))
		}
	}
	return q, nil
}

// columnList splits a $select.
func columnList(src string) []string {
	var list []string
	for name := range strings.SplitSeq(src, ",") {
		list = append(list, strings.TrimSpace(name))
	}
	return list
}

// expansion is one item of a $expand: Attributes($select=LogicalName;$filter=IsPrimaryId eq true).
type expansion struct {
	name   string
	sel    []string
	filter string
}

// parseExpand reads a $expand, which only metadata has here. Options other than $select and $filter are not imitated.
func parseExpand(src string) ([]expansion, error) {
	var list []expansion
	for item := range splitTop(src, ',') {
		name, options, nested := strings.Cut(strings.TrimSpace(item), "(")
		e := expansion{name: name}
		options, closed := strings.CutSuffix(options, ")")
		if name == "" || nested != closed {
			return nil, badRequest("Syntax error in the $expand '%s'.", clip([]byte(src)))
		}
		for option := range splitTop(options, ';') {
			switch key, value, _ := strings.Cut(strings.TrimSpace(option), "="); key {
			case "":
			case "$select":
				e.sel = columnList(value)
			case "$filter":
				e.filter = value
			default:
				return nil, unsupported("the option " + clip([]byte(key)) + " in $expand")
			}
		}
		list = append(list, e)
	}
	return list, nil
}

// splitTop splits at the separators that are outside parentheses and quotes. A quote in a text is doubled in OData, which closes
// and opens the text again, so it needs no case of its own.
func splitTop(s string, separator byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		start, depth, quoted := 0, 0, false
		for i := range len(s) {
			switch c := s[i]; {
			case c == '\'':
				quoted = !quoted
			case quoted:
			case c == '(':
				depth++
			case c == ')':
				depth--
			case c == separator && depth == 0:
				if !yield(s[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(s[start:])
	}
}

// selection returns which columns to show, by ordinal, or nil for all of them. The primary key is always shown. Lookups are
// selected as _name_value.
func (c *call) selection(t *table) ([]bool, error) {
	if c.query.expand != "" {
		return nil, unsupported("$expand on records")
	}
	if c.query.sel == nil {
		return nil, nil
	}
	shown := make([]bool, len(t.columns))
	shown[0] = true
	for _, name := range c.query.sel {
		col := t.byWire[name]
		if col == nil {
			return nil, noProperty(name, t.name)
		}
		shown[col.ordinal] = true
	}
	return shown, nil
}

// noProperty refuses a name that a type does not have, in $select, $filter or $orderby.
func noProperty(name, typ string) *refusal {
	return badRequest("Could not find a property named '%s' on type 'Microsoft.Dynamics.CRM.%s'.", clip([]byte(name)), typ)
}

// preferences are the wishes of the Prefer header. The zero value asks for no annotations.
type preferences struct {
	annotations []string // patterns, in the order in which they were sent
	annotated   bool     // the preference was sent, whatever its patterns
}

// includeAnnotations is the one preference that the sandbox imitates.
const includeAnnotations = "odata.include-annotations"

// parsePrefer reads the Prefer headers, of which each may hold several preferences. HTTP lets a server ignore a preference. The
// sandbox refuses those that it lacks with 501, since a client may depend on return=representation or on the size of a page.
func parsePrefer(headers []string) (preferences, error) {
	var p preferences
	for _, header := range headers {
		for _, part := range splitQuoted(header) {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			value = strings.Trim(value, `"`)
			switch strings.ToLower(name) {
			case "":
			case includeAnnotations:
				p.annotated = true
				for pattern := range strings.SplitSeq(value, ",") {
					p.annotations = append(p.annotations, strings.TrimSpace(pattern))
				}
			default:
				return p, unsupported("the preference " + clip([]byte(strings.TrimSpace(part))))
			}
		}
	}
	return p, nil
}

// splitQuoted splits at the commas that are not inside quotes.
func splitQuoted(s string) []string {
	quoted := false
	return strings.FieldsFunc(s, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ',' && !quoted
	})
}

// wants reports whether the client asked for that annotation. Patterns may end in *, and a pattern after a minus excludes. A
// later pattern overrides an earlier one.
func (p preferences) wants(annotation string) bool {
	want := false
	for _, pattern := range p.annotations {
		name, without := strings.CutPrefix(pattern, "-")
		stem, wild := strings.CutSuffix(name, "*")
		if name == annotation || wild && strings.HasPrefix(annotation, stem) {
			want = !without
		}
	}
	return want
}

// header returns the headers of a successful read: the content type, and which annotations were applied.
func (p preferences) header() http.Header {
	h := http.Header{"Content-Type": {contentType}}
	if p.annotated {
		h.Set("Preference-Applied", includeAnnotations+`="`+strings.Join(p.annotations, ",")+`"`)
	}
	return h
}
