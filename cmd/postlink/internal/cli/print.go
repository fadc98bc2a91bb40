package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Table says how a list of T is shown to people. Programs get the T itself, as JSON.
type Table[T any] struct {
	Columns []Column
	Row     func(T) []string // a cell for each column
	None    string           // printed to standard error in place of an empty list
}

// Printer prints a list page by page, so that a long one needs no memory: for people as a table that fits the terminal, for
// programs as {"items":[...],"next_cursor":"..."}. End has to be called, or the JSON is not closed: a list that broke off in the middle
// is no JSON, so that a program cannot take it for the whole.
type Printer[T any] struct {
	table     Table[T]
	out, talk io.Writer
	json      bool
	terminal  int
	layout    *layout
	printed   int
}

// NewPrinter makes a printer to the output of a command.
func NewPrinter[T any](cmd *cobra.Command, asJSON bool, t Table[T]) *Printer[T] {
	return &Printer[T]{table: t, out: cmd.OutOrStdout(), talk: cmd.ErrOrStderr(), json: asJSON, terminal: Columns(cmd.OutOrStdout())}
}

// Printed is how many items were printed so far.
func (p *Printer[T]) Printed() int { return p.printed }

// Page prints some more items. The first page of a table prints the head and fixes the width of the columns for all that follow.
func (p *Printer[T]) Page(items []T) error {
	if p.json {
		return p.array(items)
	}
	if len(items) == 0 {
		return nil
	}
	rows := make([][]string, len(items))
	for i, item := range items {
		rows[i] = p.table.Row(item)
		for j, cell := range rows[i] {
			rows[i][j] = Line(cell)
		}
	}
	var text strings.Builder
	if p.layout == nil {
		l := newLayout(p.table.Columns, rows, p.terminal)
		p.layout = &l
		text.WriteString(l.head())
	}
	for _, row := range rows {
		text.WriteString(p.layout.line(row))
	}
	p.printed += len(items)
	_, err := io.WriteString(p.out, text.String())
	return err
}

// array prints items as members of the JSON array, which the first of them opens.
func (p *Printer[T]) array(items []T) error {
	for _, item := range items {
		before := ",\n    "
		if p.printed == 0 {
			before = "{\n  \"items\": [\n    "
		}
		p.printed++
		text, err := indented(item, "    ")
		if err != nil {
			return err
		}
		if _, err := io.WriteString(p.out, before+text); err != nil {
			return err
		}
	}
	return nil
}

// End ends the list; next is the cursor of what follows it, empty at the end.
func (p *Printer[T]) End(next string) error {
	if !p.json {
		if p.printed == 0 && next == "" {
			fmt.Fprintln(p.talk, p.table.None)
		}
		return nil
	}
	text := "\n  ]"
	if p.printed == 0 {
		text = "{\n  \"items\": []"
	}
	if next != "" {
		cursor, err := json.Marshal(next)
		if err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
		text += ",\n  \"next_cursor\": " + string(cursor)
	}
	_, err := io.WriteString(p.out, text+"\n}\n")
	return err
}

// List prints items that came at once.
func List[T any](cmd *cobra.Command, asJSON bool, t Table[T], items []T) error {
	p := NewPrinter(cmd, asJSON, t)
	if err := p.Page(items); err != nil {
		return err
	}
	return p.End("")
}

// Fact is one line of what is known of a single thing.
type Fact struct{ Name, Value string }

// Show prints one thing: as JSON, or the facts that are not empty. On a terminal a long value goes on below itself. Facts may leave out
// or reword parts of the thing; the JSON has all of it.
func Show(cmd *cobra.Command, asJSON bool, thing any, facts ...Fact) error {
	out := cmd.OutOrStdout()
	if asJSON {
		text, err := indented(thing, "")
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, text+"\n")
		return err
	}
	_, err := io.WriteString(out, factLines(facts, Columns(out)))
	return err
}

// factLines puts the values below each other, behind their names. Lines after the first of a value have no name; terminal is
// the width, 0 for no limit.
func factLines(facts []Fact, terminal int) string {
	var text strings.Builder
	names := 0
	for _, f := range facts {
		if f.Value != "" {
			names = max(names, Width(f.Name))
		}
	}
	for _, f := range facts {
		if strings.TrimSpace(f.Value) == "" {
			continue
		}
		name := f.Name
		for line := range strings.Lines(Harmless(strings.TrimSpace(f.Value))) {
			room := 0
			if terminal > 0 {
				room = max(terminal-names-gap, leastCause)
			}
			for _, part := range Wrap(strings.TrimRight(line, "\n"), room) {
				text.WriteString(strings.TrimRight(Pad(name, names)+strings.Repeat(" ", gap)+part, " ") + "\n")
				name = ""
			}
		}
	}
	return text.String()
}

// indented is a value as JSON that people can read and programs can parse.
func indented(v any, prefix string) (string, error) {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent(prefix, "  ")
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("write JSON: %w", err)
	}
	return strings.TrimSuffix(text.String(), "\n"), nil
}
