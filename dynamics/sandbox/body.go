package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/uuid"
)

// change is one column that a body sets: to a value as the store keeps it, for lookups to a reference whose record may not exist,
// or to nil, which empties the column. The zero change, without a column, sets nothing.
type change struct {
	column *column
	value  any
}

// property is one member of a body, in the order it was sent.
type property struct {
	name string
	raw  json.RawMessage
}

// members returns the members of the JSON object that the request carries, in order. What is wrong with the body as a whole is
// 415, 413 or 400 with 0x80048d19.
func (c *call) members(t *table) ([]property, error) {
	if kind, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		return nil, refuse(http.StatusUnsupportedMediaType, codeRequest, "The content type '%s' is not supported. Send application/json.", kind)
	}
	if len(c.body) > maxBody {
		return nil, refuse(http.StatusRequestEntityTooLarge, "", "The body is larger than %d bytes.", maxBody)
	}
	if !utf8.Valid(c.body) {
		return nil, badPayload(t, "Unable to translate bytes to the specified code page: the body is not UTF-8.")
	}
	members, err := readObject(c.body)
	if err != nil {
		return nil, badPayload(t, "%v", err)
	}
	return members, nil
}

// readObject keeps the order of members and refuses duplicates; a map would lose both.
func readObject(data []byte) ([]property, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return nil, errors.New("A JSON object was expected at the start of the payload.") //nolint:staticcheck // the Web API's wording
	}
	var members []property
	seen := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		p := property{name: name.(string)}
		if err := dec.Decode(&p.raw); err != nil {
			return nil, err
		}
		if seen[p.name] {
			return nil, errors.New("Multiple properties with the name '" + p.name + "' were detected in the payload.")
		}
		seen[p.name] = true
		members = append(members, p)
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("The payload goes on after the end of its JSON object.") //nolint:staticcheck // likewise
	}
	return members, nil
}

// changes checks all of a body that does not depend on the stored records: names, types, lengths and choices. Two members that
// set one column are refused.
func (s *Sandbox) changes(c *call, t *table, members []property) ([]change, error) {
	var list []change
	seen := map[*column]string{}
	for _, p := range members {
		ch, err := s.change(c, t, p)
		if err != nil {
			return nil, err
		}
		if ch.column == nil {
			continue
		}
		if other, twice := seen[ch.column]; twice {
			return nil, badPayload(t, "The properties '%s' and '%s' both set '%s'.", other, p.name, ch.column.name)
		}
		seen[ch.column] = p.name
		list = append(list, ch)
	}
	return list, nil
}

// change checks one member: a column with its value, or name@odata.bind for a lookup. Other annotations are refused, except
// those about the whole object. Deep inserts are not imitated.
func (s *Sandbox) change(c *call, t *table, p property) (change, error) {
	name, annotation, annotated := strings.Cut(p.name, "@")
	switch {
	case annotated && annotation == "odata.bind":
		return s.bind(c, t, name, p.raw)
	case annotated && name == "":
		return change{}, nil // @odata.type and the like
	case annotated:
		return change{}, badPayload(t, "The annotation '%s' was found in the payload; only 'odata.bind' may be sent.", p.name)
	}
	if _, nav := t.byNav[name]; nav || strings.HasSuffix(name, "_activity_parties") {
		return change{}, unsupported("deep insert (" + name + ")")
	}
	col := t.byName[name]
	if col == nil || col.kind.lookup() {
		return change{}, badPayload(t, "The property '%s' does not exist on type 'Microsoft.Dynamics.CRM.%s'. "+
			"Make sure to only use property names that are defined by the type.", name, t.name)
	}
	value, err := col.parse(t, p.raw)
	return change{col, value}, err
}

// bind resolves name@odata.bind to the lookup that it sets. A lookup to several tables has a navigation property for each of
// them, such as postauthor_contact, and its plain name is refused. Whether the record exists is checked with the write.
func (s *Sandbox) bind(c *call, t *table, nav string, raw json.RawMessage) (change, error) {
	b, ok := t.byNav[nav]
	if !ok {
		return change{}, badPayload(t, "An undeclared property '%s' which only has property annotations in the payload but no property value was "+
			"found in the payload. In OData, only declared navigation properties and declared named streams can be represented as properties "+
			"without values.", nav)
	}
	if string(raw) == "null" {
		return change{b.column, nil}, nil
	}
	var uri string
	if json.Unmarshal(raw, &uri) != nil {
		return change{}, badPayload(t, "The annotation '%s@odata.bind' must be the URL of a record.", nav)
	}
	path, err := c.relative(uri)
	if err != nil {
		return change{}, err
	}
	set, key, _ := strings.Cut(path, "(")
	to := s.schema.bySet[set]
	if to == nil {
		return change{}, noSegment(set)
	}
	if to.name != b.target {
		return change{}, badPayload(t, "The navigation property '%s' leads to 'Microsoft.Dynamics.CRM.%s', not to '%s'.", nav, b.target, set)
	}
	if strings.Contains(key, "=") {
		return change{}, unsupported("alternate keys")
	}
	id, err := parseGUID(strings.TrimSuffix(key, ")"))
	if err != nil || !strings.HasSuffix(key, ")") {
		return change{}, badPayload(t, "Cannot convert the literal '%s' to the expected type 'Edm.Guid'.", uri)
	}
	return change{b.column, reference{to, id}}, nil
}

