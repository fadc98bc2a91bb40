// Package desk is what people do by hand: find and list posts and links, link a post, look at its record, remove a link, send
// dead letters on their way again, and administer instances with the record types and fields that Dynamics reports.
//
// It sits on the same kept things as the two stages, and knows neither of them: a link that a person asks for is written into
// the instance's outbox and into the ledger, and is delivered from there like any other. What cannot be done is a *Refusal,
// which says why and what to do instead. Errors of NATS pass through, and match bus.ErrUnreachable where it did not answer.
//
// # Order of writes
//
// A link is put into the outbox first, then decided in the ledger, then published as an event. The entry in the outbox carries
// the decision, so a crash leaves either nothing or a link that is delivered all the same. Of two people who link one post,
// the ledger's compare-and-set lets one win; the other's entry in the outbox contradicts the ledger and is dropped there.
//
// # Reading
//
// Reading a record of Dynamics changes nothing by itself: Links.look returns what it found. Its callers, Details and Link, then
// move the link to broken when its record is gone, or note the target record.
package desk

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/event"
	"postlink/worker/instance"
	"postlink/worker/ledger"
	"postlink/worker/outbox"
	"postlink/worker/posts"
)

const (
	// searched bounds how many posts or links one page of a filtered list looks through; a page may have fewer rows than
	// asked for, and still a next one.
	searched = 5_000

	// scanned is how many of the newest posts, or changes of links, are looked through for one that is named by its id.
	scanned = 20_000

	// askTime bounds what a person waits for one answer of an instance.
	askTime = 15 * time.Second

	// lostRace is the pause after a race that was lost to somebody else.
	lostRace = 10 * time.Millisecond
)

// Options are what a desk works with. All but Log and Now are required.
type Options struct {
	Posts    *posts.Posts
	Ledger   *ledger.Ledger
	Outboxes *outbox.Outboxes
	Letters  *deadletter.Letters
	Events   *event.Events
	Statuses *instance.Statuses
	Catalog  *catalog.Store // asked anew each time, so that who changed it works with the change at once, on every worker

	Client func(dynamics.Instance) (*dynamics.Client, error) // shared with the deliveries; keeps its clients

	Log *zap.Logger      // nil logs nothing
	Now func() time.Time // default time.Now
}

func (o *Options) validate() error {
	if o.Posts == nil || o.Ledger == nil || o.Outboxes == nil || o.Letters == nil || o.Events == nil || o.Statuses == nil {
		return errors.New("make a desk: posts, ledger, outboxes, letters, events and statuses are needed")
	}
	if o.Catalog == nil || o.Client == nil {
		return errors.New("make a desk: the catalog and clients of Dynamics are needed")
	}
	o.Log = cmp.Or(o.Log, zap.NewNop()).Named("desk")
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Desk is where people work. It is safe for concurrent use: its parts share Options and keep no state of their own. Whatever waits
// for NATS or an instance ends with ctx.
type Desk struct {
	Posts     *Posts
	Links     *Links
	Letters   *Letters
	Instances *Instances
}

// New makes a desk.
func New(opts Options) (*Desk, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	all := &Posts{&opts}
	links := &Links{&opts, all}
	return &Desk{Posts: all, Links: links, Letters: &Letters{&opts, links}, Instances: &Instances{&opts}}, nil
}

// Page is a part of a list. Rows may be fewer than the limit, or none, although there is a next page: a filtered list looks through a
// bounded number of posts or links for each page.
type Page[T any] struct {
	Rows []T
	Next uint64 // where the next page begins; 0 when there is none
}

// homes say in which instance of the catalog in force a link lives. An instance is known by its organization in Dynamics and not
// by its name, so that links survive a rename, and a new organization under an old name does not inherit them. It costs a read of
// NATS for each instance, so lists ask once for a page.
func (o *Options) homes(ctx context.Context) (instance.Homes, error) {
	_, homes, err := o.inForce(ctx)
	return homes, err
}

// inForce is the catalog in force, empty before the first, with the homes of links in it.
func (o *Options) inForce(ctx context.Context) (*catalog.Catalog, instance.Homes, error) {
	revision, err := o.Catalog.Current(ctx)
	if errors.Is(err, catalog.ErrEmpty) {
		return &catalog.Catalog{}, instance.Homes{}, nil
	}
	if err != nil {
		return nil, instance.Homes{}, err
	}
	names := make([]string, len(revision.Catalog.Instances))
	for i, in := range revision.Catalog.Instances {
		names[i] = in.Name
	}
	homes, err := o.Statuses.Homes(ctx, names)
	return revision.Catalog, homes, err
}

// entry is the ledger's entry of a post; nil when it was never linked.
func (o *Options) entry(ctx context.Context, post ledger.Key) (*ledger.Entry, error) {
	entry, err := o.Ledger.Find(ctx, post)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &entry, nil
}
