package dynamics

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ErrNoEntity means that the instance has no record type of that name, or none that our user may see.
var ErrNoEntity = errors.New("the instance has no such record type")

const (
	maxSchemas = 256       // record types that are remembered
	schemaAge  = time.Hour // for how long each of them is
)

// Metadata describes the record types of an instance.
type Metadata struct {
	// RecordTypes are those that can be the regarding record of a social activity, sorted by name: standard record types, and
	// custom ones with a relationship to Social Activity.
	RecordTypes []RecordType
}

// RecordType returns the one of that logical name.
func (m Metadata) RecordType(name string) (RecordType, bool) {
	for _, r := range m.RecordTypes {
		if r.Name == name {
			return r, true
		}
	}
	return RecordType{}, false
}

// RecordType describes an entity as the instance has it, whether or not it is configured.
type RecordType struct {
	Name        string // logical name: incident
	Label       string // what people call it, in the language of our user: Case; the name when it has no label
	Set         string // of the Web API: incidents
	PrimaryID   string // logical name of the field that holds the record's GUID
	PrimaryName string // of the field that is the record's title; may be empty
	Custom      bool
}

// Field describes a field of a record type.
type Field struct {
	Name  string // logical name: ticketnumber
	Label string // in the language of our user: Case Number; the name when it has no label
	Type  string // Dynamics' attribute type: String, Lookup, Owner, Picklist, MultiSelectPicklist, DateTime, Money, ...
}

// property is the field's name in queries and answers.
func (f Field) property() string {
	switch f.Type {
	case "Lookup", "Customer", "Owner":
		return "_" + f.Name + "_value"
	}
	return f.Name
}

// label is a text in the languages of an organization.
type label struct {
	UserLocalizedLabel *struct{ Label string }
}

func (l label) or(name string) string {
	if l.UserLocalizedLabel == nil {
		return name
	}
	return cmp.Or(strings.TrimSpace(l.UserLocalizedLabel.Label), name)
}

// definition is a record type in the Web API's form.
type definition struct {
	LogicalName          string
	EntitySetName        string
	DisplayName          label
	IsCustomEntity       bool
	PrimaryIdAttribute   string
	PrimaryNameAttribute string
}

const definitionColumns = "$select=LogicalName,EntitySetName,DisplayName,IsCustomEntity,PrimaryIdAttribute,PrimaryNameAttribute"

func (d definition) recordType() RecordType {
	return RecordType{
		Name:        d.LogicalName,
		Label:       d.DisplayName.or(d.LogicalName),
		Set:         d.EntitySetName,
		PrimaryID:   d.PrimaryIdAttribute,
		PrimaryName: d.PrimaryNameAttribute,
		Custom:      d.IsCustomEntity,
	}
}

// Metadata reads the record types from the instance, never from memory, and drops the fields that Details remembers. Its second
// answer describes every table of the instance; those that an activity can belong to are picked here.
func (c *Client) Metadata(ctx context.Context) (Metadata, error) {
	op := "read record types"
	list := request{op: op, method: http.MethodGet, current: true, limit: maxLargeBody}

	var related struct {
		Value []struct{ ReferencedEntity string }
	}
	list.path = "EntityDefinitions(LogicalName='socialactivity')/ManyToOneRelationships" +
		"?$select=SchemaName,ReferencedEntity,ReferencingAttribute&$filter=" + escape("ReferencingAttribute eq 'regardingobjectid'")
	if err := c.do(ctx, list, &related); err != nil {
		return Metadata{}, err
	}
	var all struct{ Value []definition }
	list.path = "EntityDefinitions?" + definitionColumns + "&$filter=" + escape("IsIntersect eq false")
	if err := c.do(ctx, list, &all); err != nil {
		return Metadata{}, err
	}
	if related.Value == nil || all.Value == nil {
		return Metadata{}, c.odd(op)
	}
	c.schemas.Purge()

	regarding := make(map[string]bool, len(related.Value))
	for _, r := range related.Value {
		regarding[r.ReferencedEntity] = true
	}
	var m Metadata
	for _, d := range all.Value {
		if regarding[d.LogicalName] && d.EntitySetName != "" {
			m.RecordTypes = append(m.RecordTypes, d.recordType())
		}
	}
	slices.SortFunc(m.RecordTypes, func(a, b RecordType) int { return cmp.Compare(a.Name, b.Name) })
	return m, nil
}

