package worker

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postlink/worker/ledger"
)

// Event tells that a link changed its state. Events are kept for some days, for statistics and live views; they are a
// record of what the ledger already says, delivered at least once, and ID and State together tell repetitions.
type Event struct {
	ID         uuid.UUID    `json:"id"` // of the link
	State      ledger.State `json:"state"`
	Generation int          `json:"generation"`
	Post       ledger.Key   `json:"post"`
	Sequence   uint64       `json:"sequence"`
	Instance   string       `json:"instance"`
	Entity     string       `json:"entity"`
	Rule       string       `json:"rule,omitempty"`
	URL        string       `json:"url,omitempty"` // of the record, once there is one
	By         string       `json:"by"`
	Reason     string       `json:"reason,omitempty"`
	PlannedAt  time.Time    `json:"planned_at"`
	At         time.Time    `json:"at"`
}

// failures tells how often the conditions of rules failed on posts since it was told last.
type failures struct {
	At    time.Time      `json:"at"`
	Rules map[string]int `json:"rules"`
}

// failuresSubject is where failures go, below "events."; links go elsewhere.
const failuresSubject = "rules.failed"

func newEvent(e ledger.Entry, url string) Event {
	link := e.Current()
	step := link.Steps[len(link.Steps)-1]
	return Event{
		ID: link.ID, State: link.State, Generation: link.Generation, Post: e.Post, Sequence: e.Sequence,
		Instance: link.Instance, Entity: link.Entity, Rule: link.Rule, URL: url,
		By: step.By, Reason: step.Reason, PlannedAt: link.PlannedAt, At: step.At,
	}
}

// subject is where the event goes, below "events.".
func (e Event) subject() string { return fmt.Sprintf("link.%s.%s", e.State, e.Instance) }

// key tells repetitions of the event from other events.
func (e Event) key() string { return e.ID.String() + "-" + string(e.State) }

func (e Event) encode() []byte {
	data, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("encode an event of plain fields: %v", err)) // cannot happen
	}
	return data
}
