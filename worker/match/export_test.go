package match

import "time"

// LoseLedger makes the handling of every post that a rule takes crash.
func (m *Matcher) LoseLedger() { m.opts.Ledger = nil }

// Notices are notices, for their own tests.
type Notices struct{ *notices }

// Due is a notice that is due.
type Due struct {
	Code, Reason string
	Count        int
}

// NewNotices makes notices with a clock.
func NewNotices(now func() time.Time) Notices { return Notices{newNotices(now)} }

// Add counts one occurrence, and returns what is due then.
func (n Notices) Add(code, reason string) []Due {
	if due := n.add(code, reason); due != nil {
		return exported(*due)
	}
	return nil
}

// Overdue returns what is due by time.
func (n Notices) Overdue() []Due { return exported(n.overdue()...) }

// Rest returns all that was not returned yet.
func (n Notices) Rest() []Due { return exported(n.rest()...) }

func exported(all ...notice) []Due {
	var due []Due
	for _, n := range all {
		due = append(due, Due{n.code, n.reason, n.count})
	}
	return due
}
