package rules

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"

	"postlink/rules/source"
)

// allowed are the functions of expr-lang that conditions may use. Their result depends on the post alone, so that a replay decides
// as the first run did, and cannot be much larger than the post, so that no condition can stop a worker.
var allowed = []string{
	"all", "any", "none", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex", "count", "sum",
	"len", "first", "last", "indexOf", "lastIndexOf", "hasPrefix", "hasSuffix",
	"lower", "upper", "trim", "trimPrefix", "trimSuffix", "split", "string", "int", "float",
	"abs", "ceil", "floor", "round", "min", "max", "mean", "median",
	"date", "duration", "timezone",
}

// refusals are the reasons why functions are not allowed, where they are not obvious.
var refusals = map[string]string{
	"now":      "now() would decide differently on every replay; compare post.publishedAt with date(...), or with post.acquiredAt",
	"keys":     "keys() has no fixed order",
	"values":   "values() has no fixed order",
	"toPairs":  "toPairs() has no fixed order",
	"get":      "get() does not check names; write post.text, or list[0]",
	"fromJSON": "fromJSON() gives values of unknown type",
}

// grammar checks a condition before its types are known. It keeps the first flaw. What it refuses the library would accept, or would
// refuse in words that do not help a rule author.
type grammar struct {
	wrong   *flaw
	nesting int // of loops around the node
}

// refuse keeps the first flaw, at the start of a node.
func (g *grammar) refuse(n ast.Node, format string, args ...any) {
	if g.wrong == nil {
		g.wrong = &flaw{at: n.Location().From, message: fmt.Sprintf(format, args...)}
	}
}

func (g *grammar) walk(n ast.Node) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		if n.Value == "$env" {
			g.refuse(n, "unknown name $env; %s", hint("$env"))
		}
	case *ast.MemberNode:
		g.member(n)
	case *ast.BinaryNode:
		g.letters(n, n.Left, n.Right)
		g.letters(n, n.Right, n.Left)
	case *ast.MapNode:
		g.refuse(n, "a condition cannot make maps; compare the values themselves")
	case *ast.BuiltinNode:
		g.function(n)
	case *ast.CallNode:
		if name, ok := field(n.Callee); ok && name == "mentions" {
			for _, arg := range n.Arguments {
				if text, ok := arg.(*ast.StringNode); ok && !newKeyword(text.Value).visible() {
					g.refuse(arg, "the keyword %s has no word in it; write letters or digits, with or without @, # or $ before them", strconv.Quote(text.Value))
				}
			}
		}
	case *ast.PredicateNode:
		if g.nesting++; g.nesting > maxNesting {
			g.refuse(n, "loops (all, any, filter, ...) stand more than %d deep in each other, which takes too long on a post with many tags; simplify", maxNesting)
		}
		defer func() { g.nesting-- }()
	}
	for _, c := range children(n) {
		g.walk(*c)
	}
}

// member checks names of fields. The library would report them without a suggestion. A name must be written out: post["te" + "xt"]
// could not be checked.
func (g *grammar) member(n *ast.MemberNode) {
	owner, known := "", []string(nil)
	if isPost(n.Node) {
		owner, known = "post", postNames
	} else if base, ok := field(n.Node); ok && base == "author" {
		owner, known = "post.author", authorNames
	}
	name, ok := n.Property.(*ast.StringNode)
	switch {
	case !ok && known != nil:
		g.refuse(n.Property, "write the name of the field, as in post.text")
	case !ok:
	case known != nil && !slices.Contains(known, name.Value):
		g.refuse(name, "unknown name %s.%s; %s", owner, name.Value, source.Suggest(name.Value, known))
	case name.Value == "Local":
		g.refuse(name, "the local time differs from worker to worker; write .In(timezone(\"Europe/Berlin\"))")
	}
}

// letters refuses to compare a lower-case field with a text that has upper-case letters: they are never equal.
func (g *grammar) letters(n *ast.BinaryNode, side, other ast.Node) {
	name, ok := field(side)
	if !ok || !lowerCase[name] {
		return
	}
	texts := []ast.Node{other}
	switch n.Operator {
	case "==", "!=", "contains", "startsWith", "endsWith":
	case "in":
		list, ok := other.(*ast.ArrayNode)
		if !ok {
			return
		}
		texts = list.Nodes
	default:
		return
	}
	for _, t := range texts {
		if text, ok := t.(*ast.StringNode); ok && strings.ToLower(text.Value) != text.Value {
			g.refuse(t, "post.%s is always in lower case, so it never equals %s; write %s", name, strconv.Quote(text.Value), strconv.Quote(strings.ToLower(text.Value)))
		}
	}
}

// function checks a call of a function of expr-lang. Dates, durations and time zones that are written as texts are evaluated here, so
// that a mistake in them is an error of the rule and not of every post.
func (g *grammar) function(n *ast.BuiltinNode) {
	if !slices.Contains(allowed, n.Name) {
		if why, ok := refusals[n.Name]; ok {
			g.refuse(n, "%s", why)
		} else {
			g.refuse(n, "%s() is not available; conditions test a post and build nothing large. There are: %s", n.Name, strings.Join(allowed, ", "))
		}
		return
	}
	args, constant := texts(n.Arguments)
	switch n.Name {
	case "timezone":
		if !constant && len(args) > 0 {
			g.refuse(n, "write the time zone itself, as in timezone(\"Europe/Berlin\")")
		}
		fallthrough
	case "date", "duration":
		for i, arg := range args {
			if arg == "Local" && (n.Name == "timezone" || i == 2) {
				g.refuse(n, "the local time differs from worker to worker; name a time zone, as in timezone(\"Europe/Berlin\")")
				return
			}
		}
		if constant {
			if _, err := call(n.Name, args); err != nil {
				g.refuse(n, "%v", err)
			}
		}
	}
}

