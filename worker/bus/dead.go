package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Letter is a dead letter as the stream holds it.
type Letter struct {
	Sequence uint64
	At       time.Time
	Subject  string // below "dead.": post, or link.<instance>
	Header   nats.Header
	Data     []byte
}

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

// DeadLetters calls visit with the dead letters under a subject, from a sequence on, oldest first, until it returns false.
func (b *Bus) DeadLetters(ctx context.Context, subject string, from uint64, visit func(Letter) bool) error {
	stream, err := b.js.Stream(ctx, b.name("DEAD"))
	if err != nil {
		return fmt.Errorf("look for the dead letters: %w", unreachable(err))
	}
	for next := max(from, 1); ; {
		msg, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(b.subject("dead."+subject)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the dead letters: %w", unreachable(err))
		}
		letter := Letter{
			Sequence: msg.Sequence, At: msg.Time, Subject: msg.Subject[len(b.subject("dead.")):], Header: msg.Header, Data: msg.Data,
		}
		if !visit(letter) {
			return nil
		}
		next = msg.Sequence + 1
	}
}
