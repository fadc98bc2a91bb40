package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/payload"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/ledger"
)

// LinkerOptions configure a Linker.
type LinkerOptions struct {
	Bus     *bus.Bus
	Ledger  *ledger.Ledger
	Catalog func() *catalog.Revision // the revision in force, nil while there is none
	Clients *Clients
	Log     *zap.Logger
}

// Linker does by hand what rules do by themselves, and what only people do: link a post, look at its record, remove the link,
// send a dead letter on its way again. Errors are of type *Refusal where a person can do something about them.
type Linker struct {
	opts LinkerOptions
	log  *zap.Logger
}

// NewLinker makes a Linker.
func NewLinker(opts LinkerOptions) (*Linker, error) {
	if opts.Bus == nil || opts.Ledger == nil || opts.Catalog == nil || opts.Clients == nil || opts.Log == nil {
		return nil, errors.New("make a linker: bus, ledger, catalog, clients and log are needed")
	}
	return &Linker{opts: opts, log: opts.Log.Named("linker")}, nil
}

// Request asks for a link by hand.
type Request struct {
	Post     string // names the post, as Find takes it; or:
	Event    []byte // the post itself, as an MSE event
	Instance string // the default one when empty
	Entity   string // the only configured one when empty
	Notes    string // at most payload.MaxNotes
	By       string // who asks
}

// Link queues a link of a post. The post's link, if it has one already, is in the refusal.
func (l *Linker) Link(ctx context.Context, r Request) (ledger.Entry, error) {
	found, err := l.post(ctx, r)
	if err != nil {
		return ledger.Entry{}, err
	}
	revision, instance, entity, err := l.target(r)
	if err != nil {
		return ledger.Entry{}, err
	}
	if _, err := payload.Build(found.Post, payload.Target{Entity: entity, Notes: r.Notes}); err != nil {
		if _, ok := errors.AsType[*payload.NotesError](err); ok {
			return ledger.Entry{}, &Refusal{Kind: RefusedNotes, Text: err.Error()}
		}
		return ledger.Entry{}, &Refusal{Kind: RefusedPostInvalid, Text: err.Error()}
	}
	if err := l.free(ctx, found); err != nil {
		return ledger.Entry{}, err
	}
	if err := l.accepts(ctx, instance); err != nil {
		return ledger.Entry{}, err
	}
	return l.queue(ctx, found, ledger.Decision{
		Instance: instance.Name, Entity: entity, Catalog: revision.ID, Notes: r.Notes, By: r.By,
	})
}

// queue puts a link into the outbox and then freezes it in the ledger. A crash between the two leaves an entry in the outbox
// that no ledger knows; it is dropped there after a while, and nobody was told that the post is linked.
func (l *Linker) queue(ctx context.Context, found Found, d ledger.Decision) (ledger.Entry, error) {
	generation := 1
	if found.Entry != nil {
		generation = found.Entry.NextGeneration()
	}
	d.ID = payload.ActivityID(d.Instance, found.Key.Network, found.Key.PostID, generation)
	err := l.opts.Bus.Enqueue(ctx, d.Instance, d.ID.String(), pointerHeader(found.Key, generation), found.Data)
	switch {
	case errors.Is(err, bus.ErrOutboxFull):
		return ledger.Entry{}, &Refusal{Kind: RefusedInstanceDown,
			Text: fmt.Sprintf("so many links wait for instance %s that it takes no more; try again when some are delivered", d.Instance)}
	case errors.Is(err, bus.ErrTooLarge):
		return ledger.Entry{}, &Refusal{Kind: RefusedPostInvalid,
			Text: fmt.Sprintf("post %s is too large to be queued (%d bytes); raise max_payload of NATS", found.Key, len(found.Data))}
	case err != nil:
		return ledger.Entry{}, err
	}
	var (
		entry   ledger.Entry
		created bool
	)
	if found.Entry != nil {
		entry, err = l.opts.Ledger.Relink(ctx, *found.Entry, d)
		created = err == nil
	} else {
		entry, created, err = l.opts.Ledger.Plan(ctx, found.Key, found.Sequence, d)
	}
	if errors.Is(err, ledger.ErrStale) || errors.Is(err, ledger.ErrActive) || err == nil && !created {
		if entry, err = l.opts.Ledger.Find(ctx, found.Key); err == nil {
			err = alreadyLinked(entry)
		}
	}
	if err != nil {
		return ledger.Entry{}, err
	}
	l.announce(ctx, entry)
	return entry, nil
}

