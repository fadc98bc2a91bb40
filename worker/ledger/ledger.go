package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postlink/payload"
	"postlink/worker/bus"
)

// DefaultAge is how long the ledger remembers a post after the last change of its links.
const DefaultAge = 400 * bus.Day

var (
	// ErrNotFound says that the ledger has no entry for a post.
	ErrNotFound = errors.New("the post was never linked")

	// ErrStale says that somebody else changed the entry since it was read: read it again and decide anew.
	ErrStale = errors.New("the link was changed by somebody else meanwhile")

	// ErrActive says that the post has an active link already.
	ErrActive = errors.New("the post is already linked")
)

// Options configure a Ledger.
type Options struct {
	Age time.Duration    // how long it remembers a post; default DefaultAge
	Now func() time.Time // the clock that steps are stamped with; default time.Now
}

// Ledger keeps the links. It is safe for concurrent use, by any number of processes.
type Ledger struct {
	bus *bus.Bus
	kv  jetstream.KeyValue
	now func() time.Time
}

// Open declares the ledger's bucket.
func Open(ctx context.Context, b *bus.Bus, opts Options) (*Ledger, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	kv, err := b.DeclareBucket(ctx, jetstream.KeyValueConfig{
		Bucket:      "ledger",
		Description: "Links, by post. Keys are never deleted: they are what keeps a replay from linking twice.",
		TTL:         cmp.Or(opts.Age, DefaultAge),
	})
	if err != nil {
		return nil, err
	}
	return &Ledger{b, kv, opts.Now}, nil
}

// Decision is what a rule or a person decided about a post.
type Decision struct {
	Instance string `json:"instance"`
	Entity   string `json:"entity"`
	Rule     string `json:"rule,omitempty"`    // empty for a person's
	Catalog  string `json:"catalog,omitempty"` // id of the revision under which it was decided
	Notes    string `json:"notes,omitempty"`
	By       string `json:"by"` // a person's name, or "rule NAME"
}

// next is the link that a decision makes of an entry's post: its generation follows the current one.
func (l *Ledger) next(e *Entry, d Decision) Link {
	generation := e.NextGeneration()
	return Link{
		ID:         payload.ActivityID(d.Instance, e.Post.Network, e.Post.PostID, generation),
		Generation: generation, State: Queued,
		Instance: d.Instance, Entity: d.Entity, Rule: d.Rule, Catalog: d.Catalog, Notes: d.Notes,
		Steps: []Step{{State: Queued, At: l.now().UTC(), By: d.By}},
	}
}

// Next is the entry as Decide would write it.
func (l *Ledger) Next(seen Entry, d Decision) Entry {
	next := seen.clone()
	next.Links = append(next.Links, l.next(&seen, d))
	return next
}

// Freeze keeps the first decision about a post. If the ledger has an entry already, that one is returned, unchanged, with
// frozen false: the first decision stands.
func (l *Ledger) Freeze(ctx context.Context, post Key, sequence uint64, d Decision) (e Entry, frozen bool, err error) {
	e = l.Next(Entry{Post: post, Sequence: sequence}, d)
	err = l.write(ctx, &e)
	if err == nil {
		return e, true, nil
	}
	if !errors.Is(err, ErrStale) {
		return Entry{}, false, err
	}
	e, err = l.Find(ctx, post)
	return e, false, err
}

// Decide keeps a decision about a post whose entry was read, or was not there: then seen has no links. The error is ErrActive
// when the post has an active link, ErrStale when the entry was changed since it was read; the entry is then the one that the
// ledger has now.
func (l *Ledger) Decide(ctx context.Context, seen Entry, d Decision) (Entry, error) {
	if seen.Active() {
		return seen, fmt.Errorf("link post %s: %w", seen.Post, ErrActive)
	}
	next := l.Next(seen, d)
	err := l.write(ctx, &next)
	if err == nil {
		return next, nil
	}
	if !errors.Is(err, ErrStale) {
		return Entry{}, err
	}
	now, findErr := l.Find(ctx, seen.Post)
	if findErr != nil {
		return Entry{}, findErr
	}
	return now, err
}

// Find reads the entry of a post. The error is ErrNotFound when there is none.
func (l *Ledger) Find(ctx context.Context, post Key) (Entry, error) {
	kve, err := l.kv.Get(ctx, post.Encode())
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Entry{}, fmt.Errorf("post %s: %w", post, ErrNotFound)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("read the ledger for post %s: %w", post, bus.Unreachable(err))
	}
	return decode(kve.Key(), kve.Value(), kve.Revision())
}

// FindID reads the entries of every post with that id, on whatever network. None is no error.
func (l *Ledger) FindID(ctx context.Context, postID string) ([]Entry, error) {
	prefix := l.prefix()
	subjects, err := l.bus.Subjects(ctx, bus.BucketStream(l.kv.Bucket()), prefix+anyNetwork(postID))
	if err != nil {
		return nil, fmt.Errorf("read the ledger for posts %s: %w", postID, err)
	}
	var found []Entry
	for _, subject := range subjects {
		post, err := DecodeKey(strings.TrimPrefix(subject, prefix))
		if err != nil {
			return nil, err
		}
		switch e, err := l.Find(ctx, post); {
		case err == nil:
			found = append(found, e)
		case !errors.Is(err, ErrNotFound): // deleted by hand
			return nil, err
		}
	}
	return found, nil
}

