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

const (
	maxDepth = 64 // a document nested this deep is refused
	maxPath  = 8  // more than the nesting of the fields that we read; what we skip needs no path
)

// reader walks one JSON document (RFC 8259) from left to right, without a tree. It keeps the first thing that is wrong and
// the field where it was; from then on every call returns a zero value, so its callers need not check for errors.
//
// An object is walked as
//
//	for ok := r.object(); ok; ok = r.next() { switch string(r.name()) { ... default: r.skip() } }
//
// and each round takes exactly one value. A null reads as the zero value of whatever is wanted.
type reader struct {
	data    []byte
	pos     int
	invalid int // offset of the first byte that is not UTF-8; len(data) when all are
	base    int // how many steps of path stand outside the post: 1 in an event, 0 in a bare post
	path    [maxPath]step
	depth   int
	err     *DecodeError
}

// step is one level of nesting: the field of an object, or the place in an array.
type step struct {
	name  []byte // nil while a field that we do not know is skipped: strangers' names are not repeated in errors
	index int
	list  bool
}

func newReader(data []byte, base int) *reader {
	return &reader{data: data, base: base, invalid: firstInvalid(data)}
}

func firstInvalid(data []byte) int {
	if utf8.Valid(data) {
		return len(data)
	}
	i := 0
	for {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
}

// object enters an object and stands at its first field, or reports that there is none.
func (r *reader) object() bool {
	if !r.enter('{', "an object", step{}) {
		return false
	}
	if r.peek() == '}' {
		return r.leave()
	}
	return r.field()
}

// next goes to the object's next field, or leaves the object.
func (r *reader) next() bool {
	if r.err != nil {
		return false
	}
	switch r.peek() {
	case ',':
		r.pos++
		return r.field()
	case '}':
		return r.leave()
	}
	return r.broken()
}

// name is that of the field at hand. It is valid until the next call.
func (r *reader) name() []byte { return r.path[r.depth-1].name }

// array enters an array and stands at its first element, or reports that there is none.
func (r *reader) array() bool {
	if !r.enter('[', "an array", step{list: true}) {
		return false
	}
	if r.peek() == ']' {
		return r.leave()
	}
	return true
}

// element goes to the array's next element, or leaves the array.
func (r *reader) element() bool {
	if r.err != nil {
		return false
	}
	switch r.peek() {
	case ',':
		r.pos++
		r.path[r.depth-1].index++
		return true
	case ']':
		return r.leave()
	}
	return r.broken()
}

func (r *reader) enter(open byte, want string, s step) bool {
	if r.err != nil || r.null() {
		return false
	}
	if r.peek() != open {
		return r.mismatch(want)
	}
	r.pos++
	r.path[r.depth] = s
	r.depth++
	return true
}

func (r *reader) leave() bool {
	r.pos++
	r.depth--
	return false
}

// field reads a field's name and the colon after it.
func (r *reader) field() bool {
	r.path[r.depth-1].name = nil
	name, ok := r.label()
	r.path[r.depth-1].name = name
	return ok
}

func (r *reader) label() (name []byte, ok bool) {
	if r.peek() != '"' {
		return nil, r.broken()
	}
	raw, escaped, ok := r.quoted()
	if !ok {
		return nil, false
	}
	if r.peek() != ':' {
		return nil, r.broken()
	}
	r.pos++
	if escaped {
		return []byte(unescape(raw)), true
	}
	return raw, true
}

// end checks that nothing follows the document.
func (r *reader) end() {
	if r.err == nil && r.peek() != 0 {
		r.fail("a second document or other text follows the first")
	}
}

// skip passes over a value of any kind, in a field that we do not know.
func (r *reader) skip() {
	if r.err == nil {
		r.path[r.depth-1].name = nil
		r.pass(r.depth)
	}
}

func (r *reader) pass(depth int) bool {
	switch c := r.peek(); kindOf(c) {
	case kindString:
		_, _, ok := r.quoted()
		return ok
	case kindNumber:
		_, ok := r.digits()
		return ok
	case kindBool, kindNull:
		return r.literal()
	case kindObject, kindArray:
		if depth+1 >= maxDepth {
			return r.fail("nested " + strconv.Itoa(maxDepth) + " levels deep or deeper")
		}
		r.pos++
		closing := c + 2 // in ASCII both brackets close two after they open
		if r.peek() == closing {
			r.pos++
			return true
		}
		for {
			if c == '{' {
				if _, ok := r.label(); !ok {
					return false
				}
			}
			if !r.pass(depth + 1) {
				return false
			}
			switch r.peek() {
			case ',':
				r.pos++
			case closing:
				r.pos++
				return true
			default:
				return r.broken()
			}
		}
	}
	return r.broken()
}

// text reads a string, without the characters that Dynamics refuses.
func (r *reader) text() string { return clean(r.plain("a string")) }

// word reads a string that names one of a few things, in lower case.
func (r *reader) word() string { return strings.ToLower(strings.TrimSpace(r.text())) }

// plain reads a string as it was written.
func (r *reader) plain(want string) string {
	if r.err != nil || r.null() {
		return ""
	}
	if r.peek() != '"' {
		r.mismatch(want)
		return ""
	}
	raw, escaped, _ := r.quoted()
	if escaped {
		return unescape(raw)
	}
	return string(raw)
}

// id reads a string or a whole number, of which every digit is kept.
func (r *reader) id() string {
	if r.err == nil && kindOf(r.peek()) == kindNumber {
		raw, _ := r.digits()
		if bytes.ContainsAny(raw, ".eE") {
			r.fail("want a string or a whole number, found a number with a point or an exponent")
		}
		return string(raw)
	}
	s := norm.NFC.String(strings.TrimSpace(r.plain("a string or a whole number")))
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

// whole reads a number without a fraction; 35.0 is one.
func (r *reader) whole() int {
	f := r.number()
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		r.fail("want a whole number")
		return 0
	}
	return int(f)
}

// dateLayouts differ in the colon of the offset: events come with and without it. Fractions of a second need no layout.
var dateLayouts = [...]string{time.RFC3339, "2006-01-02T15:04:05Z0700"}

// date reads a time with its offset. Blank is missing.
func (r *reader) date() time.Time {
	s := strings.TrimSpace(r.plain("a string"))
	if s == "" {
		return time.Time{}
	}
	for _, layout := range dateLayouts {
		// Not time.Parse, which would bring in the zone of the machine.
		if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			return t
		}
	}
	r.fail("want a date and time with an offset, such as 2016-01-23T12:34:56-07:00")
	return time.Time{}
}

