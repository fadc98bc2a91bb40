package source

import (
	"regexp"

	"go.yaml.in/yaml/v3"
)

// At returns where a character of the value stands in its file. The offset counts the characters of the value from 0. The result
// is exact for every way to write a text in YAML. An offset after the last visible character gives the place right after it.
//
// The YAML library knows only where a value starts, and the value has its escapes resolved and its lines folded. So At walks through
// file and value side by side, which takes time in proportion to the offset. If the two ever disagree, it returns the start.
func (n Node) At(offset int) Position {
	if n.yaml == nil {
		return Position{}
	}
	// A block (| or >) starts in the line after its header, a quoted text after its quote.
	c := cursor{file: n.file, line: n.yaml.Line, column: n.yaml.Column - 1, style: n.yaml.Style}
	switch {
	case c.style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		c.line, c.column = c.line+1, 0
	case c.style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		c.column++
	}
	c.load()
	value := []rune(n.yaml.Value)
	for end := len(value); offset >= end && end > 0; end-- { // the end of a text is reported after its last visible character
		offset = end
		if !isBlank(value[end-1]) {
			break
		}
	}
	for _, r := range value[:min(offset, len(value))] {
		if !c.take(r) {
			return n.Pos()
		}
	}
	if offset < len(value) && !isBlank(value[offset]) && !c.find(value[offset]) {
		return n.Pos()
	}
	return Position{File: n.file.name, Line: c.line, Column: c.column + 1}
}

// blankEscape is white space as an escape sequence.
var blankEscape = regexp.MustCompile(`^\\(?:[nt \t]|x20|x09|x0[aA]|u0020|u0009|u000[aA]|U0000(?:0020|0009|000[aA]))$`)

// isBlank reports whether a character is white space that YAML may fold.
func isBlank(r rune) bool { return r == ' ' || r == '\n' || r == '\t' }

// cursor walks through the text of a scalar in the file, in step with the characters of its value. Visible characters keep the two
// in step. White space may differ, so find skips it in the file, and take does not insist on it.
type cursor struct {
	file   *File
	line   int    // from 1
	text   []rune // of the line
	column int    // in the line, in characters from 0; may be its length
	style  yaml.Style
}

// load reads the line that the cursor is in.
func (c *cursor) load() { c.text = []rune(c.file.line(c.line)) }

// take moves past one character of the value. White space of the value may have any length in the file, also none, since
// lines are folded and indented.
func (c *cursor) take(r rune) bool {
	if !isBlank(r) {
		if !c.find(r) {
			return false
		}
		c.column += c.width()
		return true
	}
	if r != '\n' && c.column < len(c.text) && c.text[c.column] == r {
		c.column++
	} else if n := c.escape(); n > 1 && blankEscape.MatchString(string(c.text[c.column:min(c.column+n, len(c.text))])) {
		c.column += n
	}
	return true
}

// find skips white space up to a character of the value that is none.
func (c *cursor) find(r rune) bool {
	for {
		for c.column >= len(c.text) {
			if c.line >= len(c.file.lines) {
				return false
			}
			c.line, c.column = c.line+1, 0
			c.load()
		}
		switch at := c.text[c.column]; {
		case isBlank(at):
			c.column++
		case at == '\\' && c.escape() == 1: // the line goes on in the next one
			c.column++
		default:
			return at == r || c.escape() > 0
		}
	}
}

// width is the number of characters that stand for one of the value.
func (c *cursor) width() int { return max(1, c.escape()) }

// escape is the length of the escape sequence at the cursor, or 0.
func (c *cursor) escape() int {
	if c.column >= len(c.text) {
		return 0
	}
	at, next := c.text[c.column], rune(0)
	if c.column+1 < len(c.text) {
		next = c.text[c.column+1]
	}
	switch {
	case c.style&yaml.SingleQuotedStyle != 0 && at == '\'' && next == '\'':
		return 2
	case c.style&yaml.DoubleQuotedStyle == 0 || at != '\\':
		return 0
	}
	switch next {
	case 0:
		return 1
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}
