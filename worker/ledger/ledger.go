package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
)

// ErrNotFound says that the ledger has no entry for a post.
var ErrNotFound = errors.New("the post was never linked")

// ErrStale says that somebody else changed the entry since it was read: read it again and decide anew.
var ErrStale = errors.New("the link was changed by somebody else meanwhile")

// ErrActive says that the post has an active link already.
var ErrActive = errors.New("the post is already linked")

// Ledger keeps the links. It is safe for concurrent use, by any number of processes.
type Ledger struct {
	kv  jetstream.KeyValue
	now func() time.Time
}

// New makes a Ledger on the bus; now is the clock that steps are stamped with, time.Now when nil.
func New(b *bus.Bus, now func() time.Time) *Ledger {
	if now == nil {
		now = time.Now
	}
	return &Ledger{kv: b.Ledger(), now: now}
}

// Decision is what a rule or a person decided about a post.
type Decision struct {
	ID       uuid.UUID // of the social activity to make; it depends on the generation
	Instance string
	Entity   string
	Rule     string
	Catalog  string
	Notes    string
	By       string
}

func (l *Ledger) link(generation int, d Decision) Link {
	at := l.now().UTC()
	return Link{
		ID: d.ID, Generation: generation, State: Queued,
		Instance: d.Instance, Entity: d.Entity, Rule: d.Rule, Catalog: d.Catalog, Notes: d.Notes,
		PlannedAt: at,
		Steps:     []Step{{State: Queued, At: at, By: d.By}},
	}
}

// Plan freezes the first decision about a post. If the ledger already has an entry, that entry is returned, unchanged, with
// created false: the first decision stands.
func (l *Ledger) Plan(ctx context.Context, post Key, sequence uint64, d Decision) (e Entry, created bool, err error) {
	e = Entry{Post: post, Sequence: sequence, Links: []Link{l.link(1, d)}}
	value, err := json.Marshal(e)
	if err != nil {
		return Entry{}, false, fmt.Errorf("plan a link of post %s: %w", post, err)
	}
	e.revision, err = l.kv.Create(ctx, post.Encode(), value)
	if err == nil {
		return e, true, nil
	}
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return Entry{}, false, fmt.Errorf("plan a link of post %s: %w", post, err)
	}
	e, err = l.Find(ctx, post)
	return e, false, err
}

// Find reads the entry of a post. The error is ErrNotFound when there is none.
func (l *Ledger) Find(ctx context.Context, post Key) (Entry, error) {
	kve, err := l.kv.Get(ctx, post.Encode())
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Entry{}, fmt.Errorf("post %s: %w", post, ErrNotFound)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("read the ledger for post %s: %w", post, err)
	}
	return decode(kve)
}

// FindID reads the entries of every post with that id, on whatever network. None is no error.
func (l *Ledger) FindID(ctx context.Context, postID string) ([]Entry, error) {
	return l.collect(ctx, anyNetwork(postID))
}

func (l *Ledger) collect(ctx context.Context, filter string) ([]Entry, error) {
	var found []Entry
	err := l.scan(ctx, filter, func(e Entry) error {
		found = append(found, e)
		return nil
	})
	return found, err
}

// Scan calls visit for every entry, oldest change first, and stops at its first error.
func (l *Ledger) Scan(ctx context.Context, visit func(Entry) error) error {
	return l.scan(ctx, ">", visit)
}

func (l *Ledger) scan(ctx context.Context, filter string, visit func(Entry) error) (err error) {
	w, err := l.kv.Watch(ctx, filter, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("read the ledger: %w", ctx.Err())
		case kve, open := <-w.Updates():
			if !open {
				return errors.New("read the ledger: the connection to NATS was closed")
			}
			if kve == nil { // all that was there has been seen
				return nil
			}
			e, err := decode(kve)
			if err != nil {
				return err
			}
			if err := visit(e); err != nil {
				return err
			}
		}
	}
}

// Settle moves the current link of an entry, as it was read, to a new state. edit may fill in what is known now; it may be
// nil. The error is ErrStale when the entry was changed since, ErrTransition when the state diagram forbids the move.
func (l *Ledger) Settle(ctx context.Context, e Entry, to State, by, reason string, edit func(*Link)) (Entry, error) {
	return l.update(ctx, e, func(next *Entry) error {
		link := next.Current()
		if err := link.move(Step{State: to, At: l.now().UTC(), By: by, Reason: reason}); err != nil {
			return err
		}
		if edit != nil {
			edit(link)
		}
		return nil
	})
}

// Note changes what is known of the current link without moving it: a failed attempt, a target record that was seen.
func (l *Ledger) Note(ctx context.Context, e Entry, edit func(*Link)) (Entry, error) {
	return l.update(ctx, e, func(next *Entry) error {
		edit(next.Current())
		return nil
	})
}

// Relink queues the post of an entry again, as its next generation. The error is ErrActive when its current link is
// active, ErrStale when the entry was changed since it was read. The decision's ID belongs to NextGeneration.
func (l *Ledger) Relink(ctx context.Context, e Entry, d Decision) (Entry, error) {
	if e.Current().Active() {
		return Entry{}, fmt.Errorf("link post %s again: %w", e.Post, ErrActive)
	}
	return l.update(ctx, e, func(next *Entry) error {
		next.Links = append(next.Links, l.link(e.NextGeneration(), d))
		return nil
	})
}

// NextGeneration is the generation that the post's next link will have.
func (e *Entry) NextGeneration() int { return e.Current().Generation + 1 }

func (l *Ledger) update(ctx context.Context, e Entry, change func(*Entry) error) (Entry, error) {
	next := e.clone()
	if err := change(&next); err != nil {
		return Entry{}, err
	}
	value, err := json.Marshal(next)
	if err != nil {
		return Entry{}, fmt.Errorf("write the ledger for post %s: %w", e.Post, err)
	}
	next.revision, err = l.kv.Update(ctx, e.Post.Encode(), value, e.revision)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return Entry{}, fmt.Errorf("write the ledger for post %s: %w", e.Post, ErrStale)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("write the ledger for post %s: %w", e.Post, err)
	}
	return next, nil
}

func decode(kve jetstream.KeyValueEntry) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(kve.Value(), &e); err != nil {
		return Entry{}, fmt.Errorf("read ledger entry %s: %w", kve.Key(), err)
	}
	post, err := DecodeKey(kve.Key())
	if err != nil {
		return Entry{}, err
	}
	if e.Post != post || len(e.Links) == 0 {
		return Entry{}, fmt.Errorf("ledger entry %s: does not hold the links of post %s", kve.Key(), post)
	}
	e.revision = kve.Revision()
	return e, nil
}