// announce tells of a change that the ledger already has; it is not worth failing for.
func (l *Linker) announce(ctx context.Context, entry ledger.Entry) {
	event := newEvent(entry, "")
	if err := l.opts.Bus.PublishEvent(ctx, event.subject(), event.key(), event.encode()); err != nil {
		l.log.Warn("cannot tell of a link's change", zap.Stringer("link_id", event.ID), zap.Error(err))
	}
}

// post finds the post that a request names or brings along.
func (l *Linker) post(ctx context.Context, r Request) (Found, error) {
	if r.Event == nil {
		found, err := l.Find(ctx, r.Post)
		if err == nil && found.Post == nil {
			err = &Refusal{Kind: RefusedPostForgotten, Entry: found.Entry,
				Text: fmt.Sprintf("post %s is no longer in the posts stream; give the post itself with the request", found.Key)}
		}
		return found, err
	}
	post, err := payload.DecodePost(r.Event)
	if err != nil {
		return Found{}, &Refusal{Kind: RefusedPostInvalid, Text: err.Error()}
	}
	found := Found{Key: ledger.Key{Network: post.Source, PostID: post.ID}, Post: post, Data: r.Event}
	entry, err := l.opts.Ledger.Find(ctx, found.Key)
	switch {
	case err == nil:
		found.Entry, found.Sequence = &entry, entry.Sequence
	case !errors.Is(err, ledger.ErrNotFound):
		return Found{}, err
	}
	return found, nil
}

// target chooses the instance and the entity of a request, by name or by default.
func (l *Linker) target(r Request) (*catalog.Revision, dynamics.Instance, string, error) {
	refuse := func(kind, format string, args ...any) (*catalog.Revision, dynamics.Instance, string, error) {
		return nil, dynamics.Instance{}, "", &Refusal{Kind: kind, Text: fmt.Sprintf(format, args...)}
	}
	revision := l.opts.Catalog()
	if revision == nil {
		return refuse(RefusedNoCatalog, "nothing is configured yet; apply a catalog, or add an instance, first")
	}
	var instance dynamics.Instance
	if r.Instance == "" {
		var ok bool
		if instance, ok = revision.Catalog.Default(); !ok {
			return refuse(RefusedNoDefault, "no instance is the default one; name the instance to link to")
		}
	} else {
		var err error
		if instance, err = revision.Catalog.Instance(r.Instance); err != nil {
			return refuse(RefusedInstanceUnknown, "%v", err)
		}
	}
	if instance.Disabled {
		return refuse(RefusedInstanceDisabled, "instance %s is disabled and takes no new links; enable it or name another", instance.Name)
	}
	entity := r.Entity
	if entity == "" {
		if len(instance.Entities) != 1 {
			return refuse(RefusedEntityUnnamed, "instance %s has %d entities; name the one to make: %s", instance.Name, len(instance.Entities), names(instance.Entities))
		}
		entity = instance.Entities[0].Name
	}
	if _, ok := instance.Entity(entity); !ok {
		return refuse(RefusedEntityUnknown, "entity %s is not configured for instance %s; configured: %s", entity, instance.Name, names(instance.Entities))
	}
	return revision, instance, entity, nil
}

func names(entities []dynamics.Entity) string {
	if len(entities) == 0 {
		return "none"
	}
	text := ""
	for i, e := range entities {
		if i > 0 {
			text += ", "
		}
		text += e.Name
	}
	return text
}

