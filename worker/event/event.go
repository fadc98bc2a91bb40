// Package event knows what happened to links: it publishes each change of a link's state, lets others follow the changes, and
// counts for each rule what became of the posts that it took.
//
// Events are a record of what the ledger says already, for statistics and live views. They are delivered at least once; a
// link's id and its state together name a change. They are kept for DefaultAge. The changes of one link may come in another order
// than they happened: a link can be delivered before the matcher has published that it is queued.
package event

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
	"postlink/worker/ledger"
)

// DefaultAge is how long events are kept, a day longer than Counts looks back.
const DefaultAge = 8 * bus.Day

// Event says that a link changed its state.
type Event struct {
	Sequence uint64 `json:"-"` // in the stream of events: its name, from which a reader goes on

	ID           uuid.UUID    `json:"id"` // of the link
	State        ledger.State `json:"state"`
	Generation   int          `json:"generation"`
	Post         ledger.Key   `json:"post"`
	PostSequence uint64       `json:"post_sequence"`
	Instance     string       `json:"instance"`
	Entity       string       `json:"entity"`
	Rule         string       `json:"rule,omitempty"`
	URL          string       `json:"url,omitempty"` // of the record, once there is one
	By           string       `json:"by"`
	Reason       string       `json:"reason,omitempty"`
	DecidedAt    time.Time    `json:"decided_at"`
	At           time.Time    `json:"at"`
}

// Of is the event of the last change of an entry's current link; url leads to its record, and may be empty.
func Of(entry ledger.Entry, url string) Event {
	link := entry.Current()
	last := link.Last()
	return Event{
		ID: link.ID, State: link.State, Generation: link.Generation, Post: entry.Post, PostSequence: entry.Sequence,
		Instance: link.Instance, Entity: link.Entity, Rule: link.Rule, URL: url,
		By: last.By, Reason: last.Reason, DecidedAt: link.Decided().At, At: last.At,
	}
}

// failures are the posts on which conditions failed since they were published last, by rule.
type failures struct {
	At    time.Time      `json:"at"`
	Rules map[string]int `json:"rules"`
}

// Events is the stream of what happened. It is safe for concurrent use.
type Events struct{ bus *bus.Bus }

// Open declares the stream of events, which are kept for an age; DefaultAge when 0.
func Open(ctx context.Context, b *bus.Bus, age time.Duration) (*Events, error) {
	e := &Events{b}
	return e, b.DeclareStream(ctx, jetstream.StreamConfig{
		Name:        e.stream(),
		Description: "What happened to links, for statistics and live views.",
		Subjects:    []string{b.Subject("events", ">")},
		MaxAge:      cmp.Or(age, DefaultAge),
		Discard:     jetstream.DiscardOld,
	})
}

func (e *Events) stream() string          { return e.bus.StreamName("EVENTS") }
func (e *Events) failuresSubject() string { return e.bus.Subject("events", "rules", "failed") }

// Publish publishes a change of a link, and waits until NATS has it. Publishing it again within two minutes is harmless; later, a
// second event of the same change is kept. Where NATS did not answer, the error matches bus.ErrUnreachable.
func (e *Events) Publish(ctx context.Context, event Event) error {
	subject := e.bus.Subject("events", "link", bus.Token(string(event.State)), bus.Token(event.Instance))
	return e.publish(ctx, subject, event.ID.String()+"-"+string(event.State), event)
}

// PublishFailures publishes on how many posts conditions failed, by rule.
func (e *Events) PublishFailures(ctx context.Context, at time.Time, rules map[string]int) error {
	return e.publish(ctx, e.failuresSubject(), "", failures{at.UTC(), rules})
}

func (e *Events) publish(ctx context.Context, subject, id string, what any) error {
	data, err := json.Marshal(what)
	if err == nil {
		err = e.bus.Publish(ctx, &nats.Msg{Subject: subject, Data: data}, id)
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", subject, err)
	}
	return nil
}

// Newest is the sequence of the newest event; 0 when there is none.
func (e *Events) Newest(ctx context.Context) (uint64, error) {
	info, _, err := e.bus.StreamInfo(ctx, e.stream())
	if err != nil || info == nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}

// Follow calls visit with the changes of links behind a sequence (0: all that are kept), and with those that come, until ctx
// ends, which is no error, or visit returns an error. It goes on after NATS was lost; the error is bus.ErrStreamGone when the events
// were deleted. An event that cannot be read is passed over.
func (e *Events) Follow(ctx context.Context, after uint64, visit func(Event) error) error {
	start := bus.Start{After: after}
	if after == 0 {
		start.Since = time.Unix(0, 0)
	}
	return e.bus.Follow(ctx, e.stream(), start, func(m bus.Message) error {
		event, err := e.read(m)
		if err != nil || event == nil {
			return nil //nolint:nilerr // Counts, which reads the same stream, logs it
		}
		return visit(*event)
	})
}

// read is the event that a message holds; nil when it is no change of a link.
func (e *Events) read(m bus.Message) (*Event, error) {
	if !strings.HasPrefix(m.Subject, e.bus.Subject("events", "link", "")) {
		return nil, nil
	}
	event := Event{Sequence: m.Sequence}
	if err := json.Unmarshal(m.Data, &event); err != nil {
		return nil, fmt.Errorf("read event %d: %w", m.Sequence, err)
	}
	return &event, nil
}
