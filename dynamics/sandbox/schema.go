package sandbox

// kind is the type of a column. The order is significant: text, whole, choice and lookup are ranges of it, and they decide how a
// value is parsed, packed and compared. A new kind has to go into the range of its values.
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
// values. As in Dynamics the names disagree: a Customer or Owner column has the metadata type of a Lookup, and the AttributeType of
// several choices is Virtual, which only their AttributeTypeName sets apart from other virtual columns.
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

// lookup reports whether values are references.
func (k kind) lookup() bool { return k >= kindLookup }

// text reports whether values are strings.
func (k kind) text() bool { return k <= kindMultiSelect }

// whole reports whether values are whole numbers, which the values of choices are, too.
func (k kind) whole() bool { return k >= kindInteger && k <= kindStatus }

// choice reports whether a value is one of the column's choices.
func (k kind) choice() bool { return k >= kindPicklist && k <= kindStatus }

// column is one attribute of a table. Metadata describes it, and writes are checked against it. Which of the fields matter depends
// on its kind.
type column struct {
	name     string // logical name
	label    string
	kind     kind
	length   int      // of texts, in UTF-16 code units
	min, max float64  // of doubles, inclusive
	choices  []choice // of picklists, states and statuses; of a boolean the two labels
	targets  []target // of lookups
	initial  any      // the value when a create leaves the column out, as it is stored; nil for null

	create, update bool   // whether clients may write it; a write that is not allowed is ignored
	level          string // RequiredLevel in metadata, None when empty; writes do not look at it

	ordinal int // position in the table, and in the values of a record
}

// choice is one option of a column. States and statuses name each other, by which completeState keeps the two columns of a record
// a valid pair.
type choice struct {
	value  int64
	label  string
	state  int64 // of a status: the state it belongs to
	status int64 // of a state: its default status
}

// target is one table that a lookup may point to, and the single-valued navigation property that leads there. A lookup to several
// tables has a property for each of them, such as postauthor_contact. Names of navigation properties are case-sensitive, and
// clients should read them from metadata: that of slaid, for one, follows no pattern.
type target struct{ table, nav string }

// wire returns the name of the column's value in answers, $select and $filter. A lookup is read as _name_value and written through
// a navigation property; its plain name is neither.
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

// nav returns the navigation property of the lookup that points to that table; empty when it cannot point there.
func (c *column) nav(table string) string {
	for _, t := range c.targets {
		if t.table == table {
			return t.nav
		}
	}
	return ""
}

// extra is a column that metadata describes but the Web API does not have, such as slaname beside the lookup slaid. A $select of it
// is refused. A client that chooses columns by metadata must look at IsValidODataAttribute; with these columns in the metadata, a
// client that forgets to fails in a test.
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
	system  bool     // part of the organization, not made by clients
	indexed []string // text columns that the store has an index for
	columns []column // the primary key first
	extras  []extra

	ordinal int                // position in the schema, and of the table's rows in the store
	setPath string             // one copy of the usual path for the log
	byName  map[string]*column // by logical name, as in the bodies of writes
	byWire  map[string]*column // by the name of its value, as in reads
	byNav   map[string]bind    // by navigation property
}

// bind is the lookup and the table that a navigation property stands for.
type bind struct {
	column *column
	target string
}

// activity reports whether the table is the one that conversion rules watch, and that disablesocialcare closes.
func (t *table) activity() bool { return t.name == "socialactivity" }

// schema is all tables of one organization. Metadata, validation and reads use no other description of them, so they cannot
// disagree about a column. It is built once and only read after that, without a lock.
type schema struct {
	tables []*table
	byName map[string]*table
	bySet  map[string]*table
}

// newSchema builds the tables in two passes, since a lookup may point to a table that comes later.
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
