package desk

import (
	"context"
	"errors"
	"strings"

	"postlink/dynamics"
	"postlink/payload"
	"postlink/worker/catalog"
	"postlink/worker/ledger"
	"postlink/worker/outbox"
)

// Request asks for a link by hand.
type Request struct {
	Post     string // names the post, as Posts.Find takes it; or:
	Event    []byte // the post itself, as an MSE event
	Instance string // the default one when empty
	Entity   string // the only configured one when empty
	Notes    string // at most payload.MaxNotes
	By       string // who asks
}

// Link queues a link of a post, and does not wait for its delivery; Await does. Everything that can be refused is asked for before
// the first write: the post, the place, the notes, whether the post is free, whether the organization takes social data. The
// post's link, if it has one already, is in the refusal.
//
// After an error of NATS the link may have been queued or not: package worker says what is left after each write. To ask again is
// harmless, because a post has one active link at most.
func (l *Links) Link(ctx context.Context, r Request) (ledger.Entry, error) {
	post, err := l.post(ctx, r)
	if err != nil {
		return ledger.Entry{}, err
	}
	to, err := l.opts.choose(ctx, r.Instance, r.Entity)
	if err != nil {
		return ledger.Entry{}, err
	}
	if _, err := payload.Build(post.Content, payload.Options{Entity: to.entity, Notes: r.Notes}); err != nil {
		if _, ok := errors.AsType[*payload.NotesError](err); ok {
			return ledger.Entry{}, refuse(RefusedNotes, "%v", err)
		}
		return ledger.Entry{}, refuse(RefusedPostInvalid, "%v", err)
	}
	if err := l.free(ctx, &post); err != nil {
		return ledger.Entry{}, err
	}
	if err := l.takesSocialData(ctx, to.instance); err != nil {
		return ledger.Entry{}, err
	}
	return l.queue(ctx, post, ledger.Decision{
		Instance: to.instance.Name, Entity: to.entity, Catalog: to.catalog, Notes: r.Notes, By: r.By,
	})
}

// post finds the post that a request names or brings along; it has Data and Content.
func (l *Links) post(ctx context.Context, r Request) (Post, error) {
	if r.Event == nil {
		post, err := l.posts.find(ctx, r.Post)
		switch {
		case err != nil || post.Content != nil:
			return post, err
		case post.Data != nil:
			return post, refuse(RefusedPostInvalid, "post %s cannot be linked, since it cannot be read: %s", r.Post, post.Problem)
		case post.GivenByHand:
			return post, refuse(RefusedPostForgotten, "post %s was given by hand and is not in the posts stream; give the post itself with the request again", post.Key).of(post.Entry)
		default:
			return post, refuse(RefusedPostForgotten, "post %s is no longer in the posts stream; give the post itself with the request", post.Key).of(post.Entry)
		}
	}
	content, err := payload.DecodePost(r.Event)
	if err != nil {
		return Post{}, refuse(RefusedPostInvalid, "%v", err)
	}
	post := Post{Key: ledger.KeyOf(content), Content: content, Data: r.Event}
	if post.Entry, err = l.opts.entry(ctx, post.Key); err == nil && post.Entry != nil {
		post.Sequence = post.Entry.Sequence
	}
	return post, err
}

// place is where a link is to be made.
type place struct {
	catalog  string // id of the revision that has it
	instance dynamics.Instance
	entity   string
}

// choose finds the place of a link, by the names of its instance and entity or by default. The catalog is read from NATS and not from
// what this worker follows, which may be a moment older than what the person has seen.
func (o *Options) choose(ctx context.Context, instance, entity string) (place, error) {
	revision, err := o.Catalog.Current(ctx)
	if errors.Is(err, catalog.ErrEmpty) {
		return place{}, refuse(RefusedNoCatalog, "nothing is configured yet; apply a catalog, or add an instance, first")
	}
	if err != nil {
		return place{}, err
	}
	to := place{catalog: revision.ID, entity: entity}
	if instance == "" {
		var ok bool
		if to.instance, ok = revision.Catalog.Default(); !ok {
			for _, in := range revision.Catalog.Instances {
				if in.Default {
					return to, refuse(RefusedNoDefault, "the default instance %s is disabled; enable it, or name the instance to link to", in.Name)
				}
			}
			return to, refuse(RefusedNoDefault, "no instance is the default one; name the instance to link to")
		}
	} else if to.instance, err = revision.Catalog.Instance(instance); err != nil {
		return to, refuse(RefusedInstanceUnknown, "%v", err)
	}
	in := to.instance
	if in.Disabled {
		return to, refuse(RefusedInstanceDisabled, "instance %s is disabled and takes no new links; enable it or name another", in.Name)
	}
	if entity == "" {
		if len(in.Entities) != 1 {
			return to, refuse(RefusedEntityUnnamed, "instance %s has %d entities; name the one to make: %s", in.Name, len(in.Entities), names(in.Entities))
		}
		to.entity = in.Entities[0].Name
	}
	if _, ok := in.Entity(to.entity); !ok {
		return to, refuse(RefusedEntityUnknown, "entity %s is not configured for instance %s; configured: %s", to.entity, in.Name, names(in.Entities))
	}
	return to, nil
}

func names(entities []dynamics.Entity) string {
	if len(entities) == 0 {
		return "none"
	}
	list := make([]string, len(entities))
	for i, e := range entities {
		list[i] = e.Name
	}
	return strings.Join(list, ", ")
}

