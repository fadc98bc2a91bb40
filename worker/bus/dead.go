package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNoLetter says that there is no such dead letter.
var ErrNoLetter = errors.New("no such dead letter; it may have been dropped, or be older than dead letters are kept")

// DeadPost and DeadLink are the subjects of dead letters below "dead.": all of one kind.
const (
	DeadPost = "post"
	DeadLink = "link.*"
)

// PublishDead keeps a dead letter under dead.<subject>; id lets JetStream drop a repetition within minutes. A body too large to travel with its headers is cut; the header
// DeadCut then holds its full length in bytes.
func (b *Bus) PublishDead(ctx context.Context, subject, id string, header nats.Header, data []byte) error {
	limit := int(b.nc.MaxPayload()) - headerRoom(header)
	if len(data) > limit {
		header.Set(DeadCut, fmt.Sprint(len(data)))
		data = data[:max(limit, 0)]
	}
	msg := &nats.Msg{Subject: b.subject("dead." + subject), Header: header, Data: data}
	if _, err := b.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id)); err != nil {
		return fmt.Errorf("keep a dead letter: %w", unreachable(err))
	}
	return nil
}

// DeadCut is the header of a dead letter whose body was cut to fit.
const DeadCut = "Postlink-Cut-From"

// headerRoom is what a header takes on the wire, with room for what clients and servers add.
func headerRoom(h nats.Header) int {
	n := 512
	for k, vs := range h {
		for _, v := range vs {
			n += len(k) + len(v) + 4
		}
	}
	return n
}

// DeadPosts counts the dead letters of posts that could not be handled.
func (b *Bus) DeadPosts(ctx context.Context) (uint64, error) {
	subject := b.subject("dead.post")
	stream, err := b.js.Stream(ctx, b.name("DEAD"))
	if err != nil {
		return 0, fmt.Errorf("look for the dead letters: %w", unreachable(err))
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return 0, fmt.Errorf("look into the dead letters: %w", unreachable(err))
	}
	return info.State.Subjects[subject], nil
}

// DeadLettersBefore calls visit with the dead letters under a subject that are below a sequence (0: all), newest first, until
// it returns false.
func (b *Bus) DeadLettersBefore(ctx context.Context, subject string, sequence uint64, visit func(Message) bool) error {
	return b.backwards(ctx, b.name("DEAD"), []string{b.subject("dead." + subject)}, sequence, visit)
}

// DeadLetter reads one dead letter. The error is ErrNoLetter when there is none of that sequence (any more).
func (b *Bus) DeadLetter(ctx context.Context, sequence uint64) (Message, error) {
	stream, err := b.js.Stream(ctx, b.name("DEAD"))
	if err != nil {
		return Message{}, fmt.Errorf("look for the dead letters: %w", unreachable(err))
	}
	msg, err := stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Message{}, fmt.Errorf("read dead letter %d: %w", sequence, ErrNoLetter)
	}
	if err != nil {
		return Message{}, fmt.Errorf("read dead letter %d: %w", sequence, unreachable(err))
	}
	return Message{Sequence: msg.Sequence, At: msg.Time, Subject: msg.Subject, Header: msg.Header, Data: msg.Data}, nil
}

// DropDeadLetter deletes one dead letter for good. The error is ErrNoLetter when there is none of that sequence.
func (b *Bus) DropDeadLetter(ctx context.Context, sequence uint64) error {
	if _, err := b.DeadLetter(ctx, sequence); err != nil {
		return err
	}
	stream, err := b.js.Stream(ctx, b.name("DEAD"))
	if err == nil {
		err = stream.DeleteMsg(ctx, sequence)
	}
	if err != nil {
		return fmt.Errorf("drop dead letter %d: %w", sequence, unreachable(err))
	}
	return nil
}
