package cli

import (
	"iter"
	"strings"
	"unicode"

	"postlink/rules/source"
)

const (
	joiner       = '\u200d' // joins emoji into one
	emojiVariant = '\ufe0f' // makes the character before it an emoji
	ellipsis     = "…"
)

// Harmless removes from a text what would control a terminal. Posts are written by strangers: escape sequences could rewrite what
// was printed before, and marks of the writing direction make a name look like another. Line ends stay; Line removes them too.
func Harmless(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case unicode.IsControl(r):
			return ' '
		case r == '\u061c', r == '\u200e', r == '\u200f', r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069': // writing direction
			return -1
		}
		return r
	}, text)
}

// Line is a text as one harmless line.
func Line(text string) string { return strings.Join(strings.Fields(Harmless(text)), " ") }

// Width is how many columns of a terminal a line takes.
func Width(line string) int {
	total := 0
	for _, w := range clusters(line) {
		total += w
	}
	return total
}

// Cut shortens a line to a number of columns. It marks the cut and splits no character that is made of several runes.
func Cut(line string, columns int) string {
	if Width(line) <= columns {
		return line
	}
	var (
		kept strings.Builder
		used int
	)
	for cluster, w := range clusters(line) {
		if used+w > columns-1 {
			break
		}
		kept.WriteString(cluster)
		used += w
	}
	return strings.TrimRight(kept.String(), " ") + ellipsis
}

// Pad fills a line with spaces up to a number of columns.
func Pad(line string, columns int) string {
	return line + strings.Repeat(" ", max(0, columns-Width(line)))
}

// Wrap breaks a line at its spaces into lines of at most so many columns. A longer word stands alone and is not broken, so that
// a URL can be copied.
func Wrap(line string, columns int) []string {
	if columns <= 0 || Width(line) <= columns {
		return []string{line}
	}
	var lines []string
	current, used := "", 0
	for word := range strings.FieldsSeq(line) {
		w := Width(word)
		switch {
		case current == "":
			current, used = word, w
		case used+1+w <= columns:
			current, used = current+" "+word, used+1+w
		default:
			lines = append(lines, current)
			current, used = word, w
		}
	}
	return append(lines, current)
}

// clusters yields what a terminal shows as one character, with the columns that it takes. It follows the rules of Unicode's
// UAX 11 and 29 as far as terminals do: combining marks take no room, flags and joined emoji take two columns.
func clusters(line string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		start, columns := 0, 0
		pairs := 0 // regional indicators in a row; two of them are a flag
		var last rune
		for i, r := range line {
			flag := pairs == 1 && regional(r)
			switch {
			case i > start && (r == emojiVariant || flag):
				columns, pairs = 2, 0
			case i > start && (source.Columns(r) == 0 || last == joiner || columns == 2 && skinTone(r)):
			default:
				if i > start && !yield(line[start:i], columns) {
					return
				}
				start, columns, pairs = i, source.Columns(r), 0
				if regional(r) {
					pairs = 1
				}
			}
			last = r
		}
		if start < len(line) {
			yield(line[start:], columns)
		}
	}
}

func skinTone(r rune) bool { return r >= 0x1f3fb && r <= 0x1f3ff }

func regional(r rune) bool { return r >= 0x1f1e6 && r <= 0x1f1ff }
