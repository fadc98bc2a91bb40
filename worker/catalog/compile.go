package catalog

import (
	"errors"
	"fmt"
	"slices"

	"postlink/rules"
)

// Compile makes the set of rules that posts are matched against. The error is rules.Problems: everything that keeps the
// catalog from being in force.
func (c *Catalog) Compile() (*rules.Set, error) {
	problems := c.problems()
	for rule, err := range c.stray() {
		problems = append(problems, err.problem(rule))
	}
	set, err := c.compileRules()
	var found rules.Problems
	switch {
	case errors.As(err, &found):
		problems = append(problems, found...)
	case err != nil:
		return nil, err
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return set, nil
}

// compileRules compiles the rules without their origins: a set outlives the files that it came from, and should not hold
// them. Only when something is wrong with a rule, it matters where that rule stood.
func (c *Catalog) compileRules() (*rules.Set, error) {
	bare := slices.Clone(c.Rules)
	forget(bare)
	set, err := rules.Compile(bare)
	if err != nil {
		return rules.Compile(c.Rules)
	}
	return set, nil
}

// forget drops where rules were read from.
func forget(rs []rules.Rule) {
	for i := range rs {
		rs[i].Pos, rs[i].Origin = rules.Position{}, nil
	}
}

// problems is what validate finds, for a catalog that did not just come from files.
func (c *Catalog) problems() rules.Problems {
	var problems rules.Problems
	c.validate(func(_ place, format string, args ...any) {
		problems = append(problems, rules.Problem{Message: fmt.Sprintf(format, args...)})
	})
	return problems
}
