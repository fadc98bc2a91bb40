package catalog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
)

const (
	// Keys of the bucket.
	key     = "current" // the pointer to the revision in force
	started = "started" // the hash of the catalog that ApplyAtStart applied last

	// behindTries is how often a commit reads again when the server does not know the revision yet that it is for. Any replica
	// may answer the read of a key (JetStream's direct get), and a replica can be behind the one that took the last write.
	behindTries = 10
)

// Options configure a Store.
type Options struct {
	Now   func() time.Time // default: the clock of the NATS server, which also stamps the posts
	Tries int              // how often a commit runs again after losing a race, before ErrBusy; default 64
}

// Store keeps the catalog that all workers share, and the revisions before it. It is safe for concurrent use, and so are any number
// of stores over the same buckets: no lock is held, and the compare-and-set on the key alone decides between two commits.
//
// Every method asks NATS, and ends with ctx at the latest. Where NATS did not answer, the error matches bus.ErrUnreachable.
type Store struct {
	opts  Options
	kv    jetstream.KeyValue       // holds the pointer, with its full history
	blobs jetstream.ObjectStore    // holds the content of every revision in that history
	last  atomic.Pointer[Revision] // the revision that was loaded last; the same content is not compiled again
}

// Open declares where the catalog is kept, and returns the store. The error is bus.ErrForeign when somebody else made a bucket or
// an object store of that name.
func Open(ctx context.Context, b *bus.Bus, opts Options) (*Store, error) {
	kv, err := b.DeclareBucket(ctx, jetstream.KeyValueConfig{
		Bucket:      "catalog",
		Description: "Which catalog is in force, and the last ones before it.",
		History:     jetstream.KeyValueMaxHistory,
	})
	if err != nil {
		return nil, err
	}
	blobs, err := b.DeclareObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "catalog", Description: "Catalogs by their content."})
	if err != nil {
		return nil, err
	}
	return New(kv, blobs, opts), nil
}

// New returns the store over a bucket, with its full history, and an object store.
func New(kv jetstream.KeyValue, blobs jetstream.ObjectStore, opts Options) *Store {
	opts.Tries = cmp.Or(opts.Tries, 64)
	return &Store{opts: opts, kv: kv, blobs: blobs}
}

// Commit holds the author and the message of a change. Both are shown to people, and nothing checks them: who may change the catalog
// is decided before.
type Commit struct {
	Author  string
	Message string
	Base    uint64 // the number of the revision that the change was made for; 0 for whichever is in force
}

// Current returns the revision in force. The error is ErrEmpty before the first one. It reads the key each time. The content is
// fetched and compiled only when it differs from what this store loaded last; with many rules that takes a while.
func (s *Store) Current(ctx context.Context) (*Revision, error) {
	p, err := s.pointer(ctx)
	if err != nil {
		return nil, err
	}
	return s.load(ctx, p)
}

// History returns the last revisions that are kept, the newest first; empty when there never was one. There are at most 64, which
// is what JetStream keeps of one key.
func (s *Store) History(ctx context.Context) ([]Header, error) {
	ctx, cancel := context.WithTimeout(ctx, blobWait)
	defer cancel()
	entries, err := s.kv.History(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the history of the catalog: %w", bus.Unreachable(err))
	}
	var headers []Header
	for _, e := range slices.Backward(entries) {
		p, err := decodePointer(e)
		if errors.Is(err, ErrEmpty) {
			continue
		}
		if err != nil {
			return nil, err
		}
		headers = append(headers, p.Header)
	}
	return headers, nil
}

// Plan says what Apply would change now. Where Apply would be refused, the error is source.Problems or that of the guard; when the
// guard or a condition refuses the catalog, the plan is returned beside the error. Nothing is reserved: another commit may come
// before the Apply.
func (s *Store) Plan(ctx context.Context, next *Catalog) (Plan, error) {
	base, err := s.base(ctx)
	if err != nil {
		return nil, err
	}
	_, plan, err := prepare(base, replaceBy(next), time.Time{})
	return plan, err
}

// Apply replaces the whole catalog by next. Rules keep the age of the rule of the same name. New rules get higher ages, in the
// order they have in next. Errors are those of Change.
func (s *Store) Apply(ctx context.Context, next *Catalog, by Commit) (*Revision, Plan, error) {
	return s.Change(ctx, by, replaceBy(next))
}

