package match

import (
	"sync"
	"time"
)

const (
	// noticePause is how often a notice for the same reason is due.
	noticePause = time.Minute

	// mostReasons bounds how many reasons are counted separately. Reasons may quote posts, so a stream of bad posts could have
	// any number of them.
	mostReasons = 200

	otherReasons = "various"
)

// notices limit repeated log lines: each reason is logged at most once a minute, with the number of posts. The mutex guards known.
// It holds mostReasons entries, and one more for each code.
type notices struct {
	now func() time.Time

	mu    sync.Mutex
	known map[cause]*counted
}

type cause struct{ code, reason string }

// counted is what happened since a notice was last due.
type counted struct {
	at    time.Time
	count int
}

// notice is a line that is due.
type notice struct {
	cause
	count int
}

func newNotices(now func() time.Time) *notices {
	return &notices{now: now, known: map[cause]*counted{}}
}

// add counts one occurrence, and returns the notice if it is due now.
func (n *notices) add(code, reason string) *notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := cause{code, reason}
	if n.known[c] == nil && len(n.known) >= mostReasons {
		c.reason = otherReasons
	}
	k := n.known[c]
	if k == nil {
		k = new(counted)
		n.known[c] = k
	}
	k.count++
	if n.now().Sub(k.at) < noticePause {
		return nil
	}
	return n.take(c, k)
}

func (n *notices) take(c cause, k *counted) *notice {
	due := &notice{c, k.count}
	k.at, k.count = n.now(), 0
	return due
}

// overdue returns the notices whose pause is over, and forgets the reasons that did not occur meanwhile.
func (n *notices) overdue() []notice {
	return n.collect(func(k *counted) bool { return n.now().Sub(k.at) >= noticePause })
}

// rest returns all that was counted and not returned.
func (n *notices) rest() []notice { return n.collect(func(*counted) bool { return true }) }

func (n *notices) collect(due func(*counted) bool) []notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []notice
	for c, k := range n.known {
		switch {
		case !due(k):
		case k.count == 0:
			delete(n.known, c)
		default:
			all = append(all, *n.take(c, k))
		}
	}
	return all
}
