package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"postlink/worker/bus"
	"postlink/worker/event"
	"postlink/worker/ledger"
)

// Links makes, shows, removes and lists links. What it writes is compare-and-set on the ledger's entry: of two people, or a person
// and a delivery, one wins, and the other learns what the link is now.
type Links struct {
	opts  *Options
	posts *Posts
}

// Link is a link with the entry of its post and its present instance. Link.Link points into Entry.Links.
type Link struct {
	Entry     ledger.Entry // of its post
	Link      *ledger.Link // the link itself; in lists the newest of its post
	Instance  string       // where it lives, as it is called now; empty when that is not in the catalog any more
	ChangedAt time.Time    // when the ledger last changed the entry
}

// LinkFilter chooses links; its zero value takes all.
type LinkFilter struct {
	State    ledger.State
	Instance string // as it is called now
	Rule     string
}

func (f LinkFilter) takes(l Link) bool {
	return (f.State == "" || f.State == l.Link.State) && (f.Instance == "" || f.Instance == l.Instance) &&
		(f.Rule == "" || f.Rule == l.Link.Rule)
}

// List lists the newest links of posts whose last change is below a cursor (0: from the newest on), at most limit of them. Links of
// earlier generations are in the entries of their posts. The
// order is that of the changes of entries: a link that moves while somebody turns pages comes to the front and is not seen again.
func (l *Links) List(ctx context.Context, f LinkFilter, below uint64, limit int) (Page[Link], error) {
	var page Page[Link]
	homes, err := l.opts.homes(ctx)
	if err != nil {
		return page, err
	}
	left := searched
	err = l.opts.Ledger.Backwards(ctx, below, func(c ledger.Changed) (bool, error) {
		row := Link{Entry: c.Entry, Link: c.Entry.Current(), ChangedAt: c.At}
		row.Instance, _ = homes.Of(row.Link)
		if f.takes(row) {
			page.Rows = append(page.Rows, row)
		}
		left--
		if len(page.Rows) < limit && left > 0 {
			return true, nil
		}
		page.Next = c.Cursor
		return false, nil
	})
	return page, err
}

// Find looks up a link by its id, the GUID of its social activity, among the newest changes of the ledger, or the newest link
// of a post by the post's name.
func (l *Links) Find(ctx context.Context, name string) (Link, error) {
	if id, err := uuid.Parse(name); err == nil {
		found, err := l.withID(ctx, id)
		if err != nil || found.Link != nil {
			return found, err
		}
	}
	post, err := l.posts.Find(ctx, name)
	switch {
	case is(err, RefusedPostUnknown):
		return Link{}, refuse(RefusedLinkUnknown, "there is no link %q among the newest %d, and no post of that name; name the link's post, as in twitter/17", name, scanned)
	case err != nil:
		return Link{}, err
	case post.Entry == nil:
		return Link{}, notLinked(post)
	}
	link := post.Entry.Current()
	found := Link{Entry: *post.Entry, Link: link, ChangedAt: link.Last().At}
	homes, err := l.opts.homes(ctx)
	found.Instance, _ = homes.Of(link)
	return found, err
}

// withID looks for a link of any generation; Link is nil when there is none. The ledger is keyed by post, so the newest changes are
// read one by one. Only scanned of them are, and an older link is found by its post.
func (l *Links) withID(ctx context.Context, id uuid.UUID) (Link, error) {
	var found Link
	homes, err := l.opts.homes(ctx)
	if err != nil {
		return found, err
	}
	// An entry that changes while the ledger is read is passed over; what changed since is read again.
	left, seen, newest := scanned, uint64(0), uint64(0)
	visit := func(c ledger.Changed) (bool, error) {
		if left--; left < 0 || c.Cursor <= seen {
			return false, nil
		}
		newest = max(newest, c.Cursor)
		for i := range c.Links {
			if link := &c.Links[i]; link.ID == id {
				found = Link{Entry: c.Entry, Link: link, ChangedAt: c.At}
				found.Instance, _ = homes.Of(link)
				return false, nil
			}
		}
		return true, nil
	}
	for {
		err := l.opts.Ledger.Backwards(ctx, 0, visit)
		if err != nil || found.Link != nil || left <= 0 || newest == seen {
			return found, err
		}
		seen = newest
	}
}

