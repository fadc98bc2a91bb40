package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// definition is a piece of metadata (a table, column, relationship or option set) as an ordered list of properties. Answers show
// them in that order. Definitions are made anew for each request; their MetadataId is the same in each process.
type definition struct {
	typ   string // EntityMetadata, StringAttributeMetadata, ...
	props []prop
	table *table  // of a table or a column
	of    *column // of a column that the Web API has
}

type prop struct {
	name  string
	value any // text, boolean, whole number or float for filters; a managed is complex with one such value; all else is complex
}

// managed is a complex property with one value, such as RequiredLevel, whose path in filters is RequiredLevel/Value.
type managed map[string]any

// prop returns a property, or the value inside a managed one.
func (d definition) prop(name string) (any, bool) {
	name, rest, path := strings.Cut(name, "/")
	for _, p := range d.props {
		if p.name != name {
			continue
		}
		if !path {
			return p.value, true
		}
		m, ok := p.value.(managed)
		return m[rest], ok && rest == "Value"
	}
	return nil, false
}

// field returns a property as filters compare it.
func (d definition) field(name string) any {
	v, _ := d.prop(name)
	return v
}

// resolve returns the type of a property as filters need it. A property that the definition has, but that is no single value, is
// 501; one that it does not have is 400.
func (d definition) resolve(name string) (kind, error) {
	v, ok := d.prop(name)
	if !ok {
		first, _, _ := strings.Cut(name, "/")
		if _, known := d.prop(first); known {
			return 0, unsupported("filters on " + clip([]byte(name)))
		}
		return 0, noProperty(name, d.typ)
	}
	switch v.(type) {
	case string, nil: // AttributeOf may be null
		return kindString, nil
	case bool:
		return kindBoolean, nil
	case int64:
		return kindInteger, nil
	}
	return 0, unsupported("filters on " + name)
}

// localized and label are texts in the languages of an organization, of which the sandbox has one. The fields are exported for
// their names in JSON.
type localized struct {
	Label        string
	LanguageCode int
}

type label struct {
	LocalizedLabels    []localized
	UserLocalizedLabel *localized
}

const english = 1033 // the locale id of the one language

// newLabel is a text in English; without a text it has no language at all, and UserLocalizedLabel is null. Many of the
// columns beside others (see extra) have no text, so clients need a name to fall back to.
func newLabel(text string) label {
	if text == "" {
		return label{LocalizedLabels: []localized{}}
	}
	l := localized{text, english}
	return label{[]localized{l}, &l}
}

