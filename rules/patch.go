package rules

import (
	"errors"
	"reflect"

	"github.com/expr-lang/expr/ast"
)

// patch precomputes the constants of a condition, and makes its loops count their steps:
//
//	post.mentions("a", "b")   the keywords are split into words once, not for each post
//	date("2016-01-01")        the date is parsed once
//	any(list, body)           becomes any(list, spend(); body), which fails once the budget is spent
//	a + b, map(list, text)    charge the bytes of the new text
//
// The library limits the memory of a condition, but not its time: nested loops over the tags of one post that search its text could
// hold a worker up for long. A time limit would not do, since the same post must get the same answer on a slow machine.
type patch struct {
	depth int // of loops around the node
}

// walk patches the children before the node, so that the inner loop of two counts for itself.
func (p *patch) walk(place *ast.Node) {
	if isPredicate(*place) {
		p.depth++
		defer func() { p.depth-- }()
	}
	for _, c := range children(*place) {
		p.walk(c)
	}
	switch n := (*place).(type) {
	case *ast.CallNode:
		if name, ok := field(n.Callee); ok && name == "mentions" {
			if args, constant := texts(n.Arguments); constant {
				ks := &keywords{all: make([]keyword, len(args))}
				for i, a := range args {
					ks.all[i] = newKeyword(a.(string))
				}
				replace(place, mentionsFunc, &ast.ConstantNode{Value: ks})
			}
		}
	case *ast.BinaryNode:
		if n.Operator == "+" && kind(n) == reflect.String && !(isText(n.Left) && isText(n.Right)) {
			replace(place, joinFunc, n.Left, n.Right)
		}
	case *ast.BuiltinNode:
		p.builtin(place, n)
	}
}

// builtin patches a call of a function of expr-lang: those over constants, and loops.
func (p *patch) builtin(place *ast.Node, n *ast.BuiltinNode) {
	switch n.Name {
	case "date", "duration", "timezone":
		if args, constant := texts(n.Arguments); constant {
			if value, err := call(n.Name, args); err == nil {
				constant := &ast.ConstantNode{Value: value}
				constant.SetType(reflect.TypeOf(value))
				ast.Patch(place, constant)
			}
		}
		return
	}
	if len(n.Arguments) < 2 {
		return
	}
	predicate, ok := n.Arguments[len(n.Arguments)-1].(*ast.PredicateNode)
	if !ok {
		return
	}
	if n.Name == "map" && kind(predicate.Node) == reflect.String {
		replace(&predicate.Node, growFunc, predicate.Node)
	}
	reads := scans(predicate.Node)
	list, _ := field(n.Arguments[0])
	if p.depth == 0 && reads == 0 && (list == "tags" || list == "topics") {
		return // at most payload.MaxNames cheap steps
	}
	body, spend := predicate.Node, predicate.Node
	replace(&spend, spendFunc, &ast.IntegerNode{Value: reads})
	metered := &ast.SequenceNode{Nodes: []ast.Node{spend, body}}
	metered.SetType(body.Type())
	ast.Patch(&predicate.Node, metered)
}

// replace replaces a node by a call of one of our functions, with the post as the first argument.
func replace(place *ast.Node, name string, args ...ast.Node) {
	at := (*place).Location()
	nodes := append([]ast.Node{&ast.IdentifierNode{Value: "post"}}, args...)
	callee := &ast.IdentifierNode{Value: name}
	for _, n := range append(nodes, callee) {
		if n.Location().To == 0 {
			n.SetLocation(at)
		}
	}
	ast.Patch(place, &ast.CallNode{Callee: callee, Arguments: nodes})
}

func isText(n ast.Node) bool {
	_, ok := n.(*ast.StringNode)
	return ok
}

// scans counts the operations that read a whole text each time they are evaluated. Those of an inner loop count for the outer one
// too, so the charge is rather too high. Calls of our own functions are among them.
func scans(n ast.Node) int {
	count := 0
	switch n := n.(type) {
	case *ast.BinaryNode:
		switch n.Operator {
		case "contains", "matches", "+", "in", "..":
			count = 1
		}
	case *ast.CallNode:
		count = 1
	case *ast.BuiltinNode:
		switch n.Name {
		case "lower", "upper", "trim", "split", "indexOf", "lastIndexOf", "string":
			count = 1
		}
	}
	for _, c := range children(n) {
		count += scans(*c)
	}
	return count
}

var errWork = errors.New("the condition does too much on this post: it loops over too many values, or makes too much text; simplify it")

// spend charges a number of steps, and of scans of the post's text, to the condition's budget.
func (v *post) spend(steps, scans int) error {
	const scanned = 32 // bytes of text that are read in the time of one step
	return v.charge(steps + scans*(len(v.Text)+len(v.Title))/scanned)
}

// grow charges bytes of new text to the budget.
func (v *post) grow(bytes int) error { return v.charge(bytes) }

// charge takes work from the budget of the current condition, and fails when nothing is left. Every condition starts with maxWork
// (run.ask), so one that does too much takes nothing from the others.
func (v *post) charge(work int) error {
	if v.work -= work; v.work < 0 {
		return errWork
	}
	return nil
}
