package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/uuid"
)

// change is one column that a body sets: to a value, or for lookups to a reference whose target has yet to be found.
type change struct {
	column *column
	value  any
}

// property is one member of a body, in the order it was sent.
type property struct {
	name string
	raw  json.RawMessage
}

// readBody returns the members of the JSON object that the request carries.
func (s *Sandbox) readBody(c *call, t *table) ([]property, error) {
	if kind, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		return nil, refuse(http.StatusUnsupportedMediaType, codeRequest, "The content type '%s' is not supported. Send application/json.", kind)
	}
	data, err := io.ReadAll(http.MaxBytesReader(nil, c.r.Body, s.opts.MaxBody))
	if _, big := errors.AsType[*http.MaxBytesError](err); big {
		return nil, refuse(http.StatusRequestEntityTooLarge, "", "The body is larger than %d bytes.", s.opts.MaxBody)
	}
	if err != nil {
		return nil, badPayload(t, "The body could not be read: %v", err)
	}
	if !utf8.Valid(data) {
		return nil, badPayload(t, "Unable to translate bytes to the specified code page: the body is not UTF-8.")
	}
	members, err := readObject(data)
	if err != nil {
		return nil, badPayload(t, "%v", err)
	}
	return members, nil
}

// readObject keeps order and duplicates, which a map would hide.
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

// changes checks everything about a body that does not depend on the records at hand.
func (s *Sandbox) changes(t *table, members []property) ([]change, error) {
	var list []change
	seen := map[*column]string{}
	for _, p := range members {
		ch, err := s.change(t, p)
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

func (s *Sandbox) change(t *table, p property) (change, error) {
	name, annotation, annotated := strings.Cut(p.name, "@")
	switch {
	case annotated && annotation == "odata.bind":
		return s.bind(t, name, p.raw)
	case annotated && name == "":
		return change{}, nil // @odata.type and such say nothing new
	case annotated:
		return change{}, badPayload(t, "The annotation '%s' was found in the payload; only 'odata.bind' may be sent.", p.name)
	}
	if _, nav := t.byNav[name]; nav || strings.HasSuffix(name, "_activity_parties") {
		return change{}, unsupported("deep insert (" + name + ")")
	}
	c := t.byName[name]
	if c == nil || c.kind.lookup() {
		return change{}, badPayload(t, "The property '%s' does not exist on type 'Microsoft.Dynamics.CRM.%s'. "+
			"Make sure to only use property names that are defined by the type.", name, t.name)
	}
	value, err := c.parse(t, p.raw)
	return change{c, value}, err
}

// bind resolves name@odata.bind to the lookup it sets. Whether the record it names exists is checked with the write.
func (s *Sandbox) bind(t *table, nav string, raw json.RawMessage) (change, error) {
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
	path := uri
	if u, err := url.Parse(uri); err == nil && u.IsAbs() {
		_, path, _ = strings.Cut(strings.TrimPrefix(u.Path, "/"), "/api/data/")
		_, path, _ = strings.Cut(path, "/")
	}
	set, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "(")
	to := s.schema.bySet[set]
	if to == nil {
		return change{}, noSegment(set)
	}
	if to.name != b.target {
		return change{}, badPayload(t, "The navigation property '%s' leads to 'Microsoft.Dynamics.CRM.%s', not to '%s'.", nav, b.target, set)
	}
	id, err := parseGUID(strings.TrimSuffix(key, ")"))
	if err != nil || !strings.HasSuffix(key, ")") {
		return change{}, badPayload(t, "Cannot convert the literal '%s' to the expected type 'Edm.Guid'.", uri)
	}
	return change{b.column, reference{to, id}}, nil
}

// parse checks one value against the column, as Dynamics checks it on its way to the database.
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
			return nil, refuse(http.StatusBadRequest, "0x8004431a", "A validation error occurred. The value %d of '%s' on record of type '%s' is outside the valid range. "+
				"Accepted Values: %s", v, c.name, t.name, accepted(c.choices))
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
	return c.parseText(t, text)
}

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
		return nil, nil // empty text is stored as null
	}
	return text, nil
}

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

// clip keeps a quoted literal short.
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

// parseGUID accepts the one form that the Web API accepts.
func parseGUID(s string) (uuid.UUID, error) {
	if len(s) != 36 {
		return uuid.UUID{}, errors.New("not a GUID")
	}
	return uuid.Parse(s)
}
