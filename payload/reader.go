package payload

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

const (
	maxDepth = 64 // a document nested this deep is refused
	maxPath  = 8  // more than the nesting of the fields that we read; what we skip needs no path
)

// reader walks one JSON document (RFC 8259) from left to right, without a tree. It keeps the first error with its field. After an
// error every call returns a zero value, so callers need not check for errors.
//
// An object is walked as
//
//	for ok := r.object(); ok; ok = r.next() { switch string(r.name()) { ... default: r.skip() } }
//
// and each round takes exactly one value. A null reads as the zero value of whatever is wanted.
//
// Every post of the stream passes here, so it keeps only what is read, and copies no value that is skipped. encoding/json would
// not do: it takes names in any case for the same, and its errors can repeat parts of the post.
type reader struct {
	data    []byte
	pos     int           // of the next byte
	invalid int           // offset of the first byte that is not UTF-8; len(data) when all are
	base    int           // how many steps of path stand outside the post: 1 in an event, 0 in a bare post
	path    [maxPath]step // path[:depth] is in use; enter does not check the length, since our code sets how deep it reads
	depth   int           // how many objects and arrays are entered
	err     *DecodeError
}

// step is one level of nesting: the field of an object, or the place in an array.
type step struct {
	name  []byte // nil while a field that we do not know is skipped: names from the event are not repeated in errors
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

// name is the name of the current field. It is valid until the next call.
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

// field reads a field's name and the colon after it. It drops the name of the field before first, so that a mistake in the new
// name is not reported under the old one.
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

// pass passes over the value here, which stands in depth objects and arrays. The limit of the nesting bounds the recursion: a
// document of nothing but brackets must not fill the stack.
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

// null takes a null, if that is what stands here.
func (r *reader) null() bool { return r.peek() == 'n' && r.literal() }

// literal takes null, true or false. Letters directly after it are a mistake that the next call finds.
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

// fail keeps the first error, with the name of the current field. It returns false, for its callers to return.
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

// kind is the type of a value, in words for errors; empty when it is no JSON value.
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
