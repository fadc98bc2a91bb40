package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// usualColumns is the width of a terminal that does not report its own.
const usualColumns = 80

// IsTerminal reports whether a reader or writer is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Columns is the width of the terminal that a writer is, 0 when it is none.
func Columns(w io.Writer) int {
	if !IsTerminal(w) {
		return 0
	}
	if columns, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil && columns > 0 {
		return columns
	}
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && columns > 0 {
		return columns
	}
	return usualColumns
}

// Meter shows the progress of long work on a terminal, and nothing elsewhere. It overwrites one line, so nothing else may be printed
// there until Done. It has no lock: whoever shows it from several goroutines holds one.
type Meter struct {
	w     io.Writer // nil where nothing is shown
	what  string
	shown bool
}

// NewMeter makes a meter that counts what, as in "posts published".
func NewMeter(w io.Writer, what string) *Meter {
	if !IsTerminal(w) {
		w = nil
	}
	return &Meter{w: w, what: what}
}

// Show shows how many are done, of how many when total is above 0.
func (m *Meter) Show(done, total int) {
	if m.w == nil {
		return
	}
	m.shown = true
	of := ""
	if total > 0 {
		of = fmt.Sprintf(" of %d", total)
	}
	fmt.Fprintf(m.w, "\r\x1b[K%d%s %s", done, of, m.what)
}

// Done removes the meter from the terminal.
func (m *Meter) Done() {
	if m.shown {
		fmt.Fprint(m.w, "\r\x1b[K")
		m.shown = false
	}
}
