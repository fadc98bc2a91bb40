package desk

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"postlink/payload"
	"postlink/worker/deadletter"
	"postlink/worker/ledger"
)

// Letters lists dead letters, sends them on their way again, and drops them.
type Letters struct {
	opts  *Options
	links *Links
}

// List lists the dead letters below a sequence (0: from the newest on) that a filter takes, at most limit of them, without
// their posts.
func (l *Letters) List(ctx context.Context, f deadletter.Filter, below uint64, limit int) (Page[deadletter.Letter], error) {
	var page Page[deadletter.Letter]
	err := l.opts.Letters.Backwards(ctx, f, below, func(letter deadletter.Letter) (bool, error) {
		page.Rows = append(page.Rows, letter)
		if len(page.Rows) < limit {
			return true, nil
		}
		if letter.Sequence > 1 {
			page.Next = letter.Sequence
		}
		return false, nil
	})
	return page, err
}

// Count counts the dead letters that a filter takes.
func (l *Letters) Count(ctx context.Context, f deadletter.Filter) (uint64, error) {
	return l.opts.Letters.Count(ctx, f)
}

// Show reads one dead letter, with its post.
func (l *Letters) Show(ctx context.Context, sequence uint64) (deadletter.Letter, error) {
	letter, err := l.opts.Letters.Read(ctx, sequence)
	return letter, unknownLetter(err)
}

func unknownLetter(err error) error {
	if errors.Is(err, deadletter.ErrNotFound) {
		return refuse(RefusedLetterUnknown, "%v", err)
	}
	return err
}

// Redrive sends a dead letter on its way again. A post goes back into the stream, to be read and matched like a new one; a link
// is made again, as the next generation, to where it was to go. The entry is that of the link; zero for a post. The letter
// is dropped once the new attempt is safe.
//
// A crash before the drop leaves the letter. To redrive it a second time is harmless: a link that went on is
// RefusedAlreadyLinked, and a post that was linked since is known to the ledger.
func (l *Letters) Redrive(ctx context.Context, sequence uint64, by string) (ledger.Entry, error) {
	letter, err := l.Show(ctx, sequence)
	if err != nil {
		return ledger.Entry{}, err
	}
	if letter.Cut {
		return ledger.Entry{}, refuse(RefusedPostForgotten,
			"the post of dead letter %d was too large to be kept whole; publish it again from where it came, then drop the letter", sequence)
	}
	var entry ledger.Entry
	if letter.Kind == deadletter.Post {
		network, _ := payload.Glance(letter.Data)
		err = l.opts.Posts.Publish(ctx, network, letter.Data)
	} else {
		entry, err = l.relink(ctx, letter, by)
	}
	if err != nil {
		return ledger.Entry{}, err
	}
	if err := l.opts.Letters.Drop(ctx, sequence); err != nil && !errors.Is(err, deadletter.ErrNotFound) {
		l.opts.Log.Warn("a dead letter was sent on its way but is still listed", zap.Uint64("sequence", sequence), zap.Error(err))
	}
	return entry, nil
}

// relink queues the link of a letter anew, if nobody has done so since it died. The generation decides that: a later one means that
// somebody linked the post by hand. The place is looked up again, because the catalog may have changed since.
func (l *Letters) relink(ctx context.Context, letter deadletter.Letter, by string) (ledger.Entry, error) {
	entry, err := l.opts.entry(ctx, letter.Post)
	if err != nil {
		return ledger.Entry{}, err
	}
	if entry == nil {
		return ledger.Entry{}, refuse(RefusedNotLinked,
			"the ledger has forgotten the link of dead letter %d; drop the letter, and link post %s by hand", letter.Sequence, letter.Post)
	}
	link := entry.Current()
	if link.State != ledger.Dead || link.Generation != letter.Generation {
		return ledger.Entry{}, refuse(RefusedAlreadyLinked,
			"post %s went on since dead letter %d: its link is %s now; drop the letter", letter.Post, letter.Sequence, link.State).of(entry)
	}
	content, err := payload.DecodePost(letter.Data)
	if err != nil {
		return ledger.Entry{}, refuse(RefusedPostInvalid, "the post of dead letter %d cannot be read: %v; drop the letter", letter.Sequence, err)
	}
	to, err := l.opts.choose(ctx, link.Instance, link.Entity)
	switch {
	case is(err, RefusedInstanceUnknown):
		return ledger.Entry{}, refuse(RefusedInstanceUnknown,
			"dead letter %d was to go to instance %s, which is not in the catalog any more; add it again, or link post %s to another instance by hand",
			letter.Sequence, link.Instance, letter.Post).of(entry)
	case is(err, RefusedEntityUnknown):
		return ledger.Entry{}, refuse(RefusedEntityUnknown,
			"dead letter %d was to become a record of entity %s, which is not configured for instance %s any more; add the entity again, or link post %s to another by hand",
			letter.Sequence, link.Entity, link.Instance, letter.Post).of(entry)
	case err != nil:
		return ledger.Entry{}, err
	}
	post := Post{Key: letter.Post, Sequence: entry.Sequence, Data: letter.Data, Content: content, Entry: entry}
	return l.links.queue(ctx, post, ledger.Decision{
		Instance: to.instance.Name, Entity: to.entity, Rule: link.Rule, Catalog: to.catalog, Notes: link.Notes, By: by,
	})
}

// Drop deletes a dead letter for good, and with it the last copy of a post that the posts stream has forgotten. A link stays dead in
// the ledger. The refusal is RefusedLetterUnknown.
func (l *Letters) Drop(ctx context.Context, sequence uint64) error {
	return unknownLetter(l.opts.Letters.Drop(ctx, sequence))
}
