package sandbox

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

const maxDepth = 64 // of parentheses and negations in a filter

// filterParser reads this grammar:
//
//	or         = and { "or" and }
//	and        = unary { "and" unary }
//	unary      = "not" unary | "(" or ")" | comparison | function
//	comparison = path ( "eq" | "ne" | "gt" | "ge" | "lt" | "le" ) literal | path
//	function   = ( "contains" | "startswith" | "endswith" ) "(" path "," text ")"
//
// A path alone stands for a boolean that has to be true. Other operators and functions of OData are 501.
//
// There is one method for each rule of the grammar, and the first error ends the parse. Types are checked on the way: a literal
// that the property cannot be compared with is 400, as in Dynamics, and not a filter that matches nothing.
type filterParser struct {
	src    string
	pos    int
	depth  int // of unary, at most maxDepth: a filter of 32 KiB must not make a stack of ten thousand calls
	typeOf typeOf
}

// parseFilter parses a $filter; resolve returns the types of its properties.
func parseFilter(src string, resolve typeOf) (filter, error) {
	p := &filterParser{src: src, typeOf: resolve}
	f, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.src) {
		return nil, p.syntax()
	}
	return f, nil
}

func (p *filterParser) or() (filter, error) {
	left, err := p.and()
	for err == nil && p.word("or") {
		var right filter
		if right, err = p.and(); err == nil {
			left = either{left, right}
		}
	}
	return left, err
}

func (p *filterParser) and() (filter, error) {
	left, err := p.unary()
	for err == nil && p.word("and") {
		var right filter
		if right, err = p.unary(); err == nil {
			left = both{left, right}
		}
	}
	return left, err
}

func (p *filterParser) unary() (filter, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, badRequest("The filter is nested deeper than %d.", maxDepth)
	}
	defer func() { p.depth-- }()
	if p.word("not") {
		of, err := p.unary()
		return not{of}, err
	}
	if p.sign('(') {
		inner, err := p.or()
		if err == nil && !p.sign(')') {
			err = p.syntax()
		}
		return inner, err
	}
	name := p.name()
	if name == "" {
		return nil, p.syntax()
	}
	if p.sign('(') {
		return p.function(name)
	}
	return p.comparison(name)
}

// function reads the arguments of a function.
func (p *filterParser) function(fn string) (filter, error) {
	switch fn {
	case "contains", "startswith", "endswith":
	default:
		return nil, unsupported("the query function " + clip([]byte(fn)))
	}
	name := p.name()
	k, err := p.property(name)
	if err != nil {
		return nil, err
	}
	if !k.text() {
		return nil, badRequest("No function signature for the function with name '%s' matches the specified arguments.", fn)
	}
	if !p.sign(',') {
		return nil, p.syntax()
	}
	value, err := p.literal()
	if err != nil {
		return nil, err
	}
	want, ok := value.(string)
	if !ok {
		return nil, badRequest("No function signature for the function with name '%s' matches the specified arguments.", fn)
	}
	if !p.sign(')') {
		return nil, p.syntax()
	}
	return textMatch{name, fn, fold(want)}, nil
}

// comparison reads what follows a property's name.
func (p *filterParser) comparison(name string) (filter, error) {
	k, err := p.property(name)
	if err != nil {
		return nil, err
	}
	for _, op := range []string{"eq", "ne", "gt", "ge", "lt", "le"} {
		if !p.word(op) {
			continue
		}
		want, err := p.literal()
		if err != nil {
			return nil, err
		}
		want, err = fit(k, op, want)
		return comparison{name, op, want}, err
	}
	for _, op := range []string{"in", "has", "add", "sub", "mul", "div", "mod"} {
		if p.word(op) {
			return nil, unsupported("the operator " + op)
		}
	}
	if k == kindBoolean {
		return truth{name}, nil
	}
	return nil, p.syntax()
}

// property returns the type of a property that has just been read, or refuses it.
func (p *filterParser) property(name string) (kind, error) {
	if name == "" {
		return 0, p.syntax()
	}
	return p.typeOf(name)
}