// Unlink removes the link of a post, for good: the notes are deleted, the record in Dynamics stays, and the post can be linked
// again to a new one. A link that still waits to be delivered is refused, since its record may be in the making: RefusedStillQueued.
// Any other state than linked is RefusedNotLinked. The instance is not asked and may be down, disabled or deleted.
func (l *Links) Unlink(ctx context.Context, post, by string) (ledger.Entry, error) {
	entry, err := l.linked(ctx, post)
	if err != nil {
		return ledger.Entry{}, err
	}
	return l.move(ctx, entry, ledger.Step{State: ledger.Removed, By: by})
}

// linked is the entry of a post whose newest link is linked; what else it may be is refused.
func (l *Links) linked(ctx context.Context, name string) (ledger.Entry, error) {
	post, err := l.posts.find(ctx, name)
	if err != nil {
		return ledger.Entry{}, err
	}
	if post.Entry == nil {
		return ledger.Entry{}, notLinked(post)
	}
	return *post.Entry, mustBeLinked(*post.Entry)
}

func notLinked(post Post) error {
	name := post.Key.String()
	if post.Key == (ledger.Key{}) {
		name = fmt.Sprintf("%s%d", bySequence, post.Sequence)
	}
	if post.Problem != "" {
		return refuse(RefusedNotLinked, "post %s is not linked, it is dead: %s", name, post.Problem)
	}
	return refuse(RefusedNotLinked, "post %s is not linked", name)
}

// mustBeLinked refuses an entry whose newest link has no record that could be shown or left, and says what it is instead.
func mustBeLinked(entry ledger.Entry) error {
	link := entry.Current()
	switch link.State {
	case ledger.Linked:
		return nil
	case ledger.Queued:
		text := fmt.Sprintf("the link of post %s still waits to be delivered to %s; try again once it is linked", entry.Post, link.Instance)
		if link.LastError != "" {
			text += "; the last attempt failed: " + link.LastError
		}
		return refuse(RefusedStillQueued, "%s", text).of(&entry)
	default:
		text := fmt.Sprintf("post %s has no link any more: it is %s", entry.Post, link.State)
		if reason := link.Last().Reason; reason != "" {
			text += " (" + reason + ")"
		}
		return refuse(RefusedNotLinked, "%s; link it again to make a new record", text).of(&entry)
	}
}

// move brings the linked link of an entry to a new state, and publishes it. A change that came between is read again: the link
// moves if it is still linked. Else the entry is returned as it is now, with a refusal. Lost races are tried again until ctx ends.
func (l *Links) move(ctx context.Context, entry ledger.Entry, step ledger.Step) (ledger.Entry, error) {
	id := entry.Current().ID
	for {
		moved, err := l.opts.Ledger.Move(ctx, entry, step, nil)
		if err == nil {
			l.publish(ctx, moved)
			return moved, nil
		}
		if !errors.Is(err, ledger.ErrStale) || !bus.Sleep(ctx, bus.Spread(lostRace)) {
			return entry, err
		}
		if entry, err = l.opts.Ledger.Find(ctx, entry.Post); err != nil {
			return entry, err
		}
		if entry.Current().ID != id {
			return entry, changedMeanwhile(entry)
		}
		if err := mustBeLinked(entry); err != nil {
			return entry, err
		}
	}
}

// publish publishes a change that the ledger already has; it is not worth failing for.
func (l *Links) publish(ctx context.Context, entry ledger.Entry) {
	if err := l.opts.Events.Publish(ctx, event.Of(entry, "")); err != nil {
		l.opts.Log.Warn("cannot publish a link's change", zap.Stringer("link_id", entry.Current().ID), zap.Error(err))
	}
}

func changedMeanwhile(entry ledger.Entry) error {
	return refuse(RefusedAlreadyLinked, "the link of post %s was changed by somebody else meanwhile: it is %s now; look at it again",
		entry.Post, entry.Current().State).of(&entry)
}
