package sandbox

import (
	"cmp"
	"strings"
	"time"

	"github.com/google/uuid"
)

// fields is what a filter is applied to: a record or a piece of metadata.
type fields interface {
	// field returns the value of a property: text, whole number, double, boolean, time, GUID or nil. The name may be a path,
	// such as postauthor_contact/fullname.
	field(name string) any
}

// typeOf returns the type of a property while a filter is parsed, or a refusal for one that does not exist. With it a filter is
// refused as a whole before the first record is read, so that the answer does not depend on which records exist.
type typeOf func(name string) (kind, error)

// filter is a parsed $filter. It is immutable, and names only properties that typeOf knows. On records match may follow
// lookups into the store, so its caller holds the lock; on metadata it needs none.
type filter interface {
	match(f fields) bool
}

// The nodes of a filter. Null equals nothing but null; in orders it comes before everything, and gt and lt never hold for it. There
// is no third truth value as in SQL: where a column is null, contains does not hold, and not contains does.
type (
	both   struct{ left, right filter }
	either struct{ left, right filter }
	not    struct{ of filter }

	comparison struct {
		name string
		op   string
		want any
	}
	textMatch struct {
		name string
		fn   string
		want string // folded
	}
	truth struct{ name string } // a boolean property standing alone
)

func (e both) match(f fields) bool   { return e.left.match(f) && e.right.match(f) }
func (e either) match(f fields) bool { return e.left.match(f) || e.right.match(f) }
func (e not) match(f fields) bool    { return !e.of.match(f) }
func (e truth) match(f fields) bool  { return f.field(e.name) == true }

func (e comparison) match(f fields) bool {
	have := f.field(e.name)
	if have == nil || e.want == nil {
		equal := have == nil && e.want == nil
		return e.op == "eq" && equal || e.op == "ne" && !equal
	}
	c := compare(have, e.want)
	switch e.op {
	case "eq":
		return c == 0
	case "ne":
		return c != 0
	case "gt":
		return c > 0
	case "ge":
		return c >= 0
	case "lt":
		return c < 0
	}
	return c <= 0
}

func (e textMatch) match(f fields) bool {
	have, ok := f.field(e.name).(string)
	if !ok {
		return false
	}
	switch have = fold(have); e.fn {
	case "contains":
		return strings.Contains(have, e.want)
	case "startswith":
		return strings.HasPrefix(have, e.want)
	}
	return strings.HasSuffix(have, e.want)
}

// compare orders two values of one type; null comes first, text ignores case, as in the database. Whole numbers and doubles are
// compared as numbers. Other values of two types are never equal, and the first counts as greater: conditions of conversion
// rules may compare such values, where filters are refused by fit.
func compare(a, b any) int {
	switch a := a.(type) {
	case nil:
		if b == nil {
			return 0
		}
		return -1
	case string:
		if b, ok := b.(string); ok {
			return cmp.Compare(fold(a), fold(b))
		}
	case int64:
		switch b := b.(type) {
		case int64:
			return cmp.Compare(a, b)
		case float64:
			return cmp.Compare(float64(a), b)
		}
	case float64:
		switch b := b.(type) {
		case int64:
			return cmp.Compare(a, float64(b))
		case float64:
			return cmp.Compare(a, b)
		}
	case bool:
		if b, ok := b.(bool); ok {
			return cmp.Compare(bit(a), bit(b))
		}
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b)
		}
	case uuid.UUID:
		if b, ok := b.(uuid.UUID); ok {
			return strings.Compare(string(a[:]), string(b[:]))
		}
	}
	return 1 // b is null or of another type
}

// bit orders booleans: false before true.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// equalities collects, by property, the texts that every match must equal, so that an index can be used. Only comparisons joined
// by "and" count: one side of an "or" need not hold. The filter is applied to what the index finds, so it may find too much.
func equalities(f filter, found map[string]string) {
	switch f := f.(type) {
	case both:
		equalities(f.left, found)
		equalities(f.right, found)
	case comparison:
		if want, ok := f.want.(string); ok && f.op == "eq" {
			found[f.name] = want
		}
	}
}
