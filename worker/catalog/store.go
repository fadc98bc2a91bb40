package catalog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const (
	key = "current" // of the pointer to the revision in force, the only key of its bucket

	blobWait = time.Minute // for a whole catalog to travel

	// A blob can be a moment later than the pointer to it, on another server of a cluster.
	blobTries = 5
	blobPause = 20 * time.Millisecond

	// So can the pointer itself be, on a server that is behind the revision that a commit was made for.
	behindTries = 10
)

// Options say where a catalog is kept.
type Options struct {
	KV    jetstream.KeyValue    // holds the pointer, with the bucket's full history
	Blobs jetstream.ObjectStore // holds the content of every revision in that history
	Now   func() time.Time      // default: the clock of the NATS server, which also stamps the posts
	Tries int                   // how often a commit runs again after losing a race, before ErrBusy; default 64
}

func (o *Options) validate() error {
	if o.KV == nil || o.Blobs == nil {
		return errors.New("open the catalog: a bucket and an object store are needed")
	}
	if o.Tries == 0 {
		o.Tries = 64
	}
	if o.Tries < 0 {
		return fmt.Errorf("open the catalog: %d tries", o.Tries)
	}
	return nil
}

// Store keeps the catalog that all workers share, and the revisions before it. It is safe for concurrent use, also by any
// number of stores over the same buckets.
type Store struct {
	opts Options
	last atomic.Pointer[Revision] // the revision that was loaded last, to spare compiling what did not change
}

// New returns the store over the buckets in opts.
func New(opts Options) (*Store, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Store{opts: opts}, nil
}

// Commit says who makes a change, and why.
type Commit struct {
	Author  string
	Message string
	Base    uint64 // the number of the revision that the change was made for; 0 for whichever is in force
}

// Current returns the revision in force. The error is ErrEmpty before the first one.
func (s *Store) Current(ctx context.Context) (*Revision, error) {
	p, err := s.pointer(ctx)
	if err != nil {
		return nil, err
	}
	return s.load(ctx, p)
}

// Revision returns one of the last revisions by its number. The error is a *NotFoundError for others.
func (s *Store) Revision(ctx context.Context, number uint64) (*Revision, error) {
	e, err := s.opts.KV.GetRevision(ctx, key, number)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, &NotFoundError{Kind: "revision", Name: strconv.FormatUint(number, 10)}
	}
	if err != nil {
		return nil, fmt.Errorf("read catalog revision %d: %w", number, err)
	}
	p, err := decodePointer(e)
	if err != nil {
		return nil, err
	}
	return s.load(ctx, p)
}

