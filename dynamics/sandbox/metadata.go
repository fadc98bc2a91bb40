package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// definition is a piece of metadata (a table, column or relationship) as an ordered list of properties.
type definition struct {
	typ   string // EntityMetadata, StringAttributeMetadata, ...
	props []prop
}

type prop struct {
	name  string
	value any // text, boolean, whole number or float, which filters may use; anything else is complex
}

// field shows the definition to filters.
func (d definition) field(name string) any {
	for _, p := range d.props {
		if p.name == name {
			return p.value
		}
	}
	return nil
}

func (d definition) kindOf(name string) (kind, bool) {
	for _, p := range d.props {
		if p.name != name {
			continue
		}
		switch p.value.(type) {
		case string:
			return kindString, true
		case bool:
			return kindBoolean, true
		case int64:
			return kindInteger, true
		}
	}
	return 0, false
}

type localized struct {
	Label        string
	LanguageCode int
}

type label struct {
	LocalizedLabels    []localized
	UserLocalizedLabel *localized
}

const english = 1033

func newLabel(text string) label {
	l := localized{text, english}
	return label{[]localized{l}, &l}
}

// schemaName capitalises as the platform's own tables do, near enough.
func schemaName(name string) string {
	if strings.Contains(name, "_") {
		return name
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// define describes a table.
func (t *table) define() definition {
	return definition{"EntityMetadata", []prop{
		{"MetadataId", derive("table", t.name).String()},
		{"LogicalName", t.name},
		{"SchemaName", schemaName(t.name)},
		{"EntitySetName", t.set},
		{"LogicalCollectionName", t.set},
		{"DisplayName", newLabel(t.label)},
		{"DisplayCollectionName", newLabel(t.plural)},
		{"PrimaryIdAttribute", t.id},
		{"PrimaryNameAttribute", t.title},
		{"IsCustomEntity", t.custom},
		{"IsIntersect", false},
		{"IsActivity", t.activity()},
		{"IsManaged", !t.custom},
		{"IsPrivate", false},
	}}
}

// attribute describes a column; the properties of its own type show only when the client casts to that type.
func (t *table) attribute(c *column, cast bool) definition {
	required := c.level
	if required == "" {
		required = "None"
	}
	info := kinds[c.kind]
	d := definition{info.typeName + "AttributeMetadata", []prop{
		{"MetadataId", derive("column", t.name, c.name).String()},
		{"LogicalName", c.name},
		{"SchemaName", schemaName(c.name)},
		{"EntityLogicalName", t.name},
		{"DisplayName", newLabel(c.label)},
		{"AttributeType", info.attribute},
		{"AttributeTypeName", map[string]string{"Value": info.attribute + "Type"}},
		{"RequiredLevel", map[string]any{"Value": required, "CanBeChanged": required == "None", "ManagedPropertyLogicalName": "canmodifyrequirementlevelsettings"}},
		{"IsPrimaryId", c.ordinal == 0},
		{"IsPrimaryName", c.name == t.title},
		{"IsCustomAttribute", t.custom && strings.Contains(c.name, "_")},
		{"IsValidForRead", true},
		{"IsValidForCreate", c.create},
		{"IsValidForUpdate", c.update},
	}}
	if !cast {
		return d
	}
	add := func(name string, value any) { d.props = append(d.props, prop{name, value}) }
	switch k := c.kind; {
	case k == kindString || k == kindMemo:
		add("MaxLength", int64(c.length))
	case k == kindDouble:
		add("MinValue", c.min)
		add("MaxValue", c.max)
		add("Precision", int64(2))
	case k.lookup():
		targets := []string{}
		for _, to := range c.targets {
			targets = append(targets, to.table)
		}
		add("Targets", targets)
	}
	return d
}

// optionSet describes the values of a choice column; it is shown on $expand only.
func (c *column) optionSet() any {
	if c.kind == kindBoolean {
		option := func(ch choice) any { return map[string]any{"Value": ch.value, "Label": newLabel(ch.label)} }
		return map[string]any{"OptionSetType": "Boolean", "FalseOption": option(c.choices[0]), "TrueOption": option(c.choices[1])}
	}
	options := []any{}
	for _, ch := range c.choices {
		o := map[string]any{"Value": ch.value, "Label": newLabel(ch.label)}
		if c.kind == kindStatus {
			o["State"] = ch.state
		}
		options = append(options, o)
	}
	return map[string]any{"OptionSetType": kinds[c.kind].attribute, "Options": options}
}

// relationships describes the lookups of a table, one for each table that they may point to.
func (s *schema) relationships(t *table) []definition {
	var list []definition
	for i := range t.columns {
		c := &t.columns[i]
		for _, to := range c.targets {
			name := t.name + "_" + to.table + "_" + c.name
			list = append(list, definition{"OneToManyRelationshipMetadata", []prop{
				{"MetadataId", derive("relationship", name).String()},
				{"SchemaName", name},
				{"RelationshipType", "OneToManyRelationship"},
				{"ReferencedEntity", to.table},
				{"ReferencedAttribute", s.byName[to.table].id},
				{"ReferencingEntity", t.name},
				{"ReferencingAttribute", c.name},
				{"ReferencingEntityNavigationPropertyName", to.nav},
				{"IsCustomRelationship", t.custom || s.byName[to.table].custom},
			}})
		}
	}
	return list
}

// metadata answers GET below EntityDefinitions and RelationshipDefinitions. Metadata is never paged.
func (s *Sandbox) metadata(c *call, segment, rest string) (answer, error) {
	if c.r.Method != http.MethodGet {
		return answer{}, unsupported("changes of metadata")
	}
	if c.query.orderBy != "" || c.query.top >= 0 || c.query.count {
		return answer{}, unsupported("$orderby, $top and $count on metadata")
	}
	if segment == "RelationshipDefinitions" {
		return s.relationshipDefinitions(c, rest)
	}
	if segment == "EntityDefinitions" {
		if rest != "" {
			return answer{}, unsupported("'" + rest + "' below EntityDefinitions")
		}
		var list []definition
		for _, t := range s.schema.tables {
			list = append(list, t.define())
		}
		return c.describeMany("EntityDefinitions", list, false, nil)
	}
	name, err := logicalKey(segment)
	if err != nil {
		return answer{}, err
	}
	t := s.schema.byName[name]
	if t == nil {
		return answer{}, refuse(http.StatusNotFound, codeRequest, "Could not find an entity with name %s and id 00000000-0000-0000-0000-000000000000.", name)
	}
	part, below, _ := strings.Cut(rest, "/")
	switch {
	case part == "":
		return c.describeOne("EntityDefinitions/$entity", t.define(), nil)
	case part == "ManyToOneRelationships" && below == "":
		return c.describeMany(segment+"/"+part, s.schema.relationships(t), false, nil)
	case part == "OneToManyRelationships" && below == "":
		return c.describeMany(segment+"/"+part, s.schema.referencing(t), false, nil)
	case part == "ManyToManyRelationships" && below == "":
		return c.describeMany(segment+"/"+part, nil, false, nil)
	case part == "Attributes" || strings.HasPrefix(part, "Attributes("):
		return s.attributes(c, t, segment, part, below)
	}
	return answer{}, unsupported("'" + rest + "' below EntityDefinitions")
}

// referencing describes the lookups of other tables that may point to this one.
func (s *schema) referencing(t *table) []definition {
	var list []definition
	for _, other := range s.tables {
		for _, d := range s.relationships(other) {
			if d.field("ReferencedEntity") == t.name {
				list = append(list, d)
			}
		}
	}
	return list
}

func (s *Sandbox) relationshipDefinitions(c *call, rest string) (answer, error) {
	if rest != "Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata" {
		return answer{}, unsupported("RelationshipDefinitions other than Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata")
	}
	var list []definition
	for _, t := range s.schema.tables {
		list = append(list, s.schema.relationships(t)...)
	}
	return c.describeMany("RelationshipDefinitions/"+rest, list, false, nil)
}

// attributes answers for the columns of a table, one or all, with or without a cast to one type of column.
func (s *Sandbox) attributes(c *call, t *table, segment, part, cast string) (answer, error) {
	cast, isCast := strings.CutPrefix(cast, "Microsoft.Dynamics.CRM.")
	if cast != "" && !isCast {
		return answer{}, unsupported("'" + cast + "' below Attributes")
	}
	if c.query.expand != "" && c.query.expand != "OptionSet" {
		return answer{}, unsupported("$expand=" + c.query.expand)
	}
	if c.query.expand != "" && !slices.Contains([]string{"PicklistAttributeMetadata", "StateAttributeMetadata", "StatusAttributeMetadata", "BooleanAttributeMetadata"}, cast) {
		return answer{}, badRequest("Could not find a property named 'OptionSet' on type 'Microsoft.Dynamics.CRM.AttributeMetadata'.")
	}
	if part == "Attributes" {
		var list []definition
		for i := range t.columns {
			d := t.attribute(&t.columns[i], cast != "")
			if cast == "" || d.typ == cast {
				list = append(list, d)
			}
		}
		return c.describeMany(segment+"/Attributes", list, cast == "", t)
	}
	name, err := logicalKey(part)
	if err != nil {
		return answer{}, err
	}
	col := t.byName[name]
	if col == nil || cast != "" && kinds[col.kind].typeName+"AttributeMetadata" != cast {
		return answer{}, refuse(http.StatusNotFound, codeRequest, "Could not find an attribute with specified name: %s.", name)
	}
	return c.describeOne(segment+"/Attributes/$entity", t.attribute(col, cast != ""), t)
}

// logicalKey reads Something(LogicalName='name').
func logicalKey(segment string) (string, error) {
	_, key, _ := strings.Cut(segment, "(")
	key, closed := strings.CutSuffix(key, ")")
	quoted, named := strings.CutPrefix(key, "LogicalName='")
	name, ended := strings.CutSuffix(quoted, "'")
	if !closed || !named || !ended {
		return "", unsupported("metadata keys other than LogicalName='...'")
	}
	return name, nil
}

func (c *call) describeMany(context string, list []definition, typed bool, t *table) (answer, error) {
	var f filter
	if c.query.filter != "" && len(list) > 0 {
		var err error
		if f, err = parseFilter(c.query.filter, list[0].typ, list[0].kindOf); err != nil {
			return answer{}, err
		}
	}
	b := appendMember([]byte("{"), "@odata.context", c.base+c.root+"$metadata#"+context)
	b = append(b, `,"value":[`...)
	first := true
	for _, d := range list {
		if f != nil && !f.match(d) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		var err error
		if b, err = c.appendDefinition(append(b, '{'), d, typed, t); err != nil {
			return answer{}, err
		}
	}
	return answer{status: http.StatusOK, body: append(b, "]}"...), header: http.Header{"Content-Type": {contentType}}}, nil
}

func (c *call) describeOne(context string, d definition, t *table) (answer, error) {
	b := appendMember([]byte("{"), "@odata.context", c.base+c.root+"$metadata#"+context)
	b, err := c.appendDefinition(b, d, false, t)
	return answer{status: http.StatusOK, body: b, header: http.Header{"Content-Type": {contentType}}}, err
}

// appendDefinition writes the selected properties and closes the object; t is the table of a column whose options may be expanded.
func (c *call) appendDefinition(b []byte, d definition, typed bool, t *table) ([]byte, error) {
	for _, name := range c.query.sel {
		if !slices.ContainsFunc(d.props, func(p prop) bool { return p.name == name }) {
			return nil, noProperty(name, d.typ)
		}
	}
	if typed {
		b = appendMember(b, "@odata.type", "#Microsoft.Dynamics.CRM."+d.typ)
	}
	for _, p := range d.props {
		if c.query.sel != nil && p.name != "MetadataId" && !slices.Contains(c.query.sel, p.name) {
			continue
		}
		switch v := p.value.(type) {
		case string, bool, int64, float64:
			b = appendMember(b, p.name, v)
		default:
			doc, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			b = appendRaw(b, p.name, doc)
		}
	}
	if c.query.expand != "" && t != nil {
		name, _ := d.field("LogicalName").(string)
		doc, err := json.Marshal(t.byName[name].optionSet())
		if err != nil {
			return nil, err
		}
		b = appendRaw(b, "OptionSet", doc)
	}
	return append(b, '}'), nil
}

func appendRaw(b []byte, name string, doc []byte) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(appendText(b, name), ':')
	return append(b, doc...)
}
