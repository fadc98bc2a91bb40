package rules

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postlink/payload"
)

// MaxName is the longest name of a rule, in characters: names are shown in lists, and are labels of metrics.
const MaxName = 100

// Rule ties a condition over posts to the link that a matching post gets.
type Rule struct {
	Name   string // unique in the catalog, case-sensitive
	Active bool   // an inactive rule neither acts nor shadows older ones
	When   string // the condition, in expr-lang
	Link   Link
	Age    uint64    // order in which rule names entered the catalog: the highest is the newest; editing keeps it
	Since  time.Time // when it became active: posts that arrived before are not its business; zero means always
	Pos    Position  // where the rule was read from; zero when it came from the store
	Origin *Origin   // where its parts stand; nil when it came from the store
}

// Link is the action of a rule: which record, where.
type Link struct {
	Instance string
	Entity   string // logical name of the preferred record type
	Notes    string // at most payload.MaxNotes
}

// Origin says where the parts of a rule stand in its file.
type Origin struct {
	Name, When, Instance, Entity, Notes Position

	when Node
}

// Position is a place in a catalog file. Line and Column count from 1, columns in characters. Without a file it is a place in
// a condition that was not read from one.
type Position struct {
	File   string
	Line   int
	Column int
}

// String is file:line:col, without the parts that are not known.
func (p Position) String() string {
	var parts []string
	if p.File != "" {
		parts = append(parts, p.File)
	}
	if p.Line > 0 {
		parts = append(parts, strconv.Itoa(p.Line), strconv.Itoa(p.Column))
	}
	return strings.Join(parts, ":")
}

func (p Position) compare(o Position) int {
	return cmp.Or(cmp.Compare(p.File, o.File), cmp.Compare(p.Line, o.Line), cmp.Compare(p.Column, o.Column))
}

// validate holds everything but the condition's meaning against the limits.
func (r *Rule) validate() Problems {
	at := Origin{}
	if r.Origin != nil {
		at = *r.Origin
	}
	var problems Problems
	refuse := func(pos Position, format string, args ...any) {
		problems = append(problems, Problem{
			Pos: cmp.Or(pos, r.Pos), Rule: r.Name, Message: fmt.Sprintf(format, args...),
			Snippet: at.when.file.snippet(cmp.Or(pos, r.Pos)),
		})
	}
	if why := checkName(r.Name); why != "" {
		refuse(at.Name, "%s", why)
	}
	if strings.TrimSpace(r.When) == "" {
		refuse(at.When, "the condition is empty; write what a post must be, or true for every post")
	}
	if len(r.When) > maxCondition {
		refuse(at.When, "the condition has %d bytes, %d are allowed; split it into several rules", len(r.When), maxCondition)
	}
	if strings.TrimSpace(r.Link.Instance) == "" {
		refuse(at.Instance, "link.instance is empty; name a configured instance")
	}
	if strings.TrimSpace(r.Link.Entity) == "" {
		refuse(at.Entity, "link.entity is empty; name an entity that is configured for the instance, such as incident")
	}
	if n := payload.Units(r.Link.Notes); n > payload.MaxNotes {
		refuse(at.Notes, "the notes have %d characters, %d are allowed; shorten them", n, payload.MaxNotes)
	}
	return problems
}

// checkName says what is wrong with the name of a rule, if anything is.
func checkName(name string) string {
	odd := func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || r == utf8.RuneError
	}
	switch n := utf8.RuneCountInString(name); {
	case strings.TrimSpace(name) == "":
		return "the name is empty; give every rule a name"
	case n > MaxName:
		return fmt.Sprintf("the name has %d characters, %d are allowed; shorten it", n, MaxName)
	case strings.ContainsFunc(name, odd):
		return "the name holds a character that cannot be seen; keep it to one line of plain text"
	case strings.TrimSpace(name) != name:
		return "the name starts or ends with white space; remove it"
	}
	return ""
}
