package rules

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"postlink/rules/source"
)

// Limits of a condition.
const (
	maxCondition = 16 << 10 // bytes
	maxNodes     = 5_000    // of its syntax tree
	maxNesting   = 2        // of all, any, filter and such in each other
	maxWork      = 1 << 18  // steps of all loops together, and bytes of text that it may make, on one post
)

// conditionCompiler turns conditions into programs. It caches types, so it serves one goroutine at a time. A condition goes
//
//	parser -> grammar -> checker -> types -> patch -> checker -> optimizer -> compiler
//
// where grammar, types and patch are ours. expr.Compile does the library's steps in one call, and so has no place for ours between
// them: grammar must come before the library's own check for the better message, and patch needs the types that the check finds.
type conditionCompiler struct {
	config *conf.Config
}

// newCompiler returns a compiler of conditions over env that must be true or false.
func newCompiler() *conditionCompiler {
	config := conf.New(env{}) // not a pointer: the library then finds fields by index instead of by name
	config.Expect = reflect.Bool
	config.MaxNodes = maxNodes
	for _, option := range hidden {
		option(config)
	}
	return &conditionCompiler{config: config}
}

// compile returns the program of a rule's condition, or what is wrong with it.
func (c *conditionCompiler) compile(r *Rule) (*vm.Program, *source.Problem) {
	tree, flaw := c.check(r.When)
	if flaw == nil {
		var program *vm.Program
		if program, flaw = c.assemble(tree); flaw == nil {
			return program, nil
		}
	}
	if flaw.at == wholeCondition {
		flaw.at = len([]rune(r.When)) - len([]rune(strings.TrimLeft(r.When, " \t\n")))
	}
	p := r.problem(flaw.at, "%s", flaw.message)
	return nil, &p
}

// flaw is a problem of a condition, and the character where it is.
type flaw struct {
	at      int // in characters of the condition, from 0, or one of the values below
	message string
}

// Values of flaw.at for flaws that have no character of their own. compile turns wholeCondition into the first visible character.
// conditionsEnd is an offset past every condition, which positions take for the place after the last visible character.
const (
	wholeCondition = -1
	conditionsEnd  = maxCondition
)

// check parses a condition and checks it against our part of the language, in the order that gives the best messages: names and
// functions first (grammar), then the library's check of types, then the kinds of values (types).
func (c *conditionCompiler) check(when string) (tree *parser.Tree, wrong *flaw) {
	defer func() { // the library's parser may panic on unusual conditions
		if crash := recover(); crash != nil {
			tree, wrong = nil, &flaw{message: fmt.Sprintf("the condition cannot be compiled: %v; write it in another way", crash)}
		}
	}()
	tree, err := parser.ParseWithConfig(when, c.config)
	if err != nil {
		return nil, explain(err)
	}
	g := grammar{}
	g.walk(tree.Node)
	if g.wrong != nil {
		return nil, g.wrong
	}
	if _, err := checker.Check(tree, c.config); err != nil {
		return nil, explain(err)
	}
	t := types{}
	t.walk(tree.Node)
	return tree, t.wrong
}

// assemble makes the program of a checked tree: it puts in the constants and the counters of work (patch), checks the types of the
// new nodes, and compiles. It changes the tree, so a tree can be assembled once.
func (c *conditionCompiler) assemble(tree *parser.Tree) (program *vm.Program, wrong *flaw) {
	defer func() {
		if crash := recover(); crash != nil {
			program, wrong = nil, &flaw{message: fmt.Sprintf("the condition cannot be compiled: %v; write it in another way", crash)}
		}
	}()
	p := patch{}
	p.walk(&tree.Node)
	_, err := checker.Check(tree, c.config)
	if err == nil {
		err = optimizer.Optimize(&tree.Node, c.config)
	}
	if err == nil {
		program, err = compiler.Compile(tree, c.config)
	}
	if err != nil {
		return nil, explain(err)
	}
	return program, nil
}

var (
	noField   = regexp.MustCompile(`^type \S+ has no (?:field|method) (\S+)$`)
	noName    = regexp.MustCompile(`^unknown name (\S+)$`)
	notBool   = regexp.MustCompile(`^expected bool, but got (.+)$`)
	goRegexp  = regexp.MustCompile(`^error parsing regexp: (.+)$`)
	assigning = `unexpected token Operator("=")`
)