// prefix is what the subjects of entries begin with, before their keys.
func (l *Ledger) prefix() string { return "$KV." + l.kv.Bucket() + "." }

// Scan calls visit for every entry, oldest change first, and stops at its first error.
func (l *Ledger) Scan(ctx context.Context, visit func(Entry) error) error {
	return l.watch(ctx, ">", false, visit)
}

var errHolds = errors.New("the awaited condition holds")

// Await waits until something holds of a post's entry, as it is or comes to be, and returns the entry as it is then.
func (l *Ledger) Await(ctx context.Context, post Key, holds func(Entry) bool) (Entry, error) {
	var found Entry
	err := l.watch(ctx, post.Encode(), true, func(e Entry) error {
		if found = e; holds(e) {
			return errHolds
		}
		return nil
	})
	if errors.Is(err, errHolds) {
		err = nil
	}
	return found, err
}

// watch calls visit with the entries under a filter, and with those that change from then on if it follows.
func (l *Ledger) watch(ctx context.Context, filter string, follow bool, visit func(Entry) error) (err error) {
	w, err := l.kv.Watch(ctx, filter, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("read the ledger: %w", bus.Unreachable(err))
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("read the ledger: %w", bus.Unreachable(context.Cause(ctx)))
		case kve, open := <-w.Updates():
			if !open {
				return fmt.Errorf("read the ledger: %w", bus.ErrUnreachable)
			}
			if kve == nil { // all that was there has been seen
				if follow {
					continue
				}
				return nil
			}
			e, err := decode(kve.Key(), kve.Value(), kve.Revision())
			if err != nil {
				return err
			}
			if err := visit(e); err != nil {
				return err
			}
		}
	}
}

// Changed is an entry with its last change.
type Changed struct {
	Entry
	Cursor uint64 // grows with every change of any entry
	At     time.Time
}

// Backwards calls visit with the entries that were last changed below a cursor (0: all), the newest change first, until it
// returns false or an error.
func (l *Ledger) Backwards(ctx context.Context, below uint64, visit func(Changed) (more bool, err error)) error {
	prefix := l.prefix()
	read := bus.Read{Stream: bus.BucketStream(l.kv.Bucket()), Subjects: []string{prefix + ">"}, Below: below}
	return l.bus.Backwards(ctx, read, func(m bus.Message) (bool, error) {
		if m.Header.Get("KV-Operation") != "" {
			return true, nil // a marker of something deleted by hand
		}
		e, err := decode(strings.TrimPrefix(m.Subject, prefix), m.Data, m.Sequence)
		if err != nil {
			return false, err
		}
		return visit(Changed{e, m.Sequence, m.At})
	})
}

// Move brings the current link of an entry, as it was read, to a new state. edit may fill in details; it may be nil.
// The time of the step is filled in. The error is ErrStale when the entry was changed since, ErrTransition when the state
// diagram forbids the move; the entry is then returned as it was read.
func (l *Ledger) Move(ctx context.Context, e Entry, step Step, edit func(*Link)) (Entry, error) {
	next := e.clone()
	link := next.Current()
	step.At = l.now().UTC()
	if err := link.move(step); err != nil {
		return e, err
	}
	if edit != nil {
		edit(link)
	}
	if err := l.write(ctx, &next); err != nil {
		return e, err
	}
	return next, nil
}

// Note changes details of the current link without moving it: a failed attempt, a target record that was seen. The
// error is ErrStale when the entry was changed since it was read; the entry is then returned as it was read.
func (l *Ledger) Note(ctx context.Context, e Entry, edit func(*Link)) (Entry, error) {
	next := e.clone()
	edit(next.Current())
	if err := l.write(ctx, &next); err != nil {
		return e, err
	}
	return next, nil
}

// write puts an entry over the revision that it was read at, or where none is yet when it was not read. The error is ErrStale when
// somebody else wrote meanwhile.
func (l *Ledger) write(ctx context.Context, e *Entry) error {
	value, err := json.Marshal(e)
	switch {
	case err != nil:
	case e.revision == 0:
		e.revision, err = l.kv.Create(ctx, e.Post.Encode(), value)
	default:
		e.revision, err = l.kv.Update(ctx, e.Post.Encode(), value, e.revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		err = ErrStale
	}
	if err != nil {
		return fmt.Errorf("write the ledger for post %s: %w", e.Post, bus.Unreachable(err))
	}
	return nil
}

func decode(key string, value []byte, revision uint64) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(value, &e); err != nil {
		return Entry{}, fmt.Errorf("read ledger entry %s: %w", key, err)
	}
	post, err := DecodeKey(key)
	if err != nil {
		return Entry{}, err
	}
	if e.Post != post || len(e.Links) == 0 {
		return Entry{}, fmt.Errorf("ledger entry %s: does not hold the links of post %s", key, post)
	}
	e.revision = revision
	return e, nil
}