// call evaluates a function of expr-lang on constant texts. Some functions check their arguments in Validate, the others take one.
// grammar calls it before the library has checked the number of arguments, so it is checked here.
func call(name string, args []any) (any, error) {
	f := builtin.Builtins[builtin.Index[name]]
	if f.Validate != nil {
		kinds := make([]reflect.Type, len(args))
		for i, a := range args {
			kinds[i] = reflect.TypeOf(a)
		}
		if _, err := f.Validate(kinds); err != nil {
			return nil, err
		}
	} else if len(args) != 1 {
		return nil, fmt.Errorf("%s() takes one text", name)
	}
	return f.Func(args...)
}

// texts returns the arguments that are written as texts (nil for others), and whether all are. A call without arguments is not
// constant.
func texts(nodes []ast.Node) (values []any, all bool) {
	all = len(nodes) > 0
	values = make([]any, len(nodes))
	for i, n := range nodes {
		if s, ok := n.(*ast.StringNode); ok {
			values[i] = s.Value
		} else {
			all = false
		}
	}
	return values, all
}

// types checks a condition once its types are known: values must be flat, so that none can grow beyond the condition and the post.
// It stops at the first flaw.
type types struct{ grammar }

// walk refuses the post or the author as a value, methods that are not called, lists in lists, which could double in size with each
// step, and + between values of unknown kind, which could be such lists.
func (t *types) walk(n ast.Node) {
	base, callee := ast.Node(nil), ast.Node(nil) // the children that may be other than plain values
	switch n := n.(type) {
	case *ast.MemberNode:
		base = n.Node
	case *ast.CallNode:
		callee = n.Callee
	case *ast.ChainNode:
		base = n.Node
	case *ast.BinaryNode:
		if n.Operator == "+" && (kind(n.Left) == reflect.Interface || kind(n.Right) == reflect.Interface) {
			t.refuse(n, "+ needs to know whether it adds texts or numbers; put string(), int() or float() around the values")
		}
	case *ast.ArrayNode:
		for _, item := range n.Nodes {
			if !flat(item) {
				t.refuse(item, "a list can hold texts, numbers, dates and true or false; nothing else")
			}
		}
	case *ast.BuiltinNode:
		if n.Name == "map" && !flat(n.Arguments[1].(*ast.PredicateNode).Node) {
			t.refuse(n, "map() can make texts, numbers, dates and true or false; nothing else")
		}
	}
	for _, c := range children(n) {
		switch k := kind(*c); {
		case k == reflect.Struct && *c != base && !isTime(*c):
			t.refuse(*c, "this is no value to compare; name one of its fields, as in post.author.name")
		case k == reflect.Func && *c != callee && *c != base && !isPredicate(*c):
			t.refuse(*c, "this must be called, as in post.mentions(\"word\")")
		}
		t.walk(*c)
	}
}

// isPredicate reports whether a node is the body of a loop, such as the second argument of any.
func isPredicate(n ast.Node) bool {
	_, ok := n.(*ast.PredicateNode)
	return ok
}

func isTime(n ast.Node) bool {
	t := n.Type()
	return t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[*time.Location]()
}

// kind is that of a node's value, without pointers; Interface when it is not known.
func kind(n ast.Node) reflect.Kind {
	t := n.Type()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind()
}

// flat reports whether a node's value is a text, a number, a boolean or a date. A duration is a number (Int64).
func flat(n ast.Node) bool {
	switch kind(n) {
	case reflect.Bool, reflect.String, reflect.Int, reflect.Int64, reflect.Float64:
		return true
	}
	return isTime(n)
}

// children returns the places of a node's children, in the order of the text. They are places, so that patch can put another node
// there. The library's own walk visits children first and knows no scopes, which nesting and depth need.
func children(n ast.Node) []*ast.Node {
	all := func(nodes []ast.Node) []*ast.Node {
		places := make([]*ast.Node, len(nodes))
		for i := range nodes {
			places[i] = &nodes[i]
		}
		return places
	}
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []*ast.Node{&n.Node}
	case *ast.BinaryNode:
		return []*ast.Node{&n.Left, &n.Right}
	case *ast.ChainNode:
		return []*ast.Node{&n.Node}
	case *ast.MemberNode:
		return []*ast.Node{&n.Node, &n.Property}
	case *ast.SliceNode:
		places := []*ast.Node{&n.Node}
		if n.From != nil {
			places = append(places, &n.From)
		}
		if n.To != nil {
			places = append(places, &n.To)
		}
		return places
	case *ast.CallNode:
		return append([]*ast.Node{&n.Callee}, all(n.Arguments)...)
	case *ast.BuiltinNode:
		return all(n.Arguments)
	case *ast.PredicateNode:
		return []*ast.Node{&n.Node}
	case *ast.VariableDeclaratorNode:
		return []*ast.Node{&n.Value, &n.Expr}
	case *ast.SequenceNode:
		return all(n.Nodes)
	case *ast.ConditionalNode:
		return []*ast.Node{&n.Cond, &n.Exp1, &n.Exp2}
	case *ast.ArrayNode:
		return all(n.Nodes)
	case *ast.MapNode:
		return all(n.Pairs)
	case *ast.PairNode:
		return []*ast.Node{&n.Key, &n.Value}
	}
	return nil
}
