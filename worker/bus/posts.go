package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNoPost says that the posts stream does not hold what was asked for.
var ErrNoPost = errors.New("no such post in the stream; it may be older than the stream keeps posts")

// Stored is a post as the stream holds it.
type Stored struct {
	Sequence uint64
	At       time.Time // when it arrived
	Subject  string
	Data     []byte
}

// Posts hands out the posts to match.
func (b *Bus) Posts() jetstream.Consumer { return b.posts }

// PublishPost appends a post to the stream and waits until it is kept. The subject is the first of the posts' subjects,
// with source (twitter, facebook, ...) in place of its wildcard.
func (b *Bus) PublishPost(ctx context.Context, source string, data []byte) error {
	if _, err := b.js.Publish(ctx, b.postSubject(source), data); err != nil {
		return fmt.Errorf("publish a post: %w", unreachable(err))
	}
	return nil
}

// PublishPostAsync appends a post without waiting; the future says when it is kept. It blocks while too many are on the way.
func (b *Bus) PublishPostAsync(source string, data []byte) (jetstream.PubAckFuture, error) {
	f, err := b.js.PublishAsync(b.postSubject(source), data)
	if err != nil {
		return nil, fmt.Errorf("publish a post: %w", err)
	}
	return f, nil
}

func (b *Bus) postSubject(source string) string {
	if source == "" {
		source = "other"
	}
	tokens := strings.Split(b.opts.Posts.Subjects[0], ".")
	for i, t := range tokens {
		if t == "*" || t == ">" {
			tokens[i] = subjectToken(source)
		}
	}
	return strings.Join(tokens, ".")
}

// subjectToken makes any text usable as one token of a subject.
func subjectToken(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '.' || r == '*' || r == '>' || r == 0x7f {
			return '-'
		}
		return r
	}, s)
}

// Post reads one post by its sequence. The error is ErrNoPost when the stream does not hold it (any more).
func (b *Bus) Post(ctx context.Context, sequence uint64) (Stored, error) {
	stream, err := b.js.Stream(ctx, b.opts.Posts.Stream)
	if err != nil {
		return Stored{}, fmt.Errorf("look for stream %s: %w", b.opts.Posts.Stream, unreachable(err))
	}
	msg, err := stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Stored{}, fmt.Errorf("read post %d: %w", sequence, ErrNoPost)
	}
	if err != nil {
		return Stored{}, fmt.Errorf("read post %d: %w", sequence, unreachable(err))
	}
	return Stored{Sequence: msg.Sequence, At: msg.Time, Subject: msg.Subject, Data: msg.Data}, nil
}

// Backlog counts the posts that are not settled: those never delivered and those under way.
func (b *Bus) Backlog(ctx context.Context) (uint64, error) {
	info, err := b.posts.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("look at the consumer of %s: %w", b.opts.Posts.Stream, unreachable(err))
	}
	return info.NumPending + uint64(max(info.NumAckPending, 0)), nil
}

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

// PublishEvent tells the world, under events.<subject>, what happened.
func (b *Bus) PublishEvent(ctx context.Context, subject string, data []byte) error {
	if _, err := b.js.Publish(ctx, b.subject("events."+subject), data); err != nil {
		return fmt.Errorf("publish event %s: %w", subject, unreachable(err))
	}
	return nil
}
