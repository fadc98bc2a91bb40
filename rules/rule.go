package rules

// Rule ties a condition over posts to the link that a matching post gets.
type Rule struct {
	Name   string // unique in the catalog, case-sensitive
	Active bool   // an inactive rule neither acts nor shadows older ones
	When   string // the condition, in expr-lang
	Link   Link
	Age    uint64   // order in which rule names entered the catalog: the highest is the newest; editing keeps it
	Pos    Position // where the rule was read from; zero when it came from the store
}

// Link is the action of a rule: which record, where.
type Link struct {
	Instance string
	Entity   string // logical name of the preferred record type
	Notes    string // at most payload.MaxNotes
}

// Position is a place in a catalog file. Line and Column count from 1.
type Position struct {
	File   string
	Line   int
	Column int
}