// free makes sure that the post can be linked: that it has no active link, or that what it has turns out to be broken, or
// belongs to an instance that was deleted.
func (l *Linker) free(ctx context.Context, found Found) error {
	if found.Entry == nil || !found.Entry.Current().Active() {
		return nil
	}
	if found.Entry.Current().State == ledger.Queued {
		// Its outbox holds it already, but for the rarest mishaps; these a person mends by asking again.
		if err := enqueue(ctx, l.opts.Bus, *found.Entry, found.Data); err != nil && !errors.Is(err, bus.ErrOutboxFull) {
			return err
		}
		return alreadyLinked(*found.Entry)
	}
	instance, err := l.instanceOf(ctx, found.Entry.Current())
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.Kind == RefusedInstanceUnknown {
		return l.settle(ctx, found.Entry, ledger.Broken, "postlink", "its instance was deleted, and the post is linked anew")
	}
	if err != nil {
		return err
	}
	if !instance.Disabled {
		_, err = l.read(ctx, found.Entry, instance)
		if errors.As(err, &refusal) && refusal.Kind == RefusedRecordGone {
			return nil // and the link is broken now
		}
	}
	return alreadyLinked(*found.Entry)
}

func alreadyLinked(entry ledger.Entry) error {
	link := entry.Current()
	state := "linked to " + link.Instance
	if link.State == ledger.Queued {
		state = "on its way to " + link.Instance
	}
	return &Refusal{Kind: RefusedAlreadyLinked, Entry: &entry,
		Text: fmt.Sprintf("post %s is already %s; remove that link first to link it again", entry.Post, state)}
}

// settle moves the current link of an entry, and the entry to what the ledger has then.
func (l *Linker) settle(ctx context.Context, entry *ledger.Entry, to ledger.State, by, reason string) error {
	settled, err := l.opts.Ledger.Settle(ctx, *entry, to, by, reason, nil)
	if err != nil {
		return err
	}
	*entry = settled
	l.announce(ctx, settled)
	return nil
}