// ApplyAtStart applies the catalog that a process is started with, unless the last start applied the same one: then the changes that
// people have made since stay. Of several processes that start at once, one applies it. changed reports whether this call put
// another revision in force. Errors are those of Change.
//
// The catalog is put in force first, and remembered second. A crash between the two lets the next start apply it again, over
// what people changed in between. The other order could leave a catalog that counts as applied and never was.
func (s *Store) ApplyAtStart(ctx context.Context, next *Catalog, by Commit) (changed bool, err error) {
	hash, err := next.contentHash()
	if err != nil {
		return false, err
	}
	for range s.opts.Tries {
		base, err := s.base(ctx)
		if err != nil {
			return false, err
		}
		last, err := s.kv.Get(ctx, started)
		switch {
		case err == nil && string(last.Value()) == hash && base.Number != 0:
			return false, nil
		case err != nil && !errors.Is(err, jetstream.ErrKeyNotFound):
			return false, fmt.Errorf("read which catalog the last start applied: %w", bus.Unreachable(err))
		}
		by.Base = base.Number
		_, plan, err := s.Apply(ctx, next, by)
		if errors.Is(err, ErrConflict) {
			continue // another process may have applied it
		}
		if err != nil {
			return false, err
		}
		if _, err := s.kv.PutString(ctx, started, hash); err != nil {
			return !plan.Empty(), fmt.Errorf("remember which catalog this start applied: %w; the next start applies it again", bus.Unreachable(err))
		}
		return !plan.Empty(), nil
	}
	return false, fmt.Errorf("apply the catalog of this start: %w", ErrBusy)
}

// contentHash is the hash of a catalog's content. It does not depend on the files that the catalog was read from.
func (c *Catalog) contentHash() (string, error) {
	var content bytes.Buffer
	if err := c.Export(&content); err != nil {
		return "", err
	}
	return hash(content.Bytes()), nil
}

// replaceBy is the edit that replaces the whole catalog. It clones next, since an edit may run several times.
func replaceBy(next *Catalog) func(*Catalog) error {
	return func(c *Catalog) error {
		*c = *next.Clone()
		return nil
	}
}

