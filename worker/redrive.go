package worker

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"postlink/payload"
	"postlink/worker/bus"
	"postlink/worker/ledger"
)

// Redrive sends a dead letter on its way again. A post goes back into the stream, to be read and matched like a new one; a link
// is made again, as the next generation, to where it was to go. The entry is that of the link; zero for a post. The letter
// is dropped once the new attempt is safe.
func (l *Linker) Redrive(ctx context.Context, sequence uint64, by string) (ledger.Entry, error) {
	letter, err := l.letter(ctx, sequence)
	if err != nil {
		return ledger.Entry{}, err
	}
	if letter.Cut {
		return ledger.Entry{}, &Refusal{Kind: RefusedPostForgotten, Text: fmt.Sprintf("dead letter %d was too large to be kept whole; publish its post again from where it came", sequence)}
	}
	var entry ledger.Entry
	if letter.Kind == DeadPost {
		err = l.republish(ctx, letter)
	} else {
		entry, err = l.relink(ctx, letter, by)
	}
	if err != nil {
		return ledger.Entry{}, err
	}
	if err := l.opts.Bus.DropDeadLetter(ctx, sequence); err != nil && !errors.Is(err, bus.ErrNoLetter) {
		l.log.Warn("a dead letter was sent on its way but is still listed", zap.Uint64("sequence", sequence), zap.Error(err))
	}
	return entry, nil
}

// Drop deletes a dead letter for good. A link stays dead in the ledger.
func (l *Linker) Drop(ctx context.Context, sequence uint64) error {
	err := l.opts.Bus.DropDeadLetter(ctx, sequence)
	if errors.Is(err, bus.ErrNoLetter) {
		return &Refusal{Kind: RefusedLetterUnknown, Text: err.Error()}
	}
	return err
}

func (l *Linker) letter(ctx context.Context, sequence uint64) (DeadRow, error) {
	m, err := l.opts.Bus.DeadLetter(ctx, sequence)
	if errors.Is(err, bus.ErrNoLetter) {
		return DeadRow{}, &Refusal{Kind: RefusedLetterUnknown, Text: err.Error()}
	}
	return deadRow(m), err
}

func (l *Linker) republish(ctx context.Context, letter DeadRow) error {
	source := ""
	if post, err := payload.DecodePost(letter.Data); err == nil {
		source = post.Source
	}
	return l.opts.Bus.PublishPost(ctx, source, letter.Data)
}

func (l *Linker) relink(ctx context.Context, letter DeadRow, by string) (ledger.Entry, error) {
	entry, err := l.opts.Ledger.Find(ctx, letter.Key)
	if err != nil {
		return ledger.Entry{}, err
	}
	link := entry.Current()
	if link.State != ledger.Dead || link.Generation != letter.Generation {
		return ledger.Entry{}, &Refusal{Kind: RefusedAlreadyLinked, Entry: &entry,
			Text: fmt.Sprintf("post %s went on since this letter: its link is %s now; drop the letter", letter.Key, link.State)}
	}
	post, err := payload.DecodePost(letter.Data)
	if err != nil {
		return ledger.Entry{}, &Refusal{Kind: RefusedPostInvalid, Text: err.Error()}
	}
	revision, instance, entity, err := l.target(Request{Instance: link.Instance, Entity: link.Entity})
	if err != nil {
		return ledger.Entry{}, err
	}
	found := Found{Key: letter.Key, Sequence: entry.Sequence, Post: post, Data: letter.Data, Entry: &entry}
	return l.queue(ctx, found, ledger.Decision{
		Instance: instance.Name, Entity: entity, Rule: link.Rule, Catalog: revision.ID, Notes: link.Notes, By: by,
	})
}
