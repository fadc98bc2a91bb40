package dynamics

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// What ends a link. Both are found in the error of Details; ErrDissociated is an ErrGone as well.
var (
	// ErrGone: the social activity, or the record that it was turned into, does not exist any more.
	ErrGone = errors.New("the record is gone")
	// ErrDissociated: the social activity exists, but belongs to no record any more.
	ErrDissociated = fmt.Errorf("the social activity belongs to no record any more: %w", ErrGone)
)

// Annotations of an answer's properties.
const (
	annotationTable     = "Microsoft.Dynamics.CRM.lookuplogicalname"
	annotationFormatted = "OData.Community.Display.V1.FormattedValue"
)

const (
	activityEntity    = "socialactivity"
	regardingProperty = "_regardingobjectid_value"
)

// Record names a record of the instance.
type Record struct {
	Entity string // logical name
	ID     uuid.UUID
}

// Query asks for the details of a link.
type Query struct {
	Activity uuid.UUID // of the link
	// Fields returns the fields to show of a record type, in order. Where it is nil or returns none, the primary name, the
	// status, the owner and the day of creation are shown.
	Fields func(entity string) []string
	// Target is the record that the activity is known to have been turned into; zero when none is known.
	Target Record
}

// Details are the current values of a link's record: the target record once there is one, else the social activity.
type Details struct {
	Record           // whose fields these are
	Label     string // of the record type, for people
	Converted bool   // a target record exists
	Target    Record // it; zero while there is none
	Unread    error  // why the target record is not shown although it exists: our user may not read it; nil otherwise
	Fields    []FieldValue
}

// FieldValue is one field of a record.
type FieldValue struct {
	Name    string
	Label   string // in the language of our user
	Value   string // as Dynamics shows it to our user; empty when the field is
	Raw     any    // as the Web API sends it: string, json.Number, bool or nil
	Record  Record // that a lookup points to; zero for other fields
	Missing bool   // the record type has no such field any more, or our user may not read it
}

// Details reads the record of a link. The error is ErrGone when the activity, or its target record, has been deleted, and
// ErrDissociated when the activity has lost the target record that it is known to have had.
func (c *Client) Details(ctx context.Context, q Query) (Details, error) {
	if q.Fields == nil {
		q.Fields = func(string) []string { return nil }
	}
	activity, err := c.record(ctx, Record{Entity: activityEntity, ID: q.Activity}, q.Fields(activityEntity))
	if err != nil {
		return Details{}, err
	}
	target := activity.lookup(regardingProperty)
	switch {
	case target.ID == uuid.Nil:
		if q.Target != (Record{}) {
			return Details{}, fmt.Errorf("social activity %s, which was turned into %s %s: %w", q.Activity, q.Target.Entity, q.Target.ID, ErrDissociated)
		}
		return activity.details(), nil
	case target.Entity == "":
		return Details{}, c.odd("read the record of social activity " + q.Activity.String())
	}
	shown := activity
	converted, err := c.record(ctx, target, q.Fields(target.Entity))
	switch {
	case err == nil:
		shown = converted
	case !unreadable(err):
		return Details{}, err
	}
	d := shown.details()
	d.Converted, d.Target, d.Unread = true, target, err
	return d, nil
}

// unreadable reports whether our user may not see a record, or its type.
func unreadable(err error) bool {
	refused, ok := errors.AsType[*Error](err)
	return errors.Is(err, ErrNoEntity) || ok && refused.Status == http.StatusForbidden
}

// row is a record that was read.
type row struct {
	record Record
	schema schema
	names  []string // fields asked for
	values map[string]json.RawMessage
}

// record reads a record with the named fields, those that exist.
func (c *Client) record(ctx context.Context, r Record, names []string) (row, error) {
	for {
		s, remembered, err := c.schema(ctx, r.Entity)
		if err != nil {
			return row{}, err
		}
		got := row{record: r, schema: s, names: names}
		properties := []string{s.recordType.PrimaryID}
		if r.Entity == activityEntity {
			properties = append(properties, regardingProperty)
		}
		for _, f := range s.pick(names) {
			if p := f.property(); !slices.Contains(properties, p) {
				properties = append(properties, p)
			}
		}
		op := fmt.Sprintf("read %s %s", r.Entity, r.ID)
		err = c.do(ctx, request{
			op:     op,
			method: http.MethodGet,
			path:   fmt.Sprintf("%s(%s)?$select=%s", escape(s.recordType.Set), r.ID, strings.Join(properties, ",")),
			prefer: fmt.Sprintf(`odata.include-annotations="%s,%s"`, annotationFormatted, annotationTable),
		}, &got.values)
		refused, ok := errors.AsType[*Error](err)
		switch {
		case ok && refused.Code == CodeUnknownResource && remembered:
			c.schemas.Remove(r.Entity) // a field or the set has gone since we looked
			continue
		case ok && refused.missing():
			return row{}, fmt.Errorf("%w: %w", ErrGone, err)
		case err == nil && !strings.EqualFold(got.text(s.recordType.PrimaryID), r.ID.String()):
			return row{}, c.odd(op)
		}
		return got, err
	}
}

// missing reports whether the record asked for does not exist. The documentation shows an empty code where live
// organizations send one.
func (e *Error) missing() bool {
	return e.Status == http.StatusNotFound && e.described && (e.Gone() || e.Code == "")
}

// details is what the row shows.
func (r row) details() Details {
	d := Details{Record: r.record, Label: r.schema.recordType.Label}
	names := r.names
	if len(names) == 0 {
		for _, f := range r.schema.pick(nil) {
			names = append(names, f.Name)
		}
	}
	for _, name := range names {
		f, ok := r.schema.fields[name]
		if !ok {
			d.Fields = append(d.Fields, FieldValue{Name: name, Label: name, Missing: true})
			continue
		}
		d.Fields = append(d.Fields, r.value(f))
	}
	return d
}

func (r row) value(f Field) FieldValue {
	property := f.property()
	v := FieldValue{Name: f.Name, Label: f.Label, Value: r.text(property + "@" + annotationFormatted)}
	if raw, ok := r.values[property]; ok {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()                // numbers keep their digits
		if decoder.Decode(&v.Raw) != nil { // cannot be: the answer as a whole was JSON
			v.Raw = nil
		}
	}
	if v.Value == "" && v.Raw != nil {
		v.Value = fmt.Sprint(v.Raw)
	}
	if property != f.Name {
		v.Record = r.lookup(property)
	}
	return v
}

// lookup is the record that a lookup property points to.
func (r row) lookup(property string) Record {
	id, err := uuid.Parse(r.text(property))
	if err != nil {
		return Record{}
	}
	return Record{Entity: r.text(property + "@" + annotationTable), ID: id}
}

// text is a property that is a string, else empty.
func (r row) text(property string) string {
	var text string
	if json.Unmarshal(r.values[property], &text) != nil {
		return ""
	}
	return text
}
