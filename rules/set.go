package rules

import (
	"cmp"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/expr-lang/expr/vm"
	"golang.org/x/sync/errgroup"

	"postlink/payload"
)

// Set is a compiled collection of rules. It is immutable: any number of goroutines may use it at once.
type Set struct {
	rules  []condition // the newest first
	byName map[string]int
	active []*condition // the newest first
	runs   sync.Pool    // of *run
}

// condition is a rule that can be asked about posts.
type condition struct {
	rule    Rule
	program *vm.Program
}

// Match says which rule takes a post.
type Match struct {
	Rule   *Rule     // the newest active rule whose condition holds; nil when there is none. Not to be changed
	Failed []Failure // rules that are newer than Rule and could not say, the newest first
}

// Compile makes a set of rules. Rules of the same age count as newer the later they come.
//
// The error is Problems: everything that is wrong with any of the rules, be they active or not.
func Compile(rs []Rule) (*Set, error) {
	s := &Set{rules: make([]condition, len(rs)), byName: make(map[string]int, len(rs))}
	s.runs.New = func() any { return newRun() }
	problems := duplicates(rs)

	// A compiler remembers types, so that each worker has its own; what it works on is cut into more shares than there are
	// workers, since conditions differ in length.
	const share = 64
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	found := make([]Problems, (len(rs)+share-1)/share)
	compilers := sync.Pool{New: func() any { return newCompiler() }}
	for i := range found {
		group.Go(func() error {
			c := compilers.Get().(*conditionCompiler)
			defer compilers.Put(c)
			for j := i * share; j < min(len(rs), (i+1)*share); j++ {
				s.rules[j].rule = rs[j]
				r := &s.rules[j].rule
				wrong := r.validate()
				found[i] = append(found[i], wrong...)
				if strings.TrimSpace(r.When) == "" || len(r.When) > maxCondition {
					continue
				}
				program, problem := c.compile(r)
				if problem != nil {
					found[i] = append(found[i], *problem)
				}
				s.rules[j].program = program
			}
			return nil
		})
	}
	_ = group.Wait() // the workers report through found
	for _, f := range found {
		problems = append(problems, f...)
	}
	if err := problems.err(); err != nil {
		return nil, err
	}

	slices.Reverse(s.rules)
	slices.SortStableFunc(s.rules, func(a, b condition) int { return cmp.Compare(b.rule.Age, a.rule.Age) })
	for i := range s.rules {
		c := &s.rules[i]
		s.byName[c.rule.Name] = i
		if c.rule.Active {
			s.active = append(s.active, c)
		}
	}
	return s, nil
}

func duplicates(rs []Rule) Problems {
	var problems Problems
	first := make(map[string]int, len(rs))
	for i := range rs {
		r := &rs[i]
		j, taken := first[r.Name]
		if !taken {
			first[r.Name] = i
			continue
		}
		message := "the name is taken by another rule; choose another name"
		if at := rs[j].Pos.String(); at != "" {
			message = "the name is taken by the rule at " + at + "; choose another name"
		}
		p := Problem{Pos: r.Pos, Rule: r.Name, Message: message}
		if r.Origin != nil {
			p.Snippet = r.Origin.when.file.snippet(r.Pos)
		}
		problems = append(problems, p)
	}
	return problems
}

// Rules returns all rules, the newest first.
func (s *Set) Rules() []Rule {
	rs := make([]Rule, len(s.rules))
	for i := range s.rules {
		rs[i] = s.rules[i].rule
	}
	return rs
}

// Rule returns the rule of that name.
func (s *Set) Rule(name string) (Rule, bool) {
	i, ok := s.byName[name]
	if !ok {
		return Rule{}, false
	}
	return s.rules[i].rule, true
}

// Match returns the newest active rule whose condition holds for a post that arrived at a time; the zero time means now. Rules
// that became active later do not count. A condition that fails does not keep older rules from acting.
func (s *Set) Match(p *payload.Post, arrived time.Time) Match {
	r := s.begin(p)
	defer s.end(r)
	var m Match
	for _, c := range s.active {
		if !arrived.IsZero() && arrived.Before(c.rule.Since) {
			continue
		}
		holds, err := r.ask(c.program)
		if err != nil {
			m.Failed = append(m.Failed, Failure{Rule: &c.rule, Err: c.rule.failure(err)})
		} else if holds {
			m.Rule = &c.rule
			break
		}
	}
	return m
}

func (s *Set) begin(p *payload.Post) *run {
	r := s.runs.Get().(*run)
	r.env.Post.set(p)
	return r
}

func (s *Set) end(r *run) {
	r.env.Post.clear()
	s.runs.Put(r)
}

// run is what one goroutine needs to ask conditions.
type run struct {
	vm  vm.VM
	env env
}

func newRun() *run {
	r := &run{env: env{Post: &post{}}}
	r.env.Post.Mentions = r.env.Post.mentions
	return r
}

// ask evaluates a condition on the post at hand.
func (r *run) ask(program *vm.Program) (bool, error) {
	r.env.Post.work = maxWork
	out, err := r.vm.Run(program, &r.env)
	if err != nil {
		return false, err
	}
	holds, ok := out.(bool)
	if !ok {
		return false, errors.New("the condition is neither true nor false")
	}
	return holds, nil
}
