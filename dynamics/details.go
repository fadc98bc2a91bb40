package dynamics

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// What ends a link. Details wraps them; ErrDissociated is an ErrGone as well.
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
	Record           // to which the fields belong
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
	Record  Record // that a lookup points to; zero for other fields
	Missing bool   // the Web API has no such field (any more)
}

// Details reads the record of a link. The error is ErrGone when the activity, or its target record, has been deleted, and
// ErrDissociated when the activity has lost the target record that it is known to have had. A field that the Web API lacks
// never makes an error: it is returned as Missing beside the others. All other errors say nothing about the link.
//
// It changes nothing in the instance. It sends one request for the activity and one for the target record, and two more for each
// record type whose description it does not remember. A refused column costs more requests: see record.
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

// record reads a record with the named fields. When the instance refuses a column that we remember, the record type is read
// anew; when it then still refuses one that its own metadata describes, the record is read with all its columns.
func (c *Client) record(ctx context.Context, r Record, names []string) (row, error) {
	for {
		s, remembered, err := c.schema(ctx, r.Entity)
		if err != nil {
			return row{}, err
		}
		got := row{record: r, schema: s, names: names}
		err = c.fill(ctx, &got, "?$select="+strings.Join(got.properties(), ","), maxBody)
		refused, ok := errors.AsType[*Error](err)
		switch {
		case ok && refused.Code == CodeUnknownResource && remembered:
			c.schemas.Remove(r.Entity)
			continue
		case ok && refused.Status == http.StatusBadRequest && refused.described:
			if err = c.fill(ctx, &got, "", maxLargeBody); err == nil {
				got.schema = s.without(got.values)
				c.schemas.Add(r.Entity, got.schema)
			}
		}
		if refused, ok := errors.AsType[*Error](err); ok && refused.missing() {
			return row{}, fmt.Errorf("%w: %w", ErrGone, err)
		}
		return got, err
	}
}

// properties are the columns to ask for: the key, what Details itself needs, and the fields.
func (r row) properties() []string {
	list := []string{r.schema.recordType.PrimaryID}
	if r.record.Entity == activityEntity {
		list = append(list, regardingProperty)
	}
	for _, f := range r.schema.pick(r.names) {
		if p := f.property(); !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// fill reads the row's values. An answer that does not name the record is an error.
func (c *Client) fill(ctx context.Context, r *row, query string, limit int64) error {
	op := fmt.Sprintf("read %s %s", r.record.Entity, r.record.ID)
	err := c.do(ctx, request{
		op:     op,
		method: http.MethodGet,
		path:   fmt.Sprintf("%s(%s)%s", escape(r.schema.recordType.Set), r.record.ID, query),
		prefer: fmt.Sprintf(`odata.include-annotations="%s,%s"`, annotationFormatted, annotationTable),
		limit:  limit,
	}, &r.values)
	if err == nil && !strings.EqualFold(r.text(r.schema.recordType.PrimaryID), r.record.ID.String()) {
		return c.odd(op)
	}
	return err
}

// missing reports whether the record asked for does not exist. The documentation shows an empty code where live
// organizations send one.
func (e *Error) missing() bool {
	return e.Status == http.StatusNotFound && e.described && (e.Gone() || e.Code == "")
}

// details returns the row's fields in the order asked for.
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

// value returns a field with its formatted value. Values without one, such as texts, are returned as they are.
func (r row) value(f Field) FieldValue {
	property := f.property()
	raw, ok := r.values[property]
	v := FieldValue{Name: f.Name, Label: f.Label, Missing: !ok}
	v.Value = cmp.Or(r.text(property+"@"+annotationFormatted), r.text(property))
	if v.Value == "" && len(raw) > 0 && raw[0] != '"' && string(raw) != "null" {
		v.Value = string(raw) // a number keeps its digits
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
