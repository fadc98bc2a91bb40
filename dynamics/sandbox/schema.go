package sandbox

import (
	"fmt"
	"strings"
)

// kind is the type of a column.
type kind uint8

const (
	kindString kind = iota
	kindMemo
	kindEntityName
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

// kinds says how each kind is called in metadata and on the wire.
var kinds = [...]struct{ attribute, typeName, edm string }{
	kindString:     {"String", "String", "Edm.String"},
	kindMemo:       {"Memo", "Memo", "Edm.String"},
	kindEntityName: {"EntityName", "EntityName", "Edm.String"},
	kindInteger:    {"Integer", "Integer", "Edm.Int32"},
	kindBigInt:     {"BigInt", "BigInt", "Edm.Int64"},
	kindPicklist:   {"Picklist", "Picklist", "Edm.Int32"},
	kindState:      {"State", "State", "Edm.Int32"},
	kindStatus:     {"Status", "Status", "Edm.Int32"},
	kindDouble:     {"Double", "Double", "Edm.Double"},
	kindBoolean:    {"Boolean", "Boolean", "Edm.Boolean"},
	kindDateTime:   {"DateTime", "DateTime", "Edm.DateTimeOffset"},
	kindGUID:       {"Uniqueidentifier", "UniqueIdentifier", "Edm.Guid"},
	kindLookup:     {"Lookup", "Lookup", "Edm.Guid"},
	kindCustomer:   {"Customer", "Lookup", "Edm.Guid"},
	kindOwner:      {"Owner", "Lookup", "Edm.Guid"},
}

func (k kind) lookup() bool { return k >= kindLookup }

func (k kind) text() bool { return k <= kindEntityName }

func (k kind) whole() bool { return k >= kindInteger && k <= kindStatus }

func (k kind) choice() bool { return k >= kindPicklist && k <= kindStatus }

// column is one attribute of a table: what metadata says of it and what writes are checked against.
type column struct {
	name     string // logical name
	label    string
	kind     kind
	length   int // of texts, in UTF-16 code units
	min, max float64
	choices  []choice // of picklists, states and statuses; of a boolean the two labels
	targets  []target // of lookups
	initial  any      // the value when a create leaves the column out

	create, update bool // whether clients may write it
	level          string

	ordinal int // position in the table
}

type choice struct {
	value int64
	label string
	state int64 // of a status: the state it belongs to
}

// target is one table that a lookup may point to, and the single-valued navigation property that binds to it.
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

	ordinal int
	setPath string // one copy of the usual path for the log
	byName  map[string]*column
	byWire  map[string]*column
	byNav   map[string]bind
}

// bind is where a navigation property leads.
type bind struct {
	column *column
	target string
}

// activity reports whether the table is the one that record-creation rules watch.
func (t *table) activity() bool { return t.name == "socialactivity" }

// schema is all tables of one organization. Metadata, validation and reads take everything they know from it.
type schema struct {
	tables []*table
	byName map[string]*table
	bySet  map[string]*table
}

// newSchema links the tables: lookups lose the targets that are not installed, and regardingobjectid gains the related custom tables.
func newSchema(custom []CustomTable, absent []string) (*schema, error) {
	tables := standardTables()
	activity := tables[0]
	for _, c := range custom {
		if err := c.validate(); err != nil {
			return nil, err
		}
		tables = append(tables, c.table())
		if c.Related {
			regarding := activity.lookup("regardingobjectid")
			regarding.targets = append(regarding.targets, target{c.Name, "regardingobjectid_" + c.Name + "_socialactivity"})
		}
	}
	s := &schema{byName: map[string]*table{}, bySet: map[string]*table{}}
	gone := map[string]bool{}
	for _, name := range absent {
		gone[name] = true
	}
	for _, t := range tables {
		if gone[t.name] {
			continue
		}
		if s.byName[t.name] != nil || s.bySet[t.set] != nil {
			return nil, fmt.Errorf("table %s: there is already one of that name or set", t.name)
		}
		t.ordinal = len(s.tables)
		s.tables = append(s.tables, t)
		s.byName[t.name], s.bySet[t.set] = t, t
	}
	for _, t := range s.tables {
		t.link(s.byName)
	}
	return s, nil
}

// link fills the table's look-ups by name, after which it is never changed.
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
	}
}

func (t *table) lookup(name string) *column {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	return nil
}

// CustomTable is a table that the organization's makers added. Its primary key is Name+"id"; its columns are
// <prefix>_name (100), <prefix>_description (2000) and the owner, state and time columns of every table.
type CustomTable struct {
	Name    string `json:"name"`            // logical name with the publisher's prefix: new_complaint
	Set     string `json:"set,omitempty"`   // entity set; Name with an s when empty
	Label   string `json:"label,omitempty"` // display name; Name without its prefix, capitalised, when empty
	Related bool   `json:"related"`         // may be the regarding record of a social activity
}

func (c CustomTable) validate() error {
	prefix, rest, ok := strings.Cut(c.Name, "_")
	if !ok || prefix == "" || rest == "" {
		return fmt.Errorf("custom table %q: the name needs a publisher's prefix, as in new_complaint", c.Name)
	}
	for _, r := range c.Name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return fmt.Errorf("custom table %q: only lower case letters, digits and underscores are possible", c.Name)
		}
	}
	return nil
}

func (c CustomTable) table() *table {
	prefix, rest, _ := strings.Cut(c.Name, "_")
	set, label := c.Set, c.Label
	if set == "" {
		set = c.Name + "s"
	}
	if label == "" {
		label = strings.ToUpper(rest[:1]) + strings.ReplaceAll(rest[1:], "_", " ")
	}
	columns := []column{
		text(prefix+"_name", "Name", 100),
		memo(prefix+"_description", "Description", 2000),
	}
	return newTable(table{name: c.Name, set: set, label: label, plural: label + "s", id: c.Name + "id",
		title: prefix + "_name", custom: true, columns: append(columns, activeStates()...)})
}
