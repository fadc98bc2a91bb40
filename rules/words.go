package rules

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// words are the words of a text, in order: maximal runs of letters, marks, digits and _, each with the sign (@, # or $) that
// stands directly before it. Their folded form is kept in one buffer, which is reused for the next text.
type words struct {
	folded []byte
	all    []word
}

// word is a folded word: where it is in the buffer, and its sign or 0. It holds offsets, because the buffer moves when it grows.
type word struct {
	start, end int
	sign       byte
}

func (w words) reset() words { return words{folded: w.folded[:0], all: w.all[:0]} }

// of returns the words of a text. It reuses the memory of w. Most words of most posts are ASCII, which need no tables: they are folded
// byte by byte, the others by fold.
func (w words) of(text string) words {
	w = w.reset()
	for i := 0; i < len(text); {
		r, width := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, width = utf8.DecodeRuneInString(text[i:])
		}
		if !inWord(r) {
			i += width
			continue
		}
		end, ascii := i, true
		for end < len(text) {
			if r, width = rune(text[end]), 1; r >= utf8.RuneSelf {
				r, width = utf8.DecodeRuneInString(text[end:])
			}
			if !inWord(r) {
				break
			}
			ascii = ascii && r < utf8.RuneSelf
			end += width
		}
		found := word{start: len(w.folded)}
		if i > 0 && (text[i-1] == '@' || text[i-1] == '#' || text[i-1] == '$') {
			found.sign = text[i-1]
		}
		if ascii {
			for _, c := range []byte(text[i:end]) {
				if 'A' <= c && c <= 'Z' {
					c += 'a' - 'A'
				}
				w.folded = append(w.folded, c)
			}
		} else {
			w.folded = append(w.folded, fold(text[i:end])...)
		}
		found.end = len(w.folded)
		w.all = append(w.all, found)
		i = end
	}
	return w
}

// at returns the folded form of word i.
func (w *words) at(i int) []byte { return w.folded[w.all[i].start:w.all[i].end] }

// inWord reports whether a character belongs to a word: a letter, a mark, a digit of any script, or _.
func inWord(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_'
	}
	return unicode.In(r, unicode.Letter, unicode.Mark, unicode.Nd)
}

// fold gives one form to words that differ only in case, or in how accents are encoded. Folding can leave a decomposed form, so the
// result is normalized again.
func fold(s string) string { return norm.NFC.String(cases.Fold().String(norm.NFC.String(s))) }

// keyword is an argument of post.mentions: words that must stand in a row. Both sides are compared word by word and in folded form,
// so "phone" does not find "phones", and case, the encoding of accents and the punctuation between words make no difference.
type keyword []keywordWord

type keywordWord struct {
	text string
	sign byte // 0: found with and without a sign
}

// newKeyword returns the words of a text. A keyword without words is never found.
func newKeyword(text string) keyword {
	w := words{}.of(text)
	k := make(keyword, len(w.all))
	for i, found := range w.all {
		k[i] = keywordWord{string(w.at(i)), found.sign}
	}
	return k
}

// in reports whether the keyword occurs among the words of a text.
func (k keyword) in(w *words) bool {
	if len(k) == 0 {
		return false
	}
	for i := 0; i+len(k) <= len(w.all); i++ {
		if k.startsAt(w, i) {
			return true
		}
	}
	return false
}

// startsAt reports whether the keyword's words stand in a row from word i on. What is between the words does not count.
func (k keyword) startsAt(w *words, i int) bool {
	for j := range k {
		if string(w.at(i+j)) != k[j].text || k[j].sign != 0 && k[j].sign != w.all[i+j].sign {
			return false
		}
	}
	return true
}

// visible reports whether the keyword has a character other than marks. Marks alone, as in emoji, would match everywhere.
func (k keyword) visible() bool {
	for _, w := range k {
		for _, r := range w.text {
			if !unicode.Is(unicode.Mark, r) {
				return true
			}
		}
	}
	return false
}
