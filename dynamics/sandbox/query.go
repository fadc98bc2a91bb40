package sandbox

import (
	"net/url"
	"strconv"
	"strings"
)

// query are the system query options of a request.
type query struct {
	sel     []string // of $select; nil selects all columns
	filter  string
	orderBy string
	expand  string
	top     int // -1 without $top
	skip    int // from the nextLink of the page before
	count   bool
	raw     url.Values
}

const maxQuery = 32 << 10 // bytes, as long as a URL to Dynamics may be

func parseQuery(raw string) (query, error) {
	q := query{top: -1}
	if len(raw) > maxQuery {
		return q, refuse(414, "", "The query string is longer than %d bytes.", maxQuery)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, badRequest("The query string is malformed: %v", err)
	}
	q.raw = values
	for name, list := range values {
		if len(list) > 1 {
			return q, badRequest("The query option '%s' was given more than once.", name)
		}
		v := list[0]
		switch name {
		case "$select":
			for col := range strings.SplitSeq(v, ",") {
				q.sel = append(q.sel, strings.TrimSpace(col))
			}
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
		case "$count":
			if v != "true" && v != "false" {
				return q, badRequest("Invalid value '%s' for $count query option found. Valid values are 'true' and 'false'.", clip([]byte(v)))
			}
			q.count = v == "true"
		case "$skiptoken":
			if q.skip, err = strconv.Atoi(v); err != nil || q.skip < 0 {
				return q, badRequest("The $skiptoken '%s' is not from a nextLink.", clip([]byte(v)))
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

// selection returns the columns to show, or nil for all of them. The primary key is always shown.
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

func noProperty(name, typ string) *refusal {
	return badRequest("Could not find a property named '%s' on type 'Microsoft.Dynamics.CRM.%s'.", clip([]byte(name)), typ)
}

// preferences are what the Prefer header asks for.
type preferences struct {
	representation bool
	pageSize       int // 0 without odata.maxpagesize
	annotations    []string
	annotated      bool
}

const includeAnnotations = "odata.include-annotations"

func parsePrefer(headers []string) (preferences, error) {
	var p preferences
	for _, header := range headers {
		for _, part := range splitQuoted(header) {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			value = strings.Trim(value, `"`)
			switch strings.ToLower(name) {
			case "":
			case "return":
				p.representation = value == "representation"
			case "odata.maxpagesize":
				n, err := strconv.Atoi(value)
				if err != nil || n < 1 {
					return p, badRequest("The preference odata.maxpagesize needs a positive number, not '%s'.", clip([]byte(value)))
				}
				p.pageSize = n
			case includeAnnotations:
				p.annotated = true
				for pattern := range strings.SplitSeq(value, ",") {
					p.annotations = append(p.annotations, strings.TrimSpace(pattern))
				}
			default:
				return p, unsupported("the preference " + name)
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

// wants reports whether the client asked for that annotation; a later pattern overrides an earlier one, a minus takes away.
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

// applied is the Preference-Applied header.
func (p preferences) applied() string {
	var list []string
	if p.representation {
		list = append(list, "return=representation")
	}
	if p.pageSize > 0 {
		list = append(list, "odata.maxpagesize="+strconv.Itoa(p.pageSize))
	}
	if p.annotated {
		list = append(list, includeAnnotations+`="`+strings.Join(p.annotations, ",")+`"`)
	}
	return strings.Join(list, ",")
}