// Change runs edit on a copy of the catalog in force, or on an empty catalog before the first, and commits the whole result or
// nothing. When another commit comes first, edit runs again on that revision, so it must depend on its argument alone, and it must
// not keep it: the argument becomes the catalog of a shared revision. Change returns the revision in force afterwards, which is the
// old one when nothing changed. Before each further try it pauses a little longer; all pauses of 64 tries together are at most 2 s.
//
// The error is what edit returned; source.Problems for a catalog that is not valid; *InUseError or *UnconfiguredError from the
// guard, several of them joined; ErrConflict when the catalog is not at by.Base; ErrBusy when the race could not be won. After
// any other error, which is of NATS, the change may have been made or not.
func (s *Store) Change(ctx context.Context, by Commit, edit func(*Catalog) error) (*Revision, Plan, error) {
	var d draft
	defer func() { s.discard(ctx, d) }()
	for try := range s.opts.Tries {
		if err := pause(ctx, time.Duration(try)*time.Millisecond); err != nil {
			return nil, nil, fmt.Errorf("change the catalog: %w", err)
		}
		base, err := s.base(ctx)
		if err != nil {
			return nil, nil, err
		}
		if by.Base > base.Number && try < behindTries {
			continue
		}
		if by.Base != 0 && by.Base != base.Number {
			return nil, nil, fmt.Errorf("change revision %d of the catalog, which is at %d, by %s: %w", by.Base, base.Number, cmp.Or(base.Author, "nobody yet"), ErrConflict)
		}
		at, err := s.now(ctx)
		if err != nil {
			return nil, nil, err
		}
		next, plan, err := prepare(base, edit, at)
		if err != nil {
			return nil, plan, err
		}
		if plan.Empty() && base.Number != 0 {
			return base, plan, nil
		}
		next.Author, next.Message, next.At = by.Author, by.Message, at
		if err := s.upload(ctx, next, &d); err != nil {
			return nil, nil, err
		}
		err = s.point(ctx, base, next, &d)
		if err == nil {
			s.last.Store(next)
			return next, plan, nil
		}
		if !errors.Is(err, errStale) {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("change the catalog, which others changed %d times meanwhile: %w", s.opts.Tries, ErrBusy)
}

// now is the time of a commit. Rules act on posts that arrive after their activation. The server stamps the arrival of posts, so
// its clock also gives the time of activation: a worker with a wrong clock could make rules miss posts.
func (s *Store) now(ctx context.Context) (time.Time, error) {
	if s.opts.Now != nil {
		return s.opts.Now().UTC(), nil
	}
	status, err := s.kv.Status(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask NATS for the time: %w", bus.Unreachable(err))
	}
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok || bucket.StreamInfo().TimeStamp.IsZero() { // servers before 2.10 do not send their time
		return time.Now().UTC(), nil
	}
	return bucket.StreamInfo().TimeStamp.UTC(), nil
}

// base is the revision that a change starts from: the one in force, or an empty one with number 0.
func (s *Store) base(ctx context.Context) (*Revision, error) {
	rev, err := s.Current(ctx)
	if errors.Is(err, ErrEmpty) {
		return &Revision{Catalog: &Catalog{}}, nil
	}
	return rev, err
}

// prepare edits a copy of base, as of a time, and checks whether the result may be committed. The guard is checked before the rules
// are compiled, since it is the error that people can do most about; the plan is returned with both errors. The result has no
// header yet. It asks nobody and keeps no state, so that it can run again after a lost race.
func prepare(base *Revision, edit func(*Catalog) error, at time.Time) (*Revision, Plan, error) {
	c := base.Catalog.Clone()
	if err := edit(c); err != nil {
		return nil, nil, err
	}
	if problems := c.problems(); len(problems) > 0 {
		return nil, nil, problems
	}
	c.normalize()
	c.inherit(base.Catalog)
	c.activate(at)
	plan := compare(base.Catalog, c)
	if err := c.guard(base.Catalog); err != nil {
		return nil, plan, err
	}
	set, err := c.compileRules()
	if err != nil {
		return nil, plan, err
	}
	forget(c.Rules)
	return &Revision{Catalog: c, Set: set}, plan, nil
}

var errStale = errors.New("somebody else changed the catalog")

// point puts next in force if base still is: this compare-and-set is the one place where a commit happens. The error is errStale when
// base is no longer in force. After any other error it is unknown whether the pointer was written, so the draft stays.
//
// The write pushes the oldest revision out of a full history. Its blob is looked up before, since afterwards no pointer names it
// any more. A crash after the write leaves that blob behind, which takes space and does no other harm.
func (s *Store) point(ctx context.Context, base, next *Revision, d *draft) error {
	leaving := s.leaving(ctx, base.Number)
	p := pointer{next.Header, d.blob}
	value, err := p.encode()
	if err != nil {
		return err
	}
	var number uint64
	if base.Number == 0 {
		number, err = s.kv.Create(ctx, key, value)
	} else {
		number, err = s.kv.Update(ctx, key, value, base.Number)
	}
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists) {
		return errStale
	}
	d.kept = true
	if err != nil {
		return fmt.Errorf("put catalog %s in force: %w; look whether it is, and repeat the change if not", next.ID, bus.Unreachable(err))
	}
	next.Number = number
	if leaving != "" {
		s.remove(ctx, leaving)
	}
	return nil
}

// pointer reads the key.
func (s *Store) pointer(ctx context.Context) (*pointer, error) {
	e, err := s.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, ErrEmpty
	}
	if err != nil {
		return nil, fmt.Errorf("read which catalog is in force: %w", bus.Unreachable(err))
	}
	return decodePointer(e)
}

// load fetches and compiles the revision that p names, unless it was loaded last: a revision that an earlier one has the content of
// is not compiled again.
func (s *Store) load(ctx context.Context, p *pointer) (*Revision, error) {
	if last := s.last.Load(); last != nil && last.ID == p.ID {
		return &Revision{p.Header, last.Catalog, last.Set}, nil
	}
	rev, err := s.fetch(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("load catalog revision %d: %w", p.Number, bus.Unreachable(err))
	}
	s.last.Store(rev)
	return rev, nil
}

// pause waits between half of d and d, at random, so that commits that collided do not collide again.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d/2 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
