package desk

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"postlink/dynamics"
	"postlink/worker/ledger"
)

// bySelf is who moves a link that was found broken.
const bySelf = "postlink"

// Details is a link with the present values of its record.
type Details struct {
	Entry    ledger.Entry
	Instance string           // where the link lives, as it is called now
	Record   dynamics.Details // the target record once Dynamics made one, else the social activity
	URL      string           // of that record, for people
}

// Details reads the record of a post's link, at this moment: the target record once Dynamics made one, else the social
// activity. Values are never cached. A record that is gone makes the link broken; an instance that does not answer changes nothing.
//
// Refusals are those of Posts.Find, and RefusedNotLinked, RefusedStillQueued, RefusedInstanceUnknown, RefusedInstanceDisabled,
// RefusedInstanceDown, RefusedSocialData and RefusedRecordGone; RefusedAlreadyLinked says that the post was linked anew meanwhile.
// They carry the entry of the post where there is one.
func (l *Links) Details(ctx context.Context, post string) (Details, error) {
	entry, err := l.linked(ctx, post)
	if err != nil {
		return Details{}, err
	}
	in, err := l.instanceOf(ctx, entry.Current())
	if err != nil {
		return Details{}, about(&entry, err)
	}
	if in.Disabled {
		return Details{}, refuse(RefusedInstanceDisabled,
			"instance %s is disabled; the link stays, and its details are shown again once it is enabled", in.Name).of(&entry)
	}
	found, err := l.look(ctx, entry.Current(), in)
	if err != nil {
		return Details{}, about(&entry, unanswered(ctx, in.Name, err))
	}
	if found.gone != "" {
		entry, err := l.move(ctx, entry, ledger.Step{State: ledger.Broken, By: bySelf, Reason: found.gone})
		if err != nil {
			return Details{}, err
		}
		return Details{}, refuse(RefusedRecordGone, "the link of post %s is broken: %s; the post can be linked again", entry.Post, found.gone).of(&entry)
	}
	entry, err = l.noteTarget(ctx, entry, found)
	return Details{Entry: entry, Instance: in.Name, Record: found.record, URL: found.url}, err
}

// about adds an entry to an error, if that is a refusal.
func about(entry *ledger.Entry, err error) error {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		refusal.Entry = entry
	}
	return err
}

// finding is the result of reading the record of a link.
type finding struct {
	gone   string // why the link is broken; empty when its record is there
	record dynamics.Details
	url    string
}

// look reads the record of a link in the instance where it lives. It changes nothing. An error means that nothing was found
// out: the instance did not answer, or not as it should, or there is no client for it.
func (l *Links) look(ctx context.Context, link *ledger.Link, in dynamics.Instance) (finding, error) {
	client, err := l.opts.client(in)
	if err != nil {
		return finding{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*askTime) // for two records and their descriptions
	defer cancel()
	record, err := client.Details(ctx, dynamics.Query{
		Activity: link.ID,
		Target:   dynamics.Record{Entity: link.RecordEntity, ID: link.RecordID},
		Fields: func(entity string) []string {
			e, _ := in.Entity(entity)
			return e.Fields
		},
	})
	switch {
	case errors.Is(err, dynamics.ErrDissociated):
		return finding{gone: "its record was dissociated from the social activity in Dynamics"}, nil
	case errors.Is(err, dynamics.ErrGone):
		return finding{gone: "its record, or its social activity, is gone in Dynamics"}, nil
	case err != nil:
		return finding{}, err
	}
	return finding{record: record, url: client.RecordURL(record.Entity, record.ID)}, nil
}

// noteTarget notes the target record of a link where it was seen for the first time. From then on an activity that has lost its
// target record counts as broken, and not as one that Dynamics has not converted yet.
func (l *Links) noteTarget(ctx context.Context, entry ledger.Entry, found finding) (ledger.Entry, error) {
	if !found.record.Converted || entry.Current().RecordID != uuid.Nil {
		return entry, nil
	}
	noted, err := l.opts.Ledger.Note(ctx, entry, func(link *ledger.Link) {
		link.RecordEntity, link.RecordID = found.record.Target.Entity, found.record.Target.ID
	})
	if errors.Is(err, ledger.ErrStale) { // somebody else noted it, or moved the link
		return entry, nil
	}
	if err != nil {
		return entry, err
	}
	return noted, nil
}

// instanceOf is the instance in which a link lives: the one of the same organization, whatever its name is now. A link of an
// organization that was deleted from the catalog is forgotten until it is added again.
func (l *Links) instanceOf(ctx context.Context, link *ledger.Link) (dynamics.Instance, error) {
	configured, homes, err := l.opts.inForce(ctx)
	if err != nil {
		return dynamics.Instance{}, err
	}
	if name, ok := homes.Of(link); ok {
		if in, err := configured.Instance(name); err == nil {
			return in, nil
		}
	}
	return dynamics.Instance{}, refuse(RefusedInstanceUnknown,
		"instance %s of this link is not in the catalog any more; add its organization again, or link the post elsewhere", link.Instance)
}