// accepts asks an instance whether it takes social data. One that does not answer is given the benefit of the doubt: the link
// waits in its outbox.
func (l *Linker) accepts(ctx context.Context, instance dynamics.Instance) error {
	client, err := l.opts.Clients.Client(instance)
	if err != nil {
		return nil //nolint:nilerr // the instance is parked for that reason, and the link waits
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	org, err := client.Organization(ctx)
	if err == nil && org.SocialDataDisabled != nil && *org.SocialDataDisabled ||
		err != nil && judge(err).reason == SocialDataDisabled {
		return &Refusal{Kind: RefusedSocialData, Text: SocialDataDisabled}
	}
	return nil
}

// askTime bounds what a person waits for an instance's answer.
const askTime = 15 * time.Second

// Unlink removes the link of a post, for good: the notes are deleted, the record in Dynamics stays, and the post can be linked
// again to a new one.
func (l *Linker) Unlink(ctx context.Context, post, by string) (ledger.Entry, error) {
	found, err := l.Find(ctx, post)
	if err != nil {
		return ledger.Entry{}, err
	}
	for {
		entry, err := linked(found)
		if err != nil {
			return ledger.Entry{}, err
		}
		err = l.settle(ctx, entry, ledger.Removed, by, "")
		if !errors.Is(err, ledger.ErrStale) || !sleep(ctx, spread(retrySoon)) {
			return *entry, err
		}
		again, err := l.opts.Ledger.Find(ctx, found.Key)
		if err != nil {
			return ledger.Entry{}, err
		}
		found.Entry = &again
	}
}

// linked is the entry of a post whose current link is linked; what else it may be is refused.
func linked(found Found) (*ledger.Entry, error) {
	if found.Entry == nil {
		return nil, &Refusal{Kind: RefusedNotLinked, Text: fmt.Sprintf("post %s is not linked", found.Key)}
	}
	switch link := found.Entry.Current(); link.State {
	case ledger.Linked:
		return found.Entry, nil
	case ledger.Queued:
		text := fmt.Sprintf("the link of post %s is still on its way to %s; wait until it is linked", found.Key, link.Instance)
		if link.LastError != "" {
			text += "; the last attempt said: " + link.LastError
		}
		return nil, &Refusal{Kind: RefusedNotSettled, Text: text, Entry: found.Entry}
	default:
		text := fmt.Sprintf("post %s has no link any more: it is %s", found.Key, link.State)
		if reason := link.Reason(); reason != "" {
			text += " (" + reason + ")"
		}
		return nil, &Refusal{Kind: RefusedNotLinked, Text: text + "; link it again to make a new record", Entry: found.Entry}
	}
}

// View is a link with the current values of its record.
type View struct {
	Entry   ledger.Entry
	Details dynamics.Details
	URL     string // of the record whose fields are shown
}

// Details reads the record of a post's link, at this moment: the target record once Dynamics made one, else the social
// activity. A record that is gone makes the link broken.
func (l *Linker) Details(ctx context.Context, post string) (View, error) {
	found, err := l.Find(ctx, post)
	if err != nil {
		return View{}, err
	}
	entry, err := linked(found)
	if err != nil {
		return View{}, err
	}
	instance, err := l.instanceOf(ctx, entry.Current())
	if err != nil {
		return View{}, err
	}
	if instance.Disabled {
		return View{}, &Refusal{Kind: RefusedInstanceDisabled, Entry: entry,
			Text: fmt.Sprintf("instance %s is disabled; the link stays, and its details are shown again once it is enabled", instance.Name)}
	}
	return l.read(ctx, entry, instance)
}

// read asks Dynamics for the record of a link, and notes in the ledger what it learns.
func (l *Linker) read(ctx context.Context, entry *ledger.Entry, instance dynamics.Instance) (View, error) {
	link := entry.Current()
	down := func(err error) error {
		return &Refusal{Kind: RefusedInstanceDown, Entry: entry,
			Text: fmt.Sprintf("instance %s cannot show the record now; the link stays: %s", instance.Name, judge(err).reason)}
	}
	client, err := l.opts.Clients.Client(instance)
	if err != nil {
		return View{}, down(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*askTime)
	defer cancel()
	details, err := client.Details(ctx, dynamics.Query{
		Activity: link.ID,
		Fields: func(entity string) []string {
			e, _ := instance.Entity(entity)
			return e.Fields
		},
		Target: dynamics.Record{Entity: link.RecordEntity, ID: link.RecordID},
	})
	if errors.Is(err, dynamics.ErrGone) {
		reason := "its record, or its social activity, is gone in Dynamics"
		if errors.Is(err, dynamics.ErrDissociated) {
			reason = "its record was dissociated from the social activity in Dynamics"
		}
		if err := l.settle(ctx, entry, ledger.Broken, "postlink", reason); err != nil {
			return View{}, err
		}
		return View{}, &Refusal{Kind: RefusedRecordGone, Entry: entry,
			Text: fmt.Sprintf("the link of post %s is broken: %s; the post can be linked again", entry.Post, reason)}
	}
	if err != nil {
		return View{}, down(err)
	}
	if details.Converted && link.RecordID == uuid.Nil {
		noted, err := l.opts.Ledger.Note(ctx, *entry, func(link *ledger.Link) {
			link.RecordEntity, link.RecordID = details.Target.Entity, details.Target.ID
		})
		switch {
		case err == nil:
			*entry = noted
		case !errors.Is(err, ledger.ErrStale): // otherwise somebody else noted it, or removed the link
			return View{}, err
		}
	}
	return View{Entry: *entry, Details: details, URL: client.RecordURL(details.Entity, details.ID)}, nil
}

// instanceOf is the instance that a link belongs to: the one of the same organization, whatever its name is now. A link of an
// organization that was deleted from the catalog is forgotten until it is added again.
func (l *Linker) instanceOf(ctx context.Context, link *ledger.Link) (dynamics.Instance, error) {
	gone := &Refusal{Kind: RefusedInstanceUnknown,
		Text: fmt.Sprintf("instance %s of this link is not in the catalog any more; add its organization again, or link the post elsewhere", link.Instance)}
	revision := l.opts.Catalog()
	if revision == nil {
		return dynamics.Instance{}, gone
	}
	home, err := homes(ctx, l.opts.Bus, revision.Catalog)
	if err != nil {
		return dynamics.Instance{}, err
	}
	name, ok := home.of(link)
	if !ok {
		return dynamics.Instance{}, gone
	}
	return revision.Catalog.Instance(name)
}
