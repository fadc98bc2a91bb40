package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/client"
	"postlink/worker/console"
)

// longest is how many characters of a text a table shows.
const longest = 60

// table says how a list of T is shown to people.
type table[T any] struct {
	head []string
	row  func(T) []string
	none string // said in place of an empty list
}

// list prints items that came at once.
func list[T any](cmd *cobra.Command, asJSON bool, t table[T], items []T) error {
	p := newPrinter(cmd, asJSON, t)
	if err := p.page(items); err != nil {
		return err
	}
	return p.end()
}

// printer prints a list page by page, so that a long one needs no memory.
type printer[T any] struct {
	table[T]
	out, talk io.Writer
	json      bool
	printed   int
}

func newPrinter[T any](cmd *cobra.Command, asJSON bool, t table[T]) *printer[T] {
	return &printer[T]{table: t, out: cmd.OutOrStdout(), talk: cmd.ErrOrStderr(), json: asJSON}
}

func (p *printer[T]) page(items []T) error {
	if p.json {
		return p.array(items)
	}
	w := newTabs(p.out)
	for _, item := range items {
		if p.printed == 0 {
			w.line(p.head)
		}
		p.printed++
		w.line(p.row(item))
	}
	return w.Flush()
}

func (p *printer[T]) array(items []T) error {
	for _, item := range items {
		before := ",\n  "
		if p.printed == 0 {
			before = "[\n  "
		}
		p.printed++
		text, err := indented(item, "  ")
		if err != nil {
			return err
		}
		if _, err := io.WriteString(p.out, before+text); err != nil {
			return err
		}
	}
	return nil
}

func (p *printer[T]) end() error {
	switch {
	case p.json && p.printed == 0:
		_, err := io.WriteString(p.out, "[]\n")
		return err
	case p.json:
		_, err := io.WriteString(p.out, "\n]\n")
		return err
	case p.printed == 0:
		fmt.Fprintln(p.talk, p.none)
	}
	return nil
}

// paging is which part of a long list is wanted.
type paging struct {
	limit  int
	cursor string
	all    bool
}

func (p *paging) register(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().IntVar(&p.limit, "limit", 50, "list `N` at most")
	cmd.Flags().StringVar(&p.cursor, "cursor", "", "go on after a list that was cut, where it said")
	cmd.Flags().BoolVar(&p.all, "all", false, "list all")
	return cmd
}

// listPages prints a paged list; query are its filters, empty ones left out.
func listPages[T any](cmd *cobra.Command, c *client.Client, asJSON bool, p paging, path string, query url.Values, t table[T]) error {
	limit := p.limit
	switch {
	case p.all && cmd.Flags().Changed("limit"):
		return usageError(fmt.Errorf("--all and --limit contradict each other; give one of them"))
	case p.all:
		limit = 0
	case limit < 1:
		return usageError(fmt.Errorf("--limit %d: list one at least, or give --all", limit))
	}
	query.Set("cursor", p.cursor)
	shown := newPrinter(cmd, asJSON, t)
	next := ""
	for page, err := range client.Pages[T](cmd.Context(), c, path, query, limit) {
		if err != nil {
			return err
		}
		if err := shown.page(page.Items); err != nil {
			return err
		}
		next = page.NextCursor
	}
	if err := shown.end(); err != nil {
		return err
	}
	if next != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "there is more; go on with --cursor %s, or list --all\n", next)
	}
	return nil
}

// fact is one line of what is told of a single thing.
type fact struct{ name, value string }

// show prints one thing: as JSON, or the facts that are known of it.
func show(cmd *cobra.Command, asJSON bool, thing any, facts ...fact) error {
	out := cmd.OutOrStdout()
	if asJSON {
		text, err := indented(thing, "")
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, text+"\n")
		return err
	}
	w := newTabs(out)
	for _, f := range facts {
		if f.value == "" {
			continue
		}
		name := f.name
		for line := range strings.Lines(harmless(strings.TrimSpace(f.value))) {
			w.line([]string{name, strings.TrimRight(line, "\n")})
			name = ""
		}
	}
	return w.Flush()
}

// indented is a value as JSON for people to read and programs to parse.
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

// tabs aligns columns.
type tabs struct{ *tabwriter.Writer }

func newTabs(w io.Writer) tabs { return tabs{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)} }

func (t tabs) line(cells []string) {
	var text strings.Builder
	for i, c := range cells {
		if c == "" && i < len(cells)-1 {
			c = "-"
			if i == 0 {
				c = ""
			}
		}
		if i > 0 {
			text.WriteByte('\t')
		}
		text.WriteString(strings.ReplaceAll(c, "\t", " "))
	}
	fmt.Fprintln(t.Writer, strings.TrimRight(text.String(), "\t "))
}

// short is a text in one line that fits into a table.
func short(text string) string {
	text = strings.Join(strings.Fields(harmless(text)), " ")
	if runes := []rune(text); len(runes) > longest {
		return strings.TrimSpace(string(runes[:longest-1])) + "…"
	}
	return text
}

// harmless takes out of a text what would steer a terminal: posts are written by strangers.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case unicode.IsControl(r):
			return ' '
		case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069': // turns of the writing direction
			return -1
		}
		return r
	}, text)
}

// when is a time as the clock on the wall shows it; empty for none.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}

// postOf names the post of a link, in a way that works as long as the link is known.
func postOf(l console.Link) string { return postName(l.Network, l.PostID) }

func postName(network, id string) string {
	if network == "" {
		return id
	}
	return network + "/" + id
}
