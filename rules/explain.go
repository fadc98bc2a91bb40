package rules

import (
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"postlink/payload"
)

// Outcome is what a rule makes of a post.
type Outcome string

// The outcomes of a rule.
const (
	Acts     Outcome = "acts"     // its condition holds, and it is the newest such rule
	Shadowed Outcome = "shadowed" // its condition holds, but a newer rule acts
	NoMatch  Outcome = "no match" // its condition does not hold
	Failed   Outcome = "error"    // its condition could not be evaluated
	Inactive Outcome = "inactive" // it is switched off; the clauses say what its condition would be
)

// Explanation says what a rule makes of a post, and why.
type Explanation struct {
	Rule    *Rule
	Outcome Outcome
	Err     error    // why, when Outcome is Failed
	Clauses []Clause // the parts of the condition that && joins, in order; the condition itself when it has none
}

// Clause is a part of a condition that must hold for the condition to hold.
type Clause struct {
	Text  string // in the library's spelling
	Holds bool
	Err   error // why it could not be evaluated; it does not keep the others from being told
}

// Explain says what every rule makes of the post, the newest first. It evaluates each clause on its own, be it decisive or not:
// this is for people, and far slower than Match.
func (s *Set) Explain(p *payload.Post) []Explanation {
	r := s.begin(p)
	defer s.end(r)
	c := newCompiler()
	told := make([]Explanation, len(s.rules))
	taken := false
	for i := range s.rules {
		rule := &s.rules[i]
		e := &told[i]
		e.Rule, e.Clauses = &rule.rule, c.clauses(rule.rule, r)
		holds, err := r.ask(rule.program)
		switch {
		case !rule.rule.Active:
			e.Outcome = Inactive
		case err != nil:
			e.Outcome, e.Err = Failed, rule.rule.failure(err)
		case !holds:
			e.Outcome = NoMatch
		case taken:
			e.Outcome = Shadowed
		default:
			e.Outcome, taken = Acts, true
		}
	}
	return told
}

// clauses evaluates the clauses of a rule's condition.
func (c *conditionCompiler) clauses(rule Rule, r *run) []Clause {
	tree, wrong := c.check(rule.When)
	if wrong != nil {
		return nil // a rule of a Set has been checked
	}
	var clauses []Clause
	split(tree.Node, func(text string, clause ast.Node) {
		told := Clause{Text: text}
		program, wrong := c.link(&parser.Tree{Node: clause, Source: file.NewSource(rule.When)})
		if wrong != nil {
			p := rule.problem(wrong.at, "%s", wrong.message)
			told.Err = Problems{p}
		} else if holds, err := r.ask(program); err != nil {
			told.Err = rule.failure(err)
		} else {
			told.Holds = holds
		}
		clauses = append(clauses, told)
	})
	return clauses
}

// split yields the clauses of a condition: as text, and as a condition of its own, with the variables that it uses.
func split(n ast.Node, yield func(text string, clause ast.Node)) {
	switch n := n.(type) {
	case *ast.BinaryNode:
		if n.Operator == "&&" || n.Operator == "and" {
			split(n.Left, yield)
			split(n.Right, yield)
			return
		}
	case *ast.VariableDeclaratorNode:
		split(n.Expr, func(text string, clause ast.Node) {
			declared := *n
			declared.Expr = clause
			yield(text, &declared)
		})
		return
	}
	yield(strings.TrimSpace(n.String()), n)
}