// History returns the last revisions that are kept, the newest first; empty when there never was one.
func (s *Store) History(ctx context.Context) ([]Header, error) {
	ctx, cancel := context.WithTimeout(ctx, blobWait)
	defer cancel()
	entries, err := s.opts.KV.History(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the history of the catalog: %w", err)
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

// Plan says what Apply would change now, or why it would be refused.
func (s *Store) Plan(ctx context.Context, next *Catalog) (Plan, error) {
	base, err := s.base(ctx)
	if err != nil {
		return nil, err
	}
	_, plan, err := prepare(base, replaceBy(next), time.Time{})
	return plan, err
}

// Apply puts next in force in place of the whole catalog. Rules keep the age of the rule of the same name; those that enter
// are newer in the order they have in next. Errors are those of Change.
func (s *Store) Apply(ctx context.Context, next *Catalog, by Commit) (*Revision, Plan, error) {
	return s.Change(ctx, by, replaceBy(next))
}

func replaceBy(next *Catalog) func(*Catalog) error {
	return func(c *Catalog) error {
		*c = *next.Clone()
		return nil
	}
}

// Change runs edit on a copy of the catalog in force, an empty one before the first, and commits the result: whole, or not
// at all. When somebody else commits meanwhile, edit runs again on what they left, so it must depend on nothing but its
// argument. It returns the revision that is in force then, which is the old one when nothing changed.
//
// The error is what edit returned; rules.Problems for a catalog that is not valid; *InUseError or *TargetError from the
// guard, several of them joined; ErrConflict when the catalog is not at by.Base; ErrBusy when the race could not be won. After
// any other error, of NATS, the change may have been made or not.
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
			return nil, nil, fmt.Errorf("change revision %d of the catalog, which is at %d, by %s: %w", by.Base, base.Number, base.Author, ErrConflict)
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

// now is the time of a commit. Rules act on posts that arrive from their activation on, and it is the server that says when a
// post arrived: by its clock, nobody's wrong one can make a rule miss posts.
func (s *Store) now(ctx context.Context) (time.Time, error) {
	if s.opts.Now != nil {
		return s.opts.Now().UTC(), nil
	}
	status, err := s.opts.KV.Status(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask NATS for the time: %w", err)
	}
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok || bucket.StreamInfo().TimeStamp.IsZero() { // a server before 2.10 does not tell
		return time.Now().UTC(), nil
	}
	return bucket.StreamInfo().TimeStamp.UTC(), nil
}

// base is the revision in force, or an empty one with number 0.
func (s *Store) base(ctx context.Context) (*Revision, error) {
	rev, err := s.Current(ctx)
	if errors.Is(err, ErrEmpty) {
		return &Revision{Catalog: &Catalog{}}, nil
	}
	return rev, err
}

// prepare edits a copy of base, as of a time, and makes sure that it may follow.
func prepare(base *Revision, edit func(*Catalog) error, at time.Time) (*Revision, Plan, error) {
	c := base.Catalog.Clone()
	if err := edit(c); err != nil {
		return nil, nil, err
	}
	if problems := c.problems(); len(problems) > 0 {
		return nil, nil, problems
	}
	c.settle(base.Catalog)
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

// draft is content that was uploaded and that no pointer names, or that one may name.
type draft struct {
	id   string
	blob string
	kept bool // a pointer names it, or may
}

// upload stores the content of next under a name of its own, unless d holds it already.
func (s *Store) upload(ctx context.Context, next *Revision, d *draft) error {
	id, data, err := encode(next.Catalog)
	if err != nil {
		return err
	}
	next.ID = id
	if d.id == id {
		return nil
	}
	s.discard(ctx, *d)
	packed, err := pack(data)
	if err != nil {
		return err
	}
	// The name is never used twice: what nobody points to can be deleted, whatever others are uploading.
	*d = draft{id: id, blob: id + "." + nuid.Next()}
	ctx, cancel := context.WithTimeout(ctx, blobWait)
	defer cancel()
	if _, err := s.opts.Blobs.PutBytes(ctx, d.blob, packed); err != nil {
		return fmt.Errorf("store catalog %s: %w", id, err)
	}
	return nil
}

// discard deletes a draft that came to nothing. What cannot be deleted stays as garbage and harms nobody.
func (s *Store) discard(ctx context.Context, d draft) {
	if d.blob != "" && !d.kept {
		s.remove(ctx, d.blob)
	}
}

func (s *Store) remove(ctx context.Context, blob string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = s.opts.Blobs.Delete(ctx, blob)
}

var errStale = errors.New("somebody else changed the catalog")

// point puts next in force if base still is. The error is errStale when it is not.
func (s *Store) point(ctx context.Context, base, next *Revision, d *draft) error {
	leaving := s.leaving(ctx, base.Number)
	p := pointer{next.Header, d.blob}
	value, err := p.encode()
	if err != nil {
		return err
	}
	var number uint64
	if base.Number == 0 {
		number, err = s.opts.KV.Create(ctx, key, value)
	} else {
		number, err = s.opts.KV.Update(ctx, key, value, base.Number)
	}
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists) {
		return errStale
	}
	d.kept = true
	if err != nil {
		return fmt.Errorf("put catalog %s in force: %w; look whether it is, and repeat the change if not", next.ID, err)
	}
	next.Number = number
	if leaving != "" {
		s.remove(ctx, leaving)
	}
	return nil
}

// leaving names the blob of the revision that the next one pushes out of the history. Only the winner of that step may
// delete it.
func (s *Store) leaving(ctx context.Context, number uint64) string {
	if number < jetstream.KeyValueMaxHistory {
		return ""
	}
	e, err := s.opts.KV.GetRevision(ctx, key, number-jetstream.KeyValueMaxHistory+1)
	if err != nil {
		return ""
	}
	p, err := decodePointer(e)
	if err != nil {
		return ""
	}
	return p.blob
}

// pointer reads the key.
func (s *Store) pointer(ctx context.Context) (*pointer, error) {
	e, err := s.opts.KV.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, ErrEmpty
	}
	if err != nil {
		return nil, fmt.Errorf("read which catalog is in force: %w", err)
	}
	return decodePointer(e)
}

// load fetches and compiles the revision that p names.
func (s *Store) load(ctx context.Context, p *pointer) (*Revision, error) {
	if last := s.last.Load(); last != nil && last.ID == p.ID {
		return &Revision{p.Header, last.Catalog, last.Set}, nil
	}
	rev, err := s.fetch(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("load catalog revision %d: %w", p.Number, err)
	}
	s.last.Store(rev)
	return rev, nil
}

func (s *Store) fetch(ctx context.Context, p *pointer) (*Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, blobWait)
	defer cancel()
	packed, err := s.opts.Blobs.GetBytes(ctx, p.blob)
	for try := 1; errors.Is(err, jetstream.ErrObjectNotFound) && try < blobTries; try++ {
		if err := pause(ctx, blobPause); err != nil {
			return nil, err
		}
		packed, err = s.opts.Blobs.GetBytes(ctx, p.blob)
	}
	if err != nil {
		return nil, err
	}
	data, err := unpack(packed)
	if err != nil {
		return nil, err
	}
	c, err := decode(p.ID, data)
	if err != nil {
		return nil, err
	}
	set, err := c.Compile()
	if err != nil {
		return nil, err
	}
	return &Revision{p.Header, c, set}, nil
}

// pause waits between half and the whole of d, so that those who collided do not collide again.
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
