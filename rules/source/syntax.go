package source

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// bytewise hands out one byte at a time, so that the count of bytes read is where the parser stopped. The line numbers in the YAML
// library's errors are those of the surrounding block, and missing for the first line.
type bytewise struct {
	data []byte
	read int
}

func (b *bytewise) Read(p []byte) (int, error) {
	if b.read == len(b.data) {
		return 0, io.EOF
	}
	p[0] = b.data[b.read]
	b.read++
	return 1, nil
}

// unreadable returns the place of the first character that a YAML file must not hold. It looks before the library does, whose own
// error has no position that people could find in an editor.
func (f *File) unreadable() (Position, bool) {
	for i, line := range f.lines {
		column := 0
		for j, r := range line {
			column++
			_, width := utf8.DecodeRuneInString(line[j:])
			if r == utf8.RuneError && width == 1 || r < ' ' && r != '\t' || r == 0x7F || r > 0x7F && r < 0xA0 || r == 0xFFFE || r == 0xFFFF {
				return Position{File: f.name, Line: i + 1, Column: column}, true
			}
		}
	}
	return Position{}, false
}

// libraryLine is how the library's messages start when they have a line.
var libraryLine = regexp.MustCompile(`^line (\d+): `)

// syntaxError explains an error of the YAML library in our words. read is what the library had read when it failed. It depends on
// the wording of the library; a message that it does not know is passed on behind "this is not YAML".
func (f *File) syntaxError(err error, read []byte) (Position, string) {
	why := strings.TrimPrefix(err.Error(), "yaml: ")
	block := 0 // the line of the surrounding block, when the library gives it
	if m := libraryLine.FindStringSubmatch(why); m != nil {
		why = why[len(m[0]):]
		block, _ = strconv.Atoi(m[1])
	}
	line := max(1, len(NewFile("", string(bytes.TrimRight(read, "\r\n"))).lines))
	text := strings.TrimSpace(f.line(line))
	switch {
	case strings.HasPrefix(strings.TrimLeft(f.line(line), " "), "\t"):
		return f.start(line), "a tab cannot indent; use spaces"
	case why == "found unexpected end of stream":
		return f.start(max(min(block, line), 1)), "a quote opens in or after this line and never closes; close it"
	case strings.Contains(why, "',' or"):
		return f.start(min(block+1, line)), "a bracket opens in or after this line and is not closed in time; close it, or put a comma between the items"
	case strings.HasPrefix(why, "mapping values are not allowed"):
		return f.start(line), "a colon followed by a space makes a key here; put the text in quotes, or in a block that starts with |"
	case why == "found character that cannot start any token":
		return f.start(line), "a value cannot start with @, ` or %; put it in quotes"
	case why == "did not find expected key" || why == "did not find expected '-' indicator":
		return f.start(line), "this does not fit to the lines before it; look at the indentation, quotes and colons of both"
	case strings.HasPrefix(why, "unknown anchor"):
		return f.start(line), "aliases (*) are not allowed; write the value itself"
	case why == "did not find expected node content" && text != "":
		return f.start(line), "a value was expected here; put it in quotes"
	}
	return f.start(line), "this is not YAML: " + why
}
