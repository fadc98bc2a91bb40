package payload

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Units counts the UTF-16 code units of s, the measure of every limit in Dynamics: an emoji is two. A byte that is not UTF-8
// counts as one, like the U+FFFD that Clean puts there.
func Units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// Cut returns the longest start of s that has at most limit UTF-16 units and ends between runes. It may divide a sign of several
// runes, such as a flag. No rune has more units than bytes, so a text of few enough bytes is returned without a count.
func Cut(s string, limit int) string {
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

// Clean drops the characters that Dynamics refuses, and replaces each byte that is not UTF-8 by U+FFFD. It copies only a text
// that it changes.
func Clean(s string) string {
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

// oneLine puts single spaces where a text has white space and line breaks, and none at its ends. The loop only finds out whether
// there is anything to change: most texts are returned as they are, without a copy.
func oneLine(s string) string {
	spaced := true // there is white space before r, or nothing
	for _, r := range s {
		if unicode.IsSpace(r) && (spaced || r != ' ') {
			return strings.Join(strings.Fields(s), " ")
		}
		spaced = r == ' '
	}
	if spaced {
		return strings.Join(strings.Fields(s), " ")
	}
	return s
}

// whole returns the original of a share whose text is clipped: the text, after any "RT @handle: ", is the start of the original
// followed by "…". White space is not compared, since networks replace line breaks. In every other case whole returns the text.
// The loop drops one "RT @handle: " after another, because a share of a share has several.
func whole(shared, original string) string {
	start, clipped := strings.CutSuffix(strings.TrimSpace(shared), "…")
	if !clipped || original == "" {
		return shared
	}
	line := oneLine(original)
	for start = oneLine(start); start != ""; {
		if more, found := strings.CutPrefix(line, start); found && strings.Trim(more, " …") != "" {
			return original
		}
		rest, retweet := strings.CutPrefix(start, "RT @")
		_, rest, colon := strings.Cut(rest, ": ")
		if !retweet || !colon {
			break
		}
		start = rest
	}
	return shared
}

// lastName splits a name into its last word and the words before it. Emojis and other signs at the end are not part of the name.
// Without any letter or digit there is no last name.
func lastName(name string) (first, last string) {
	words := strings.Fields(name)
	for n, word := range slices.Backward(words) {
		word = trimEmoji(word)
		if strings.ContainsFunc(word, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }) {
			return strings.Join(words[:n], " "), word
		}
	}
	return "", ""
}

// trimEmoji drops the emojis at the end of a word, with the signs that join and vary them.
func trimEmoji(word string) string {
	const (
		variation = '\ufe0f' // shows the character before it as an emoji
		keycap    = '\u20e3' // makes a key of the digit before it
	)
	for word != "" {
		r, width := utf8.DecodeLastRuneInString(word)
		switch {
		case r == keycap:
			word = strings.TrimRight(strings.TrimSuffix(word, string(keycap)), string(variation))
			word = strings.TrimRight(word, "0123456789#*")
		case r == variation || unicode.In(r, unicode.So, unicode.Sk, unicode.Cf):
			word = word[:len(word)-width]
		default:
			return word
		}
	}
	return word
}