// schemaName capitalises a logical name roughly as the platform's own tables do.
func schemaName(name string) string {
	if strings.Contains(name, "_") {
		return name
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// define describes a table, by a few of the properties of EntityMetadata. A $select of another one is 400 here, although Dynamics
// may have it.
func (t *table) define() definition {
	return definition{typ: "EntityMetadata", table: t, props: []prop{
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

// relationships describes the lookups of a table, one for each table that they may point to. This is where a client finds which
// tables a social activity may regard, and the navigation property to bind each of them. SchemaName is made up: the real ones
// differ from table to table.
func (s *schema) relationships(t *table) []definition {
	var list []definition
	for i := range t.columns {
		c := &t.columns[i]
		for _, to := range c.targets {
			name := t.name + "_" + to.table + "_" + c.name
			list = append(list, definition{typ: "OneToManyRelationshipMetadata", props: []prop{
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

// metadata answers GET below EntityDefinitions: all tables, one table, its lookups or its columns. Metadata is never paged. It
// comes from the schema alone, so no lock is needed.
func (s *Sandbox) metadata(c *call, segment, rest string) (answer, error) {
	if c.r.Method != http.MethodGet {
		return answer{}, unsupported("changes of metadata")
	}
	if c.query.orderBy != "" || c.query.top >= 0 {
		return answer{}, unsupported("$orderby and $top on metadata")
	}
	if segment == "EntityDefinitions" {
		if rest != "" {
			return answer{}, unsupported("'" + rest + "' below EntityDefinitions")
		}
		var list []definition
		for _, t := range s.schema.tables {
			list = append(list, t.define())
		}
		return c.describeMany("EntityDefinitions", list, false)
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
		return c.describeOne("EntityDefinitions/$entity", t.define(), false)
	case part == "ManyToOneRelationships" && below == "":
		return c.describeMany(segment+"/"+part, s.schema.relationships(t), false)
	case part == "Attributes" || strings.HasPrefix(part, "Attributes("):
		return c.attributes(t, segment, part, below)
	}
	return answer{}, unsupported("'" + rest + "' below EntityDefinitions")
}

// logicalKey reads Something(LogicalName='name'). Dynamics takes a MetadataId as well; here that is 501.
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

// describeMany answers with the definitions that match the query. When typed, each carries its @odata.type, as in a list of columns
// of several types; after a cast all have the type that the client asked for, and none carries it.
func (c *call) describeMany(context string, list []definition, typed bool) (answer, error) {
	b := appendMember([]byte("{"), "@odata.context", c.base+c.root+"$metadata#"+context)
	b, err := c.appendDefinitions(append(b, `,"value":`...), list, shown{sel: c.query.sel, filter: c.query.filter, expand: c.query.expand, typed: typed})
	return answer{status: http.StatusOK, body: append(b, '}'), header: http.Header{"Content-Type": {contentType}}}, err
}

// describeOne answers with one definition.
func (c *call) describeOne(context string, d definition, typed bool) (answer, error) {
	if c.query.filter != "" {
		return answer{}, unsupported("$filter on one piece of metadata")
	}
	b := appendMember([]byte("{"), "@odata.context", c.base+c.root+"$metadata#"+context)
	b, err := c.appendDefinition(b, d, shown{sel: c.query.sel, expand: c.query.expand, typed: typed})
	return answer{status: http.StatusOK, body: b, header: http.Header{"Content-Type": {contentType}}}, err
}

// shown says which definitions are shown, and what of them.
type shown struct {
	sel    []string // properties; all when nil
	filter string
	expand string
	typed  bool // each with its type
}

// appendDefinitions writes an array of the definitions that the filter holds for. The filter's names and types are checked against
// the first definition, which stands for all: the definitions of one list have the same properties in common.
func (c *call) appendDefinitions(b []byte, list []definition, as shown) ([]byte, error) {
	var f filter
	if as.filter != "" && len(list) > 0 {
		var err error
		if f, err = parseFilter(as.filter, list[0].resolve); err != nil {
			return nil, err
		}
	}
	b = append(b, '[')
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
		if b, err = c.appendDefinition(append(b, '{'), d, as); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// appendDefinition writes the selected and the expanded properties, and closes the object, which the caller has opened. MetadataId
// is shown whether it is selected or not, as in Dynamics. On an error the bytes are of no use.
func (c *call) appendDefinition(b []byte, d definition, as shown) ([]byte, error) {
	for _, name := range as.sel {
		if !slices.ContainsFunc(d.props, func(p prop) bool { return p.name == name }) {
			return nil, noProperty(name, d.typ)
		}
	}
	if as.typed {
		b = appendMember(b, "@odata.type", "#Microsoft.Dynamics.CRM."+d.typ)
	}
	for _, p := range d.props {
		if as.sel != nil && p.name != "MetadataId" && !slices.Contains(as.sel, p.name) {
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
			b = append(appendName(b, p.name), doc...)
		}
	}
	if as.expand != "" {
		items, err := parseExpand(as.expand)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			if b, err = c.appendExpanded(b, d, item); err != nil {
				return nil, err
			}
		}
	}
	return append(b, '}'), nil
}

// appendExpanded writes what one item of a $expand asks for: the columns of a table, or the options of a choice.
func (c *call) appendExpanded(b []byte, d definition, item expansion) ([]byte, error) {
	switch {
	case d.typ == "EntityMetadata" && item.name == "Attributes":
		b = appendMember(b, "Attributes@odata.context", c.base+c.root+"$metadata#EntityDefinitions("+derive("table", d.table.name).String()+")/Attributes")
		return c.appendDefinitions(appendName(b, item.name), d.table.attributes(), shown{sel: item.sel, filter: item.filter, typed: true})
	case item.name == "OptionSet" && item.filter == "" && d.hasOptions():
		return c.appendDefinition(append(appendName(b, item.name), '{'), d.table.optionSet(d.of), shown{sel: item.sel})
	case item.name == "OptionSet" && strings.HasSuffix(d.typ, "AttributeMetadata"):
		return nil, badRequest("Could not find a property named 'OptionSet' on type 'Microsoft.Dynamics.CRM.%s'.", d.typ)
	}
	return nil, unsupported("$expand=" + clip([]byte(item.name)) + " on " + d.typ)
}