// free makes sure that the post can be linked: that it has no active link, or one that turns out to be broken, or whose
// instance was deleted. Then the link is moved to broken, and the post has the entry as it is afterwards. The instance is asked, so
// that a person who deleted the record in Dynamics can link the post again at once. An instance that does not answer leaves the
// link as it is: a second record beside the first would be worse than a refusal.
func (l *Links) free(ctx context.Context, post *Post) error {
	if post.Entry == nil || !post.Entry.Active() {
		return nil
	}
	entry, link := *post.Entry, post.Entry.Current()
	if link.State == ledger.Queued {
		// The outbox should hold it. If the entry is missing there, this puts it back.
		if err := l.opts.Outboxes.Put(ctx, entry, post.Data); err != nil && !errors.Is(err, outbox.ErrFull) {
			return err
		}
		return alreadyLinked(entry)
	}
	var gone string // why the link is broken
	in, err := l.instanceOf(ctx, link)
	switch {
	case is(err, RefusedInstanceUnknown):
		gone = "its instance was deleted, and the post is linked anew"
	case err != nil:
		return err
	case in.Disabled:
		return alreadyLinked(entry)
	default:
		found, err := l.look(ctx, link, in)
		if ctx.Err() != nil {
			return unanswered(ctx, in.Name, err)
		}
		if err != nil { // nothing was found out, so the link stays
			return alreadyLinked(entry)
		}
		if gone = found.gone; gone == "" {
			if entry, err = l.noteTarget(ctx, entry, found); err != nil {
				return err
			}
			return alreadyLinked(entry)
		}
	}
	entry, err = l.move(ctx, entry, ledger.Step{State: ledger.Broken, By: bySelf, Reason: gone})
	post.Entry = &entry
	if is(err, RefusedNotLinked) { // somebody else moved it meanwhile
		return nil
	}
	return err
}

// alreadyLinked refuses a second link of a post. The entry goes along, for people to see the first.
func alreadyLinked(entry ledger.Entry) error {
	link := entry.Current()
	if link.State == ledger.Queued {
		return refuse(RefusedAlreadyLinked, "post %s already has a link, which waits to be delivered to %s", entry.Post, link.Instance).of(&entry)
	}
	return refuse(RefusedAlreadyLinked, "post %s is already linked to %s; remove that link first to link it again", entry.Post, link.Instance).of(&entry)
}

// takesSocialData asks an instance whether it takes social data, so that a person reads the refusal at once and not in a dead
// letter. One that does not answer may: the link waits in its outbox. So may one whose setting our user may not read; the answer to
// the delivery shows it then.
func (l *Links) takesSocialData(ctx context.Context, in dynamics.Instance) error {
	client, err := l.opts.client(in)
	if err != nil {
		return nil //nolint:nilerr // the deliveries meet the same error, and the link waits
	}
	ask, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	org, err := client.Organization(ask)
	if ctx.Err() != nil {
		return unanswered(ctx, in.Name, err)
	}
	answer, ok := errors.AsType[*dynamics.Error](err)
	if ok && answer.Code == dynamics.CodeSocialCareDisabled || err == nil && org.RefusesSocialData() != nil {
		return refuse(RefusedSocialData, "%v", dynamics.ErrSocialData)
	}
	return nil
}

// queue puts a link of a post that has no active one into the outbox, decides it in the ledger, and publishes it. The outbox comes
// first because it can be full: a link that is decided but cannot be queued would wait for nobody.
func (l *Links) queue(ctx context.Context, post Post, d ledger.Decision) (ledger.Entry, error) {
	seen := ledger.Entry{Post: post.Key, Sequence: post.Sequence}
	if post.Entry != nil {
		seen = *post.Entry
	}
	next := l.opts.Ledger.Next(seen, d)
	err := l.opts.Outboxes.Put(ctx, next, post.Data)
	switch {
	case errors.Is(err, outbox.ErrFull):
		return ledger.Entry{}, refuse(RefusedInstanceDown,
			"so many links wait for instance %s that it takes no more; try again when some are delivered", d.Instance)
	case errors.Is(err, outbox.ErrTooLarge):
		return ledger.Entry{}, refuse(RefusedPostInvalid,
			"post %s is too large to be queued (%d bytes); raise max_payload of NATS", post.Key, len(post.Data))
	case err != nil:
		return ledger.Entry{}, err
	}
	entry, err := l.decide(ctx, seen, next, d)
	if err != nil {
		return ledger.Entry{}, err
	}
	l.publish(ctx, entry)
	return entry, nil
}

// decide keeps a decision whose link, the current one of next, is in the outbox already. A lane may take it from there before the
// ledger is written, and then writes the decision itself. Of two people who queued the same generation one wins. The entry of the
// other stays in the outbox, and the lane that takes it makes no second record of it.
func (l *Links) decide(ctx context.Context, seen, next ledger.Entry, d ledger.Decision) (ledger.Entry, error) {
	entry, err := l.opts.Ledger.Decide(ctx, seen, d)
	if !errors.Is(err, ledger.ErrStale) && !errors.Is(err, ledger.ErrActive) {
		return entry, err
	}
	link := entry.Current()
	switch {
	case link.ID == next.Current().ID && link.Decision() == d:
		return entry, nil // the delivery was faster, and decided what it found in the outbox
	case entry.Active():
		return entry, alreadyLinked(entry)
	default:
		return entry, changedMeanwhile(entry)
	}
}

// Await waits until the newest link of an entry is not queued any more, and returns the entry as it is then; as it was when ctx
// ends before, or NATS fails. Without a deadline in ctx it may wait for days, as for an instance that is parked.
func (l *Links) Await(ctx context.Context, entry ledger.Entry) ledger.Entry {
	id := entry.Current().ID
	now, err := l.opts.Ledger.Await(ctx, entry.Post, func(e ledger.Entry) bool {
		return e.Current().ID != id || e.Current().State != ledger.Queued
	})
	if err != nil {
		return entry
	}
	return now
}
