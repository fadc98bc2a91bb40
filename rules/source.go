package rules

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// source is the text of a file, in lines as YAML counts them. A nil source has no lines.
type source struct {
	name  string
	lines []string
}

func newSource(name, text string) *source {
	s := &source{name: name}
	for {
		i := strings.IndexAny(text, "\n\r\u0085\u2028\u2029")
		if i < 0 {
			break
		}
		s.lines = append(s.lines, text[:i])
		_, width := utf8.DecodeRuneInString(text[i:])
		if strings.HasPrefix(text[i:], "\r\n") {
			width = 2
		}
		text = text[i+width:]
	}
	s.lines = append(s.lines, text)
	return s
}

// line returns a line by its number, or "" when there is none.
func (s *source) line(n int) string {
	if s == nil || n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// position is the place of a character of the text, counted from 0; behind the last visible one it is the place behind that.
func (s *source) position(offset int) Position {
	at := Position{File: s.name, Line: 1, Column: 1}
	for i, line := range s.lines {
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
func (s *source) start(line int) Position {
	text := s.line(line)
	return Position{File: s.name, Line: line, Column: 1 + len(text) - len(strings.TrimLeft(text, " \t"))}
}

// Of a long line, a snippet shows this many characters, and half of them before the caret.
const snippetWidth = 120

// snippet is the line of a position with a caret under the column, both behind a margin with the line's number.
func (s *source) snippet(at Position) string {
	line := []rune(strings.Map(printable, s.line(at.Line)))
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
	return fmt.Sprintf("  %s | %s\n  %*s | %*s^", number, strings.TrimRight(string(line[start:end]), " "), len(number), "", column-start, "")
}

// printable replaces what would break the columns of a snippet.
func printable(r rune) rune {
	if r < ' ' || r == 0x7F || r == utf8.RuneError {
		return ' '
	}
	return r
}

func quote(s string) string { return strconv.Quote(s) }
