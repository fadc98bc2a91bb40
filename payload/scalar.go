package payload

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// text reads a string, without the characters that Dynamics refuses.
func (r *reader) text() string {
	s, escaped := r.plain("a string")
	if !escaped && !strings.Contains(s, "\xef\xbf") { // control characters are always escaped; U+FFFE and U+FFFF start with these bytes
		return s
	}
	return Clean(s)
}

// word reads a string that names one of a few things, in lower case.
func (r *reader) word() string { return strings.ToLower(strings.TrimSpace(r.text())) }

// plain reads a string with all its characters, and reports whether it has escapes.
func (r *reader) plain(want string) (s string, escaped bool) {
	if r.err != nil || r.null() {
		return "", false
	}
	if r.peek() != '"' {
		r.mismatch(want)
		return "", false
	}
	raw, escaped, _ := r.quoted()
	if escaped {
		return unescape(raw), true
	}
	return string(raw), false
}

// id reads a string or a whole number, of which every digit is kept: ids of networks exceed 2^53, which a float64 would round.
// Strings are trimmed and NFC-normalised, so that one id in two spellings names one post.
func (r *reader) id() string {
	if r.err == nil && kindOf(r.peek()) == kindNumber {
		raw, _ := r.digits()
		if bytes.ContainsAny(raw, ".eE") {
			r.fail("want a string or a whole number, found a number with a point or an exponent")
		}
		return string(raw)
	}
	s, _ := r.plain("a string or a whole number")
	s = norm.NFC.String(strings.TrimSpace(s))
	if strings.ContainsFunc(s, refused) {
		r.fail("holds a control character")
	}
	return s
}

// number reads any number.
func (r *reader) number() float64 {
	if r.err != nil || r.null() {
		return 0
	}
	if kindOf(r.peek()) != kindNumber {
		r.mismatch("a number")
		return 0
	}
	raw, ok := r.digits()
	if !ok {
		return 0
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		r.fail("the number is out of range")
	}
	return f
}

// whole reads a number without a fraction; 35.0 is one. Over 2^53 a float64 does not hold every whole number.
func (r *reader) whole() int {
	f := r.number()
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		r.fail("want a whole number")
		return 0
	}
	return int(f)
}

// dateLayouts are with and without a colon in the offset, as events have both. Fractions of a second need no layout.
var dateLayouts = [...]string{time.RFC3339, "2006-01-02T15:04:05Z0700"}

// date reads a time with its offset. Blank is missing.
func (r *reader) date() time.Time {
	s, _ := r.plain("a string")
	if s = strings.TrimSpace(s); s == "" {
		return time.Time{}
	}
	for _, layout := range dateLayouts {
		// time.Parse would use the local zone where the offsets agree.
		if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			return t
		}
	}
	r.fail("want a date and time with an offset, such as 2016-01-23T12:34:56-07:00")
	return time.Time{}
}

// quoted reads a string, and returns what stands between its quotes: a part of the document, with its escapes, which are valid.
// Only strings can hold more than ASCII, so a document that is not UTF-8 is noticed here, or else as text that is not JSON.
func (r *reader) quoted() (raw []byte, escaped, ok bool) {
	start := r.pos + 1
	for i := start; i < len(r.data); {
		switch c := r.data[i]; {
		case c == '"':
			r.pos = i + 1
			if start <= r.invalid && r.invalid < i {
				return nil, false, r.fail("not UTF-8")
			}
			return r.data[start:i], escaped, true
		case c == '\\':
			n := escapeLen(r.data[i:])
			if n == 0 {
				r.pos = i
				return nil, false, r.broken()
			}
			escaped = true
			i += n
		case c < ' ':
			r.pos = i
			return nil, false, r.broken()
		default:
			i++
		}
	}
	r.pos = len(r.data)
	return nil, false, r.broken()
}

// digits reads a number, as RFC 8259 writes it: no plus sign, no zeros in front, digits on both sides of the point.
func (r *reader) digits() (raw []byte, ok bool) {
	start := r.pos
	if r.data[r.pos] == '-' {
		r.pos++
	}
	switch {
	case r.at('0'):
		r.pos++
	case !r.run():
		return nil, r.broken()
	}
	if r.at('.') {
		r.pos++
		if !r.run() {
			return nil, r.broken()
		}
	}
	if r.at('e') || r.at('E') {
		r.pos++
		if r.at('+') || r.at('-') {
			r.pos++
		}
		if !r.run() {
			return nil, r.broken()
		}
	}
	return r.data[start:r.pos], true
}

func (r *reader) at(c byte) bool { return r.pos < len(r.data) && r.data[r.pos] == c }

// run takes one digit or more.
func (r *reader) run() bool {
	start := r.pos
	for r.pos < len(r.data) && '0' <= r.data[r.pos] && r.data[r.pos] <= '9' {
		r.pos++
	}
	return r.pos > start
}

// escapeLen is how many bytes the escape at the start of s takes, 0 when it is none.
func escapeLen(s []byte) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(s) >= 6 && hexRune(s[2:6]) >= 0 {
			return 6
		}
	}
	return 0
}

func hexRune(s []byte) rune {
	var r rune
	for _, c := range s {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return -1
		}
	}
	return r
}

// unescape resolves the escapes of raw, which quoted has checked. Half a surrogate pair becomes U+FFFD.
func unescape(raw []byte) string {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			u := hexRune(raw[i+2 : i+6])
			i += 6
			if utf16.IsSurrogate(u) {
				pair := utf8.RuneError
				if i+6 <= len(raw) && raw[i] == '\\' && raw[i+1] == 'u' {
					pair = utf16.DecodeRune(u, hexRune(raw[i+2:i+6]))
				}
				if pair != utf8.RuneError {
					i += 6
				}
				u = pair
			}
			out = utf8.AppendRune(out, u)
			continue
		default:
			out = append(out, c)
		}
		i += 2
	}
	return string(out)
}