// explain rewrites an error of the library in the words of rule authors. It depends on the wording of the library's messages; one
// that it does not know is passed on, with our type names replaced. Look at it whenever the library is updated.
func explain(err error) *flaw {
	f := &flaw{at: wholeCondition, message: own(err.Error())}
	if at, ok := errors.AsType[*file.Error](err); ok {
		f.at, f.message = at.From, own(at.Message)
	}
	switch {
	case f.message == assigning:
		f.message = "= does not compare; write =="
	case noName.MatchString(f.message):
		name := noName.FindStringSubmatch(f.message)[1]
		f.message = "unknown name " + name + "; " + hint(name)
	case notBool.MatchString(f.message):
		f.message = "the condition must be true or false, this is " + typeName(notBool.FindStringSubmatch(f.message)[1]) + "; compare it with something"
	case noField.MatchString(f.message):
		f.message = "unknown name " + noField.FindStringSubmatch(f.message)[1]
	case goRegexp.MatchString(f.message):
		f.message = "this is no regular expression: " + goRegexp.FindStringSubmatch(f.message)[1]
	case strings.HasPrefix(f.message, "unexpected token EOF"):
		f.at, f.message = conditionsEnd, "the condition ends too early; complete it"
	}
	return f
}

// typeName is the name of a library type for rule authors.
func typeName(t string) string {
	switch {
	case t == "string":
		return "a text"
	case t == "int" || t == "float64":
		return "a number"
	case strings.HasPrefix(t, "[]"):
		return "a list"
	case t == "unknown" || t == "interface {}" || t == "nil":
		return "a value of unknown type"
	}
	return t
}

// hint ends a message about an unknown name: what the author probably meant. The post is the only variable, so the usual mistake is
// a field without post in front.
func hint(name string) string {
	for _, n := range postNames {
		if strings.EqualFold(n, name) {
			return "did you mean post." + n + "?"
		}
	}
	return "conditions read the post, as in post.text"
}

// problem makes a Problem at a character of the rule's condition. The position is one in the file when the condition still is the
// text that was read from there, else one in the condition itself.
func (r *Rule) problem(at int, format string, args ...any) source.Problem {
	p := source.Problem{Rule: r.Name, Message: fmt.Sprintf(format, args...)}
	if r.Origin != nil && r.Origin.when.Scalar() == r.When {
		p.Pos = r.Origin.when.At(at)
		p.Snippet = r.Origin.when.Snippet(p.Pos)
		return p
	}
	text := source.NewFile("", r.When)
	p.Pos = text.Position(at)
	p.Snippet = text.Snippet(p.Pos)
	if r.Pos != (source.Position{}) {
		p.Pos = r.Pos
	}
	return p
}

// hidden are functions that patch puts into conditions. Rule authors cannot call them: their names are not valid in a condition.
// The first argument of each is the post, which holds the budget; an error ends the condition as a failure.
var hidden = []expr.Option{
	expr.Function(mentionsFunc, func(params ...any) (any, error) {
		return params[0].(*post).holdsAny(params[1].(*keywords).all), nil
	}, new(func(*post, *keywords) bool)),
	expr.Function(spendFunc, func(params ...any) (any, error) {
		return true, params[0].(*post).spend(1, params[1].(int))
	}, new(func(*post, int) bool)),
	expr.Function(growFunc, func(params ...any) (any, error) {
		return params[1], params[0].(*post).grow(len(params[1].(string)))
	}, new(func(*post, string) string)),
	expr.Function(joinFunc, func(params ...any) (any, error) {
		a, b := params[1].(string), params[2].(string)
		if err := params[0].(*post).grow(len(a) + len(b)); err != nil {
			return nil, err
		}
		return a + b, nil
	}, new(func(*post, string, string) string)),
}

const (
	mentionsFunc = "post.mentions"
	spendFunc    = "post.spend"
	growFunc     = "post.grow"
	joinFunc     = "post.join"
)

// keywords are the constant arguments of a call to post.mentions.
type keywords struct{ all []keyword }

// isPost reports whether a node is the variable post itself.
func isPost(n ast.Node) bool {
	id, ok := n.(*ast.IdentifierNode)
	return ok && id.Value == "post"
}

// field returns the name of the post's field that a node reads, if it is one.
func field(n ast.Node) (string, bool) {
	if chain, ok := n.(*ast.ChainNode); ok {
		n = chain.Node
	}
	m, ok := n.(*ast.MemberNode)
	if !ok || !isPost(m.Node) {
		return "", false
	}
	name, ok := m.Property.(*ast.StringNode)
	if !ok {
		return "", false
	}
	return name.Value, true
}
