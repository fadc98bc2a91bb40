package payload

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Units counts the UTF-16 code units of s, the measure of every limit in Dynamics: an emoji is two.
func Units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// cut returns the longest start of s that has at most limit UTF-16 units and ends between runes.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := 0
	for i, r := range s {
		if n += utf16.RuneLen(r); n > limit {
			return s[:i]
		}
	}
	return s
}

// refused reports whether Dynamics answers 0x80040278 (InvalidCharactersInField) to a text with r: what XML 1.0 has no way
// to write, NUL above all.
func refused(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
}

// clean drops what Dynamics refuses, and replaces what is not UTF-8.
func clean(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, refused) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if refused(r) {
			return -1
		}
		return r
	}, s)
}
