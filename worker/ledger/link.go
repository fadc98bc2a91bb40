package ledger

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// State is where a link is in its life.
type State string

// The states of a link; package documentation shows how they follow each other.
const (
	Queued  State = "queued"
	Linked  State = "linked"
	Dead    State = "dead"
	Removed State = "removed"
	Broken  State = "broken"
)

// Link ties a post to a social activity, and to the record that Dynamics made of it.
type Link struct {
	ID         uuid.UUID `json:"id"` // the GUID of the social activity
	Generation int       `json:"generation"`
	State      State     `json:"state"`

	Instance string `json:"instance"`
	Entity   string `json:"entity"`
	Rule     string `json:"rule,omitempty"`    // empty for a manual link
	Catalog  string `json:"catalog,omitempty"` // id of the catalog revision under which it was decided
	Notes    string `json:"notes,omitempty"`   // gone once the link is removed

	Organization uuid.UUID `json:"organization,omitzero"` // id of the organization that it was delivered to
	RecordEntity string    `json:"record_entity,omitempty"`
	RecordID     uuid.UUID `json:"record_id,omitzero"` // the target record, once one was seen

	Attempts  int       `json:"attempts,omitempty"`   // deliveries that failed for a reason of this link
	FailedAt  time.Time `json:"failed_at,omitzero"`   // when the first of them did
	LastError string    `json:"last_error,omitempty"` // of the newest failed attempt, without post text

	Steps []Step `json:"steps"` // who did what when, oldest first; the first is the decision
}

// Step is one change of a link's state.
type Step struct {
	State  State     `json:"state"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`               // a person's name, or "rule NAME", or "postlink"
	Reason string    `json:"reason,omitempty"` // for people, without post text
	Code   string    `json:"code,omitempty"`   // of Dynamics' refusal, where it was one
}

// Active reports whether the link occupies its post: a post with an active link cannot be linked again.
func (l *Link) Active() bool { return l.State == Queued || l.State == Linked }

// Decision is what was decided, as Decide takes it.
func (l *Link) Decision() Decision {
	return Decision{Instance: l.Instance, Entity: l.Entity, Rule: l.Rule, Catalog: l.Catalog, Notes: l.Notes, By: l.Decided().By}
}

// Last is the step that brought the link into its state.
func (l *Link) Last() Step {
	if len(l.Steps) == 0 {
		return Step{}
	}
	return l.Steps[len(l.Steps)-1]
}

// Decided is the step that queued the link: who decided on it, and when.
func (l *Link) Decided() Step {
	if len(l.Steps) == 0 {
		return Step{}
	}
	return l.Steps[0]
}

// ErrTransition says that a link cannot go from its state to the one asked for.
var ErrTransition = errors.New("not possible in the link's present state")

// follows is the state diagram, as a table.
var follows = map[State][]State{
	Queued: {Linked, Dead},
	Linked: {Removed, Broken},
}

func (l *Link) move(step Step) error {
	for _, s := range follows[l.State] {
		if s != step.State {
			continue
		}
		l.State = step.State
		l.Steps = append(l.Steps, step)
		if step.State == Removed {
			l.Notes = ""
		}
		return nil
	}
	return fmt.Errorf("link %s is %s and cannot become %s: %w", l.ID, l.State, step.State, ErrTransition)
}

// Entry is all that the ledger knows of one post.
type Entry struct {
	Post     Key    `json:"post"`
	Sequence uint64 `json:"sequence"` // of the post in the posts stream
	Links    []Link `json:"links"`    // one for each generation, the current one last; never empty

	revision uint64
}

// Current is the newest link of the post.
func (e *Entry) Current() *Link { return &e.Links[len(e.Links)-1] }

// Active reports whether the post has a link that keeps it from being linked again.
func (e *Entry) Active() bool { return len(e.Links) > 0 && e.Current().Active() }

// NextGeneration is the generation that the post's next link will have.
func (e *Entry) NextGeneration() int {
	if len(e.Links) == 0 {
		return 1
	}
	return e.Current().Generation + 1
}

// clone copies the entry so that a change to the copy leaves the original as it is.
func (e Entry) clone() Entry {
	e.Links = append([]Link(nil), e.Links...)
	if len(e.Links) > 0 {
		last := e.Current()
		last.Steps = append([]Step(nil), last.Steps...)
	}
	return e
}
