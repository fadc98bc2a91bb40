package rules

import (
	"github.com/expr-lang/expr/vm"

	"postlink/payload"
)

// CountWithVM asks every active rule with the library alone, each in a fresh VM, and counts those that hold: what Match has
// to beat.
func (s *Set) CountWithVM(p *payload.Post) (holding int, err error) {
	e := env{Post: &post{}}
	e.Post.Mentions = e.Post.mentions
	e.Post.set(p)
	for _, c := range s.active {
		e.Post.work = maxWork
		out, err := vm.Run(c.program, &e)
		if err != nil {
			return 0, err
		}
		if out == true {
			holding++
		}
	}
	return holding, nil
}
