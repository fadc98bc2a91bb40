package source

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// File is the text of a file, in lines as YAML counts them. A nil File has no lines.
type File struct {
	name  string
	lines []string
}

// NewFile splits a text into lines. Without a name it is a text that was not read from a file.
func NewFile(name, text string) *File {
	f := &File{name: name}
	for { // YAML ends lines at each of these, and at the pair \r\n
		i := strings.IndexAny(text, "\n\r\u0085\u2028\u2029")
		if i < 0 {
			break
		}
		f.lines = append(f.lines, text[:i])
		_, size := utf8.DecodeRuneInString(text[i:])
		if strings.HasPrefix(text[i:], "\r\n") {
			size = 2
		}
		text = text[i+size:]
	}
	f.lines = append(f.lines, text)
	return f
}

// line returns a line by its number, or "" when there is none.
func (f *File) line(n int) string {
	if f == nil || n < 1 || n > len(f.lines) {
		return ""
	}
	return f.lines[n-1]
}

// Position is the place of a character of the text, counted from 0. An offset after the last visible character gives the place
// right after it.
func (f *File) Position(offset int) Position {
	at := Position{File: f.name, Line: 1, Column: 1}
	for i, line := range f.lines {
		text := []rune(line)
		if visible := len([]rune(strings.TrimRight(line, " \t"))); visible > 0 {
			at.Line, at.Column = i+1, min(offset, visible)+1
		}
		if offset <= len(text) {
			break
		}
		offset -= len(text) + 1
	}
	return at
}

// start is the first place in a line that holds something.
func (f *File) start(line int) Position {
	text := f.line(line)
	return Position{File: f.name, Line: line, Column: 1 + len(text) - len(strings.TrimLeft(text, " \t"))}
}

// A snippet shows at most so many characters of a line, half of them before the caret.
const snippetWidth = 120

// Snippet is the line of a position with a caret under the column, both after a margin with the line's number. It is empty where
// there is no such line, or nothing to see in it.
func (f *File) Snippet(at Position) string {
	line := []rune(strings.Map(printable, f.line(at.Line)))
	if strings.TrimSpace(string(line)) == "" {
		return ""
	}
	column := min(max(at.Column-1, 0), len(line))
	start, end := 0, len(line)
	if end > snippetWidth {
		start = min(max(column-snippetWidth/2, 0), end-snippetWidth)
		end = start + snippetWidth
	}
	number := strconv.Itoa(at.Line)
	before := 0 // columns of the terminal, of which some characters take two
	for _, r := range line[start:column] {
		before += Columns(r)
	}
	return fmt.Sprintf("  %s | %s\n  %*s | %*s^", number, strings.TrimRight(string(line[start:end]), " "), len(number), "", before, "")
}

// Columns is how many columns of a terminal a character takes by itself: 2 when it is wide (Unicode UAX 11), 0 when it joins the
// one before it.
func Columns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) || r >= 0x1160 && r <= 0x11ff { // vowels and finals of Hangul
		return 0
	}
	if kind := width.LookupRune(r).Kind(); kind == width.EastAsianWide || kind == width.EastAsianFullwidth {
		return 2
	}
	return 1
}

// printable replaces what would break the columns of a snippet.
func printable(r rune) rune {
	if r < ' ' || r == 0x7F || r == utf8.RuneError {
		return ' '
	}
	return r
}
