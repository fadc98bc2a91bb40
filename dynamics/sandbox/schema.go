package sandbox

// kind is the type of a column.
type kind uint8

const (
	kindString kind = iota
	kindMemo
	kindEntityName
	kindMultiSelect // several choices, as text: "1,3"
	kindInteger
	kindBigInt
	kindPicklist
	kindState
	kindStatus
	kindDouble
	kindBoolean
	kindDateTime
	kindGUID
	kindLookup
	kindCustomer
	kindOwner
)

// kinds has the names of each kind: AttributeType, AttributeTypeName and the metadata type of a column, and the type of its
// values.
var kinds = [...]struct{ attribute, attributeName, metadata, edm string }{
	kindString:      {"String", "StringType", "String", "Edm.String"},
	kindMemo:        {"Memo", "MemoType", "Memo", "Edm.String"},
	kindEntityName:  {"EntityName", "EntityNameType", "EntityName", "Edm.String"},
	kindMultiSelect: {"Virtual", "MultiSelectPicklistType", "MultiSelectPicklist", "Edm.String"},
	kindInteger:     {"Integer", "IntegerType", "Integer", "Edm.Int32"},
	kindBigInt:      {"BigInt", "BigIntType", "BigInt", "Edm.Int64"},
	kindPicklist:    {"Picklist", "PicklistType", "Picklist", "Edm.Int32"},
	kindState:       {"State", "StateType", "State", "Edm.Int32"},
	kindStatus:      {"Status", "StatusType", "Status", "Edm.Int32"},
	kindDouble:      {"Double", "DoubleType", "Double", "Edm.Double"},
	kindBoolean:     {"Boolean", "BooleanType", "Boolean", "Edm.Boolean"},
	kindDateTime:    {"DateTime", "DateTimeType", "DateTime", "Edm.DateTimeOffset"},
	kindGUID:        {"Uniqueidentifier", "UniqueidentifierType", "UniqueIdentifier", "Edm.Guid"},
	kindLookup:      {"Lookup", "LookupType", "Lookup", "Edm.Guid"},
	kindCustomer:    {"Customer", "CustomerType", "Lookup", "Edm.Guid"},
	kindOwner:       {"Owner", "OwnerType", "Lookup", "Edm.Guid"},
}

func (k kind) lookup() bool { return k >= kindLookup }

// text reports whether values are strings.
func (k kind) text() bool { return k <= kindMultiSelect }

func (k kind) whole() bool { return k >= kindInteger && k <= kindStatus }

// choice reports whether a value is one of the column's choices.
func (k kind) choice() bool { return k >= kindPicklist && k <= kindStatus }

// column is one attribute of a table. Metadata describes it, and writes are checked against it.
type column struct {
	name     string // logical name
	label    string
	kind     kind
	length   int // of texts, in UTF-16 code units
	min, max float64
	choices  []choice // of picklists, states and statuses; of a boolean the two labels
	targets  []target // of lookups
	initial  any      // the value when a create leaves the column out

	create, update bool // whether clients may write it; a write that is not allowed is ignored
	level          string

	ordinal int // position in the table
}

type choice struct {
	value  int64
	label  string
	state  int64 // of a status: the state it belongs to
	status int64 // of a state: its default status
}

// target is one table that a lookup may point to, and the single-valued navigation property that leads there.
type target struct{ table, nav string }

// wire returns the name of the column's value in answers, $select and $filter.
func (c *column) wire() string {
	if c.kind.lookup() {
		return "_" + c.name + "_value"
	}
	return c.name
}

func (c *column) choice(value int64) (choice, bool) {
	for _, ch := range c.choices {
		if ch.value == value {
			return ch, true
		}
	}
	return choice{}, false
}

// nav returns the navigation property of the lookup that points to that table.
func (c *column) nav(table string) string {
	for _, t := range c.targets {
		if t.table == table {
			return t.nav
		}
	}
	return ""
}

// extra is a column that metadata describes but the Web API does not have, such as slaname beside the lookup slaid.
type extra struct {
	name      string
	attribute string // AttributeType
	of        string // the column that it belongs to; empty for a column of its own
}

// extras are the columns beside this one, as organizations have them: names of lookups and choices, types of lookups.
func (c *column) extras() []extra {
	name := c.name + "name"
	switch c.name {
	case "slaid":
		name = "slaname"
	case "postfromprofileid":
		name = "postedbyname"
	}
	switch c.kind {
	case kindLookup:
		return []extra{{name, "String", c.name}}
	case kindCustomer, kindOwner:
		return []extra{{name, "String", c.name}, {c.name + "yominame", "String", c.name}, {c.name + "type", "EntityName", c.name}}
	case kindPicklist, kindState, kindStatus, kindBoolean, kindMultiSelect:
		return []extra{{name, "Virtual", c.name}}
	}
	return nil
}

// table is one Dataverse table. Tables are immutable once the schema is built.
type table struct {
	name    string // logical name: socialactivity
	set     string // entity set: socialactivities
	label   string
	plural  string
	id      string // primary key column
	title   string // primary name column
	custom  bool
	system  bool // part of the organization, not made by clients
	indexed []string
	columns []column
	extras  []extra

	ordinal int
	setPath string // one copy of the usual path for the log
	byName  map[string]*column
	byWire  map[string]*column
	byNav   map[string]bind
}

// bind is the lookup and the table that a navigation property stands for.
type bind struct {
	column *column
	target string
}

// activity reports whether the table is the one that conversion rules watch.
func (t *table) activity() bool { return t.name == "socialactivity" }

// schema is all tables of one organization. Metadata, validation and reads use no other description of them.
type schema struct {
	tables []*table
	byName map[string]*table
	bySet  map[string]*table
}

func newSchema() *schema {
	s := &schema{byName: map[string]*table{}, bySet: map[string]*table{}}
	for i, t := range allTables() {
		t.ordinal = i
		s.tables = append(s.tables, t)
		s.byName[t.name], s.bySet[t.set] = t, t
	}
	for _, t := range s.tables {
		t.link(s.byName)
	}
	return s
}

// link fills the table's look-ups by name, after which it is never changed. Lookups lose the targets that are not installed.
func (t *table) link(installed map[string]*table) {
	t.setPath = usualRoot + t.set
	t.byName, t.byWire, t.byNav = map[string]*column{}, map[string]*column{}, map[string]bind{}
	for i := range t.columns {
		c := &t.columns[i]
		c.ordinal = i
		t.byName[c.name], t.byWire[c.wire()] = c, c
		var kept []target
		for _, to := range c.targets {
			if installed[to.table] != nil {
				kept = append(kept, to)
				t.byNav[to.nav] = bind{c, to.table}
			}
		}
		c.targets = kept
		t.extras = append(t.extras, c.extras()...)
	}
}