// null takes a null, if that is what stands here.
func (r *reader) null() bool { return r.peek() == 'n' && r.literal() }

func (r *reader) literal() bool {
	for _, word := range [...]string{"null", "true", "false"} {
		if bytes.HasPrefix(r.data[r.pos:], []byte(word)) {
			r.pos += len(word)
			return true
		}
	}
	return r.broken()
}

// peek is the next byte that is not white space, 0 at the end.
func (r *reader) peek() byte {
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; c {
		case ' ', '\n', '\t', '\r':
			r.pos++
		case 0:
			return 0xff // a NUL is not the end
		default:
			return c
		}
	}
	return 0
}

// quoted reads a string, and returns what stands between its quotes.
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

// digits reads a number.
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

// mismatch records a value of the wrong kind.
func (r *reader) mismatch(want string) bool {
	found := kindOf(r.peek())
	if found == "" {
		return r.broken()
	}
	return r.fail("want " + want + ", found " + found)
}

// broken records that the text here is not JSON.
func (r *reader) broken() bool {
	if r.pos >= len(r.data) {
		return r.fail("the text ends too early: is it truncated?")
	}
	if r.pos >= r.invalid {
		return r.fail("not UTF-8")
	}
	return r.fail("not JSON at byte " + strconv.Itoa(r.pos))
}

// fail keeps the first error, under the name of the field at hand. It returns false, for its callers to pass on.
func (r *reader) fail(reason string) bool {
	if r.err == nil {
		r.err = &DecodeError{Field: r.place(), Reason: reason}
	}
	return false
}

func (r *reader) place() string {
	place := "post"
	for i := r.base; i < r.depth; i++ {
		switch s := r.path[i]; {
		case s.list:
			place += "[" + strconv.Itoa(s.index) + "]"
		case s.name != nil:
			place += "." + string(s.name)
		}
	}
	return place
}

// kind says what a value is, in words for errors; empty when it is no JSON value.
type kind = string

const (
	kindString kind = "a string"
	kindNumber kind = "a number"
	kindObject kind = "an object"
	kindArray  kind = "an array"
	kindBool   kind = "a boolean"
	kindNull   kind = "null"
)

func kindOf(first byte) kind {
	switch first {
	case '"':
		return kindString
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return kindNumber
	case '{':
		return kindObject
	case '[':
		return kindArray
	case 't', 'f':
		return kindBool
	case 'n':
		return kindNull
	}
	return ""
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