// Fields reads the fields of a record type that record details can show, sorted by name, from the instance, never from
// memory. The error is ErrNoEntity where the instance has no such record type.
func (c *Client) Fields(ctx context.Context, entity string) ([]Field, error) {
	s, err := c.readSchema(ctx, entity)
	if err != nil {
		return nil, err
	}
	fields := make([]Field, 0, len(s.fields))
	for _, f := range s.fields {
		fields = append(fields, f)
	}
	slices.SortFunc(fields, func(a, b Field) int { return cmp.Compare(a.Name, b.Name) })
	return fields, nil
}

// schema is a record type with the fields that the Web API has. It is immutable.
type schema struct {
	recordType RecordType
	fields     map[string]Field
	readAt     time.Time
}

// without returns the schema without the fields that an answer with all columns lacks: metadata can describe a column that records
// do not have. It keeps the age, so such a column is asked for again after schemaAge at the latest.
func (s schema) without(answer map[string]json.RawMessage) schema {
	s.fields = maps.Clone(s.fields)
	maps.DeleteFunc(s.fields, func(_ string, f Field) bool {
		_, ok := answer[f.property()]
		return !ok
	})
	return s
}

// pick returns the named fields that exist, in order; without names, the fields that say most about any record.
func (s schema) pick(names []string) []Field {
	if len(names) == 0 {
		names = []string{s.recordType.PrimaryName, "statuscode", "ownerid", "createdon"}
	}
	var fields []Field
	for _, name := range names {
		if f, ok := s.fields[name]; ok {
			fields = append(fields, f)
		}
	}
	return fields
}

// schema returns the description of a record type, from memory while it is younger than schemaAge. Two callers that miss it both
// read it, in two requests each; the later result stays.
func (c *Client) schema(ctx context.Context, entity string) (s schema, remembered bool, err error) {
	if s, ok := c.schemas.Get(entity); ok && c.opts.Now().Sub(s.readAt) < schemaAge {
		return s, true, nil
	}
	s, err = c.readSchema(ctx, entity)
	return s, false, err
}

func (c *Client) readSchema(ctx context.Context, entity string) (schema, error) {
	op := fmt.Sprintf("read record type %q", entity)
	at := fmt.Sprintf("EntityDefinitions(LogicalName='%s')", escape(strings.ReplaceAll(entity, "'", "''")))
	read := request{op: op, method: http.MethodGet, current: true, limit: maxLargeBody}

	var d definition
	read.path = at + "?" + definitionColumns
	if err := c.do(ctx, read, &d); err != nil {
		return schema{}, noEntity(err)
	}
	var attributes struct{ Value []attribute }
	read.path = at + "/Attributes?$select=LogicalName,DisplayName,AttributeType,AttributeTypeName,IsValidODataAttribute"
	if err := c.do(ctx, read, &attributes); err != nil {
		return schema{}, noEntity(err)
	}
	if d.LogicalName != entity || d.EntitySetName == "" || d.PrimaryIdAttribute == "" || attributes.Value == nil {
		return schema{}, c.odd(op)
	}
	s := schema{recordType: d.recordType(), fields: make(map[string]Field, len(attributes.Value)), readAt: c.opts.Now()}
	for _, a := range attributes.Value {
		if f, ok := a.field(); ok {
			s.fields[f.Name] = f
		}
	}
	c.schemas.Add(entity, s)
	return s, nil
}

// attribute is a column in the Web API's form.
type attribute struct {
	LogicalName       string
	DisplayName       label
	AttributeType     string // an older property that calls several types Virtual
	AttributeTypeName struct{ Value string }
	// IsValidODataAttribute is false for columns that only other APIs have, such as slaname beside the lookup slaid.
	IsValidODataAttribute bool
}

// field returns the column as a field, if records hold it as one value.
func (a attribute) field() (Field, bool) {
	f := Field{Name: a.LogicalName, Label: a.DisplayName.or(a.LogicalName), Type: a.AttributeType}
	switch f.Type {
	case "Virtual":
		f.Type = strings.TrimSuffix(a.AttributeTypeName.Value, "Type")
		return f, a.IsValidODataAttribute && f.Type == "MultiSelectPicklist"
	case "PartyList", "CalendarRules", "ManagedProperty": // collections and settings
		return f, false
	}
	return f, a.IsValidODataAttribute
}

// noEntity wraps Dynamics' answer for an unknown record type in ErrNoEntity. A 404 without Dynamics' error document may be that of
// a gateway, and stays what it is.
func noEntity(err error) error {
	if refused, ok := errors.AsType[*Error](err); ok && refused.Status == http.StatusNotFound && refused.described {
		return fmt.Errorf("%w: %w", ErrNoEntity, err)
	}
	return err
}
