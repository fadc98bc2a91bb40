package rules

import (
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"postlink/payload"
	"postlink/rules/source"
)

// Outcome is the result of a rule for a post.
type Outcome string

// The outcomes of a rule.
const (
	Acts     Outcome = "acts"     // its condition holds, and it is the newest such rule
	Shadowed Outcome = "shadowed" // its condition holds, but a newer rule acts
	NoMatch  Outcome = "no match" // its condition does not hold
	Failed   Outcome = "error"    // its condition could not be evaluated
	Inactive Outcome = "inactive" // it is switched off; its clauses are evaluated nevertheless
)

// Explanation is the outcome of a rule for a post, with the reasons.
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
	Err   error // why it could not be evaluated; the other clauses are still evaluated
}

// Explain returns the outcome of every rule for the post, the newest rule first. It evaluates every clause on its own, including
// those that do not decide. It is made for people, and is far slower than Match: it compiles each clause anew.
//
// It answers for a post that arrives now: Rule.Since is not looked at, so for an older post Match may choose another rule. It may
// be called while other goroutines use the set. Each clause has a budget of its own, so a condition can fail for too much work
// although each of its clauses is evaluated.
func (s *Set) Explain(p *payload.Post) []Explanation {
	r := s.begin(p)
	defer s.end(r)
	c := newCompiler()
	all := make([]Explanation, len(s.rules))
	taken := false
	for i := range s.rules {
		rule := &s.rules[i]
		e := &all[i]
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
	return all
}

// clauses evaluates the clauses of a rule's condition.
func (c *conditionCompiler) clauses(rule Rule, r *run) []Clause {
	tree, wrong := c.check(rule.When)
	if wrong != nil {
		return nil // a rule of a Set has been checked
	}
	var clauses []Clause
	split(tree.Node, func(text string, clause ast.Node) {
		result := Clause{Text: text}
		program, wrong := c.assemble(&parser.Tree{Node: clause, Source: file.NewSource(rule.When)})
		if wrong != nil {
			p := rule.problem(wrong.at, "%s", wrong.message)
			result.Err = source.Problems{p}
		} else if holds, err := r.ask(program); err != nil {
			result.Err = rule.failure(err)
		} else {
			result.Holds = holds
		}
		clauses = append(clauses, result)
	})
	return clauses
}

// split yields the clauses of a condition: as text, and as a condition of its own, below the let declarations that stand around
// it, since it may use their variables.
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