// fit checks that a literal can be compared with a property, and returns the literal as it is compared. Null can be compared
// for equality with everything; numbers of all types with each other.
func fit(k kind, op string, want any) (any, error) {
	if want == nil {
		if op != "eq" && op != "ne" {
			return nil, badRequest("The null literal can only be compared with eq and ne.")
		}
		return nil, nil
	}
	ok, have := false, ""
	switch v := want.(type) {
	case string:
		ok, have = k.text(), "Edm.String"
	case int64:
		ok, have = k.whole() || k == kindDouble, "Edm.Int32"
	case float64:
		ok, have = k.whole() || k == kindDouble, "Edm.Double"
	case bool:
		ok, have = k == kindBoolean, "Edm.Boolean"
	case time.Time:
		ok, have = k == kindDateTime, "Edm.DateTimeOffset"
	case uuid.UUID:
		ok, have = k == kindGUID || k.lookup(), "Edm.Guid"
	case enumLiteral:
		if k == kindPicklist || k.text() {
			return string(v), nil
		}
	}
	if !ok {
		return nil, badRequest("A binary operator with incompatible types was detected. Found operand types '%s' and '%s' for operator kind '%s'.",
			kinds[k].edm, have, op)
	}
	return want, nil
}

// enumLiteral is a value such as Microsoft.Dynamics.CRM.AttributeTypeCode'Picklist', the form that Dynamics demands in filters on
// metadata. The sandbox has enums as text: it accepts plain text as well and does not look at the name of the enum.
type enumLiteral string

// literal reads null, a boolean, text in quotes, a GUID, a number, a time, a date, or an enumLiteral. A GUID is tried before a
// number and a number before a time, since all may begin with digits. A date is its midnight in UTC.
func (p *filterParser) literal() (any, error) {
	p.space()
	if p.pos < len(p.src) && p.src[p.pos] == '\'' {
		return p.quoted()
	}
	start := p.pos
	for p.pos < len(p.src) && !strings.ContainsRune(" (),'\t", rune(p.src[p.pos])) {
		p.pos++
	}
	token := p.src[start:p.pos]
	if p.pos < len(p.src) && p.src[p.pos] == '\'' && strings.HasPrefix(token, "Microsoft.Dynamics.CRM.") {
		text, err := p.quoted()
		return enumLiteral(text), err
	}
	switch token {
	case "":
		return nil, p.syntax()
	case "null":
		return nil, nil
	case "true", "false":
		return token == "true", nil
	}
	if id, err := parseGUID(token); err == nil {
		return id, nil
	}
	if n, err := strconv.ParseInt(token, 10, 64); err == nil {
		return n, nil
	}
	if first := token[0]; first == '-' || first >= '0' && first <= '9' {
		if x, err := strconv.ParseFloat(token, 64); err == nil {
			return x, nil
		}
		if at, err := time.Parse(time.RFC3339, token); err == nil {
			return at.UTC(), nil
		}
		if at, err := time.Parse(time.DateOnly, token); err == nil {
			return at, nil
		}
	}
	p.pos = start
	return nil, p.syntax()
}

// quoted reads text in single quotes, in which a doubled quote stands for one.
func (p *filterParser) quoted() (string, error) {
	var b strings.Builder
	for i := p.pos + 1; i < len(p.src); i++ {
		if p.src[i] != '\'' {
			b.WriteByte(p.src[i])
			continue
		}
		if i+1 < len(p.src) && p.src[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		p.pos = i + 1
		if !utf8.ValidString(b.String()) {
			return "", badRequest("The filter is not UTF-8.")
		}
		return b.String(), nil
	}
	return "", badRequest("There is an unterminated string literal at position %d in '%s'.", len(p.src), clip([]byte(p.src)))
}

func (p *filterParser) space() {
	for p.pos < len(p.src) && (p.src[p.pos] == ' ' || p.src[p.pos] == '\t') {
		p.pos++
	}
}

// word consumes the operator w if it comes next, and reports whether it did. "order" is not the operator "or".
func (p *filterParser) word(w string) bool {
	p.space()
	end := p.pos + len(w)
	if !strings.HasPrefix(p.src[p.pos:], w) || end < len(p.src) && nameByte(p.src[end]) {
		return false
	}
	p.pos = end
	return true
}

// sign consumes one character of punctuation if it comes next, and reports whether it did.
func (p *filterParser) sign(c byte) bool {
	p.space()
	if p.pos >= len(p.src) || p.src[p.pos] != c {
		return false
	}
	p.pos++
	return true
}

// name reads a property, a path or the name of a function; it is empty when there is none.
func (p *filterParser) name() string {
	p.space()
	start := p.pos
	for p.pos < len(p.src) && nameByte(p.src[p.pos]) {
		p.pos++
	}
	return p.src[start:p.pos]
}

func nameByte(c byte) bool {
	return c == '_' || c == '.' || c == '/' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func (p *filterParser) syntax() error {
	return badRequest("Syntax error at position %d in '%s'.", p.pos, clip([]byte(p.src)))
}
