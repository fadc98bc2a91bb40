package source

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Position is a place in a file. Line and Column count from 1, columns in characters. Without a file it is a place in a text that
// was not read from one.
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

// Problem is one thing that is wrong in a file, and where.
type Problem struct {
	Pos     Position
	Rule    string // name of the rule that it is about; may be empty
	Message string // what is wrong, and what to do
	Snippet string // the line it stands in, and a caret under the place; may be empty
}

// String is `file:line:col: rule "name": what is wrong`, and the snippet on lines of its own.
func (p Problem) String() string {
	var b strings.Builder
	if at := p.Pos.String(); at != "" {
		b.WriteString(at + ": ")
	}
	if p.Rule != "" {
		b.WriteString("rule " + strconv.Quote(p.Rule) + ": ")
	}
	b.WriteString(p.Message)
	if p.Snippet != "" {
		b.WriteString("\n" + p.Snippet)
	}
	return b.String()
}

// Problems is everything that is wrong with some files, as an error. Empty means that nothing is wrong. An empty list is still an
// error that is not nil, so a list that may be empty is returned by Err.
type Problems []Problem

// Error lists all problems in the order they have, a line or a line with its snippet for each.
func (ps Problems) Error() string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.String()
	}
	return strings.Join(texts, "\n")
}

// Sort brings the problems into the order of the files they are in, and drops repeated ones.
func (ps *Problems) Sort() {
	slices.SortStableFunc(*ps, func(a, b Problem) int {
		return cmp.Or(a.Pos.compare(b.Pos), cmp.Compare(a.Rule, b.Rule))
	})
	*ps = slices.Compact(*ps)
}

// Err returns ps sorted, or nil when there are none. The error is of type Problems. Sorting changes the order in ps too.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	ps.Sort()
	return ps
}
