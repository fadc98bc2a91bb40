package rules

import (
	"cmp"
	"errors"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
	"golang.org/x/sync/errgroup"

	"postlink/payload"
	"postlink/rules/source"
)

// Set is a compiled collection of rules. It is immutable: any number of goroutines may use it at once. A change of rules makes a new
// Set; whoever decides about a post takes one Set and uses it to the end. The pool gives each call a run of its own.
type Set struct {
	rules  []condition  // the newest first
	active []*condition // the newest first
	runs   sync.Pool    // of *run
}

// condition is a rule that can be asked about posts. Programs are not changed by running, so goroutines share them.
type condition struct {
	rule    Rule
	program *vm.Program
}

// Match says which rule takes a post. The rules belong to the set, and stay valid as long as somebody holds them.
type Match struct {
	Rule   *Rule     // the newest active rule whose condition holds; nil when there is none. Not to be changed
	Failed []Failure // rules newer than Rule whose condition could not be evaluated, the newest first
}

// Failure is a condition that could not be evaluated on a post.
type Failure struct {
	Rule *Rule
	Err  error // where in the condition and why, without anything that the post says
}

// Compile makes a set of rules, on all processors. Of rules with the same age, a later one counts as newer. The set copies the rules
// and shares their Origin. No rules make a valid set, which takes no post. Compile blocks until all conditions are compiled and
// cannot be interrupted.
//
// The error is source.Problems: everything that is wrong with any of the rules, be they active or not.
func Compile(rs []Rule) (*Set, error) {
	s := &Set{rules: make([]condition, len(rs))}
	s.runs.New = func() any { return newRun() }
	problems := duplicates(rs)

	// A compiler caches types and serves one goroutine at a time, so each worker takes its own from a pool. There are more shares
	// than workers, since conditions differ in length.
	const share = 64
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	found := make([]source.Problems, (len(rs)+share-1)/share)
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
	if err := problems.Err(); err != nil {
		return nil, err
	}

	slices.Reverse(s.rules)
	slices.SortStableFunc(s.rules, func(a, b condition) int { return cmp.Compare(b.rule.Age, a.rule.Age) })
	for i := range s.rules {
		c := &s.rules[i]
		if c.rule.Active {
			s.active = append(s.active, c)
		}
	}
	return s, nil
}

// duplicates reports every rule whose name an earlier rule has.
func duplicates(rs []Rule) source.Problems {
	var problems source.Problems
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
		p := source.Problem{Pos: r.Pos, Rule: r.Name, Message: message}
		if r.Origin != nil {
			p.Snippet = r.Origin.when.Snippet(r.Pos)
		}
		problems = append(problems, p)
	}
	return problems
}

// Match returns the newest active rule whose condition holds for a post that arrived at a time; the zero time means now. Rules
// that became active later do not count. A condition that fails does not keep older rules from acting.
//
// Match does not block, changes nothing in the post, and bounds the work of each condition. For the same post and time it always
// gives the same answer: a post that NATS delivers again is decided as before, unless the catalog has changed.
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

// begin takes a run from the pool and fills it with the post; end gives it back without the post.
func (s *Set) begin(p *payload.Post) *run {
	r := s.runs.Get().(*run)
	r.env.Post.set(p)
	return r
}

func (s *Set) end(r *run) {
	r.env.Post.clear()
	s.runs.Put(r)
}

// run is the state that one goroutine needs to evaluate conditions: the stack of the VM and the post with its buffers, which are
// used again for the next post. Between two posts it is in the pool of its set.
type run struct {
	vm  vm.VM
	env env
}

func newRun() *run {
	r := &run{env: env{Post: &post{}}}
	r.env.Post.Mentions = r.env.Post.mentions
	return r
}

// ask evaluates a condition on the current post, with a fresh budget. A panic in a condition is an error here: the VM recovers it.
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

// failure adds the position in the rule's condition to an error of its evaluation.
func (r *Rule) failure(err error) error {
	var f *file.Error
	if !errors.As(err, &f) {
		return err
	}
	p := r.problem(f.From, "%s", discreet(f.Message))
	return errors.New(p.Pos.String() + ": " + p.Message)
}

// harmless matches messages of the library that quote nothing from the post.
var harmless = regexp.MustCompile(`^(?:index out of range: -?\d+ \(array length is \d+\)|memory budget exceeded|integer divide by zero|runtime error: [a-z ]+)$`)

// discreet replaces messages of the library that quote the post: posts are private, and errors are logged. A message passes only
// when it is known to be harmless, so that a new one of the library is not logged by mistake.
func discreet(message string) string {
	switch {
	case message == errWork.Error(), harmless.MatchString(message):
		return strings.TrimPrefix(message, "runtime error: ")
	case strings.Contains(message, "int("):
		return "int() needs a text that is a whole number"
	case strings.Contains(message, "float("):
		return "float() needs a text that is a number"
	case strings.HasPrefix(message, "invalid date"), strings.HasPrefix(message, "parsing time"):
		return "date() does not understand the text"
	case strings.HasPrefix(message, "time:"):
		return "duration() needs a text such as 1h30m"
	case strings.HasPrefix(message, "error parsing regexp"):
		return "the text behind matches is no regular expression"
	}
	return "this cannot be evaluated on this post"
}