// relative returns the part of a record's address below the root of the Web API. Addresses may be full, start at the host, or
// start at the set.
func (c *call) relative(uri string) (string, error) {
	path := uri
	if u, err := url.Parse(uri); err == nil && u.IsAbs() {
		n := len(c.base)
		if len(uri) < n || !strings.EqualFold(uri[:n], c.base) || rootPath.FindString(uri[n:]) == "" {
			return "", unsupported("a bind to an address of another service (" + clip([]byte(uri)) + ")")
		}
		path = uri[n:]
	}
	path = strings.TrimPrefix(path, rootPath.FindString(path))
	return strings.TrimPrefix(path, "/"), nil
}

// parse checks one value against the column, as Dynamics does before it writes, and returns it in the form that is stored. A
// value of another type is 0x80048d19; the codes for wrong lengths, choices, ranges and dates differ. Doubles are rounded to the
// two places that all of our columns have, and times cut to whole seconds, so a value may come back other than it was sent.
func (c *column) parse(t *table, raw json.RawMessage) (any, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	wrong := badPayload(t, "Cannot convert the literal '%s' of '%s' to the expected type '%s'.", clip(raw), c.name, kinds[c.kind].edm)
	switch k := c.kind; {
	case k == kindBoolean:
		v, err := strconv.ParseBool(string(raw))
		if err != nil || len(raw) < 4 {
			return nil, wrong
		}
		return v, nil
	case k.whole():
		v, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || (k != kindBigInt && v != int64(int32(v))) {
			return nil, wrong
		}
		if _, known := c.choice(v); k.choice() && !known {
			return nil, c.outOfRange(t, v)
		}
		return v, nil
	case k == kindDouble:
		v, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return nil, wrong
		}
		if v < c.min || v > c.max {
			return nil, refuse(http.StatusBadRequest, codeArgument, "A validation error occurred. The value of '%s' on record of type '%s' is outside the valid range.", c.name, t.name)
		}
		return math.Round(v*100) / 100, nil
	}
	var text string
	if raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return nil, wrong
	}
	switch c.kind {
	case kindGUID:
		id, err := parseGUID(text)
		if err != nil {
			return nil, wrong
		}
		return id, nil
	case kindDateTime:
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, wrong
		}
		if v.Year() < 1753 {
			return nil, refuse(http.StatusBadRequest, "0x80040239", "DateTime is less than minimum value supported by CrmDateTime. "+
				"Actual value: %s, Minimum value supported: 01/01/1753 00:00:00", v.UTC().Format("01/02/2006 15:04:05"))
		}
		return v.UTC().Truncate(time.Second), nil
	}
	if c.kind == kindMultiSelect {
		return c.parseChoices(t, text)
	}
	return c.parseText(t, text)
}

// parseChoices reads several choices, "3,1", and returns them in the order of their values.
func (c *column) parseChoices(t *table, text string) (any, error) {
	if text == "" {
		return nil, nil
	}
	var numbers []int64
	for part := range strings.SplitSeq(text, ",") {
		v, err := strconv.ParseInt(strings.TrimSpace(part), 10, 32)
		if _, known := c.choice(v); err != nil || !known {
			return nil, c.outOfRange(t, clip([]byte(part)))
		}
		numbers = append(numbers, v)
	}
	slices.Sort(numbers)
	var b []byte
	for i, v := range slices.Compact(numbers) {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, v, 10)
	}
	return string(b), nil
}

// outOfRange refuses a value that is none of the column's choices, and names those that are, as Dynamics does.
func (c *column) outOfRange(t *table, value any) *refusal {
	return refuse(http.StatusBadRequest, "0x8004431a", "A validation error occurred. The value %v of '%s' on record of type '%s' is outside the valid range. "+
		"Accepted Values: %s", value, c.name, t.name, accepted(c.choices))
}

// parseText checks length and characters. Dynamics refuses long texts instead of cutting them, and stores an empty text as null.
// Length counts UTF-16 code units, as its database does: an emoji counts two.
func (c *column) parseText(t *table, text string) (any, error) {
	units := 0
	for _, r := range text {
		// The characters that XML 1.0 cannot carry.
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return nil, refuse(http.StatusBadRequest, "0x80040278", "The field '%s' contains one or more invalid characters.", c.name)
		}
		units += utf16.RuneLen(r)
	}
	if units > c.length {
		return nil, refuse(http.StatusBadRequest, "0x80044331", "A validation error occurred.  The length of the '%s' attribute of the '%s' entity "+
			"exceeded the maximum allowed length of '%d'.", c.name, t.name, c.length)
	}
	if text == "" {
		return nil, nil
	}
	return text, nil
}

// accepted lists the values of choices, for an error message.
func accepted(choices []choice) string {
	var b []byte
	for i, c := range choices {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, c.value, 10)
	}
	return string(b)
}

// clip keeps what an error text quotes of a request short: at most 60 bytes, cut between runes.
func clip(raw []byte) string {
	const most = 60
	if len(raw) <= most {
		return string(raw)
	}
	cut := most
	for !utf8.RuneStart(raw[cut]) {
		cut--
	}
	return string(raw[:cut]) + "..."
}

// parseGUID accepts the one form that the Web API accepts. uuid.Parse alone would take braces, a urn: and bare hex digits, too.
func parseGUID(s string) (uuid.UUID, error) {
	if len(s) != 36 {
		return uuid.UUID{}, errors.New("not a GUID")
	}
	return uuid.Parse(s)
}
