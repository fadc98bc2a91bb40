package sandbox

import (
	"net/http"
	"strings"
)

// attributes describes the columns of a table, and then those that the Web API does not have.
func (t *table) attributes() []definition {
	var list []definition
	for i := range t.columns {
		list = append(list, t.attribute(&t.columns[i]))
	}
	for _, e := range t.extras {
		list = append(list, t.extraAttribute(e))
	}
	return list
}

// describe makes the properties that all columns have. text is the display name, which may be empty; level is the RequiredLevel:
// None, ApplicationRequired or SystemRequired.
func (t *table) describe(typ, name, text, attribute, attributeName, level string) definition {
	return definition{typ: typ, table: t, props: []prop{
		{"MetadataId", derive("column", t.name, name).String()},
		{"LogicalName", name},
		{"SchemaName", schemaName(name)},
		{"EntityLogicalName", t.name},
		{"DisplayName", newLabel(text)},
		{"AttributeType", attribute},
		{"AttributeTypeName", managed{"Value": attributeName}},
		{"RequiredLevel", managed{"Value": level, "CanBeChanged": level == "None", "ManagedPropertyLogicalName": "canmodifyrequirementlevelsettings"}},
		{"IsPrimaryId", name == t.id},
		{"IsPrimaryName", name == t.title},
		{"IsCustomAttribute", t.custom && strings.Contains(name, "_")},
		{"IsValidForRead", true},
	}}
}

func (d *definition) add(name string, value any) { d.props = append(d.props, prop{name, value}) }

// attribute describes a column of the Web API. AttributeOf, which names the column that another one only supplements, is null.
func (t *table) attribute(c *column) definition {
	level := c.level
	if level == "" {
		level = "None"
	}
	info := kinds[c.kind]
	d := t.describe(info.metadata+"AttributeMetadata", c.name, c.label, info.attribute, info.attributeName, level)
	d.of = c
	d.add("IsValidForCreate", c.create)
	d.add("IsValidForUpdate", c.update)
	d.add("IsValidODataAttribute", true)
	d.add("AttributeOf", nil)
	return d
}

// extraAttribute describes a column that the Web API does not have. IsValidForRead is true all the same, and only
// IsValidODataAttribute says that a $select of it fails. AttributeOf names the column that it goes with, if it goes with one.
func (t *table) extraAttribute(e extra) definition {
	typ, text := e.attribute+"AttributeMetadata", ""
	switch e.attribute {
	case "Virtual":
		typ = "AttributeMetadata"
	case "PartyList":
		typ, text = "LookupAttributeMetadata", schemaName(e.name)
	}
	d := t.describe(typ, e.name, text, e.attribute, e.attribute+"Type", "None")
	d.add("IsValidForCreate", e.of == "")
	d.add("IsValidForUpdate", e.of == "")
	d.add("IsValidODataAttribute", false)
	if e.of == "" {
		d.add("AttributeOf", nil)
	} else {
		d.add("AttributeOf", e.of)
	}
	return d
}

// cast adds the properties that belong to the column's own type. The Web API shows them only in answers of that type.
func (d definition) cast() definition {
	c := d.of
	switch {
	case c == nil && d.typ == "StringAttributeMetadata":
		d.add("MaxLength", int64(100))
	case c == nil && d.typ == "LookupAttributeMetadata":
		d.add("Targets", []string{"account", "contact", "systemuser"})
	case c == nil:
	case c.kind == kindString || c.kind == kindMemo:
		d.add("MaxLength", int64(c.length))
	case c.kind == kindDouble:
		d.add("MinValue", c.min)
		d.add("MaxValue", c.max)
		d.add("Precision", int64(2))
	case c.kind.lookup():
		targets := []string{}
		for _, to := range c.targets {
			targets = append(targets, to.table)
		}
		d.add("Targets", targets)
	}
	return d
}

// hasOptions reports whether the definition is of a column with options. A boolean has two: the labels of false and true.
func (d definition) hasOptions() bool { return d.of != nil && len(d.of.choices) > 0 }

// optionSet describes the options of a choice column. A boolean has FalseOption and TrueOption where others have a list. Options of
// a status name the state that they belong to, and those of a state its default status.
func (t *table) optionSet(c *column) definition {
	d := definition{typ: "OptionSetMetadata", props: []prop{
		{"MetadataId", derive("optionset", t.name, c.name).String()},
		{"Name", t.name + "_" + c.name},
		{"IsGlobal", false},
	}}
	option := func(ch choice) map[string]any { return map[string]any{"Value": ch.value, "Label": newLabel(ch.label)} }
	if c.kind == kindBoolean {
		d.typ = "BooleanOptionSetMetadata"
		d.add("OptionSetType", "Boolean")
		d.add("FalseOption", option(c.choices[0]))
		d.add("TrueOption", option(c.choices[1]))
		return d
	}
	options := []any{}
	for _, ch := range c.choices {
		o := option(ch)
		switch c.kind {
		case kindState:
			o["DefaultStatus"] = ch.status
			o["InvariantName"] = ch.label
		case kindStatus:
			o["State"] = ch.state
		}
		options = append(options, o)
	}
	d.add("OptionSetType", strings.TrimPrefix(kinds[c.kind].metadata, "MultiSelect"))
	d.add("Options", options)
	return d
}

// attributes answers for the columns of a table: all or one, with or without a cast to one type. Below is the cast, and after it
// OptionSet for the options of one column. Like the Web API it shows MaxLength, Targets and options only after a cast.
func (c *call) attributes(t *table, segment, part, below string) (answer, error) {
	cast, property, _ := strings.Cut(below, "/")
	cast, isCast := strings.CutPrefix(cast, "Microsoft.Dynamics.CRM.")
	if below != "" && !isCast {
		return answer{}, unsupported("'" + below + "' below Attributes")
	}
	if part == "Attributes" {
		if property != "" {
			return answer{}, unsupported("'" + below + "' below all Attributes")
		}
		list := t.attributes()
		if cast == "" {
			if c.query.expand != "" {
				return answer{}, c.expandOfAny()
			}
			return c.describeMany(segment+"/Attributes", list, true)
		}
		var ofType []definition
		for _, d := range list {
			if d.typ == cast {
				ofType = append(ofType, d.cast())
			}
		}
		return c.describeMany(segment+"/Attributes", ofType, false)
	}
	name, err := logicalKey(part)
	if err != nil {
		return answer{}, err
	}
	for _, d := range t.attributes() {
		if d.field("LogicalName") != name || cast != "" && d.typ != cast {
			continue
		}
		switch {
		case cast == "" && c.query.expand != "":
			return answer{}, c.expandOfAny()
		case cast == "":
			return c.describeOne(segment+"/Attributes/$entity", d, true)
		case property == "":
			return c.describeOne(segment+"/Attributes/$entity", d.cast(), false)
		case property == "OptionSet" && d.hasOptions():
			return c.describeOne(segment+"/"+part+"/"+below+"/$entity", t.optionSet(d.of), false)
		}
		return answer{}, unsupported("'" + below + "' below an attribute")
	}
	return answer{}, refuse(http.StatusNotFound, codeRequest, "Could not find an attribute with specified name: %s.", name)
}

// expandOfAny refuses a $expand on columns without a cast: only their own types have something to expand.
func (c *call) expandOfAny() error {
	items, err := parseExpand(c.query.expand)
	if err != nil {
		return err
	}
	return badRequest("Could not find a property named '%s' on type 'Microsoft.Dynamics.CRM.AttributeMetadata'.", clip([]byte(items[0].name)))
}
