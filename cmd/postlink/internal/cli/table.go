package cli

import (
	"slices"
	"strings"
)

const (
	gap        = 2  // columns between two cells
	longest    = 60 // columns of a cell that may be shortened, however wide the terminal is
	leastCause = 30 // columns that a cause gets, before it goes below its row
)

// Column is one column of a table, and how it behaves on a narrow terminal. The zero value is never cut.
type Column struct {
	Head    string
	Shorten int  // its cells may be cut down to so many columns; 0 for never
	Drop    int  // it is left out where the terminal is too narrow, 1 first; 0 for never
	Cause   bool // the last column: a text that is never cut and goes on below itself
}

// layout is how wide each column is. A table keeps the layout of its first page, so that later pages stand below the same head.
type layout struct {
	columns  []Column
	widths   []int  // of the cells; of a cause its room on the terminal, 0 for no limit
	dropped  []bool // by index of columns
	terminal bool
}

// newLayout fits a table with the given rows into a terminal of so many columns; 0 is no terminal, where only texts that may be
// shortened are, at their longest.
func newLayout(columns []Column, rows [][]string, terminal int) layout {
	l := layout{columns: columns, widths: make([]int, len(columns)), dropped: make([]bool, len(columns)), terminal: terminal > 0}
	for i, c := range columns {
		w := Width(c.Head)
		for _, row := range rows {
			w = max(w, Width(row[i]))
		}
		if c.Shorten > 0 {
			w = min(w, longest)
		}
		l.widths[i] = w
	}
	if terminal > 0 {
		l.fit(terminal)
	}
	return l
}

// fit leaves columns out, the least important first, until the rest can be shortened to the room there is, and then shortens the
// widest, one column of the terminal at a time, so that wide cells lose more than narrow ones. A table whose names need more than
// the room is wider than the terminal: a name that is cut cannot be copied into the next command.
func (l *layout) fit(room int) {
	for l.least() > room && l.dropNext() {
	}
	for l.total() > room {
		widest := -1
		for i, c := range l.columns {
			if !l.dropped[i] && l.widths[i] > l.leastOf(c, l.widths[i]) && (widest < 0 || l.widths[i] > l.widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return // what is left is never cut
		}
		l.widths[widest]--
	}
}

// leastOf is the width below which a column is not shortened; natural is the one that its cells need.
func (l *layout) leastOf(c Column, natural int) int {
	switch {
	case c.Cause:
		return min(natural, leastCause)
	case c.Shorten > 0:
		return min(natural, max(c.Shorten, Width(c.Head)))
	}
	return natural
}

// least is the width of the table with every column at its narrowest.
func (l *layout) least() int {
	return l.sum(func(i int) int { return l.leastOf(l.columns[i], l.widths[i]) })
}

// total is the present width of the table.
func (l *layout) total() int { return l.sum(func(i int) int { return l.widths[i] }) }

func (l *layout) sum(width func(i int) int) int {
	total := -gap
	for i := range l.columns {
		if !l.dropped[i] {
			total += width(i) + gap
		}
	}
	return total
}

// dropNext leaves out the least important column that is still there.
func (l *layout) dropNext() bool {
	next := -1
	for i, c := range l.columns {
		if c.Drop > 0 && !l.dropped[i] && (next < 0 || c.Drop < l.columns[next].Drop) {
			next = i
		}
	}
	if next >= 0 {
		l.dropped[next] = true
	}
	return next >= 0
}

// head is the line with the names of the columns.
func (l *layout) head() string {
	heads := make([]string, len(l.columns))
	for i, c := range l.columns {
		heads[i] = c.Head
	}
	return l.line(heads)
}

// line is one row of the table: one line, or several where a cause goes on below itself.
func (l *layout) line(row []string) string {
	var (
		text strings.Builder
		at   int // columns that are taken
	)
	for i, cell := range row {
		if l.dropped[i] {
			continue
		}
		c := l.columns[i]
		if c.Cause && l.terminal {
			text.WriteString(strings.Join(Wrap(cell, l.widths[i]), "\n"+strings.Repeat(" ", at)))
			break
		}
		if cell == "" && i < len(row)-1 {
			cell = "-"
		}
		if c.Shorten > 0 && (l.terminal || Width(cell) > longest) {
			cell = Cut(cell, l.widths[i])
		}
		text.WriteString(Pad(cell, l.widths[i]) + strings.Repeat(" ", gap))
		at += l.widths[i] + gap
	}
	lines := slices.Collect(strings.SplitSeq(text.String(), "\n"))
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}
