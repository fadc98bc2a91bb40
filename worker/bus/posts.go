package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrNoPost says that the posts stream does not hold what was asked for.
var ErrNoPost = errors.New("no such post in the stream; it may be older than the stream keeps posts")

// Posts declares the consumer that hands out the posts to match, which all workers share.
func (b *Bus) Posts(ctx context.Context) (jetstream.Consumer, error) {
	consumer, err := b.js.CreateOrUpdateConsumer(ctx, b.opts.Posts.Stream, jetstream.ConsumerConfig{
		Durable:        b.name(matcherName),
		Description:    "Matches posts against the rules; all workers share it.",
		FilterSubjects: b.opts.Posts.Subjects,
		DeliverPolicy:  jetstream.DeliverAllPolicy, // what was matched before is known to the ledger
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        matchWait,
		MaxDeliver:     -1, // a post past it would stay in the stream, invisible
		MaxAckPending:  matchPending,
	})
	if err != nil {
		return nil, fmt.Errorf("declare consumer %s of stream %s: %w", matcherName, b.opts.Posts.Stream, unreachable(err))
	}
	return consumer, nil
}

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
func (b *Bus) Post(ctx context.Context, sequence uint64) (Message, error) {
	stream, err := b.js.Stream(ctx, b.opts.Posts.Stream)
	if err != nil {
		return Message{}, fmt.Errorf("look for stream %s: %w", b.opts.Posts.Stream, unreachable(err))
	}
	msg, err := stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Message{}, fmt.Errorf("read post %d: %w", sequence, ErrNoPost)
	}
	if err != nil {
		return Message{}, fmt.Errorf("read post %d: %w", sequence, unreachable(err))
	}
	return Message{Sequence: msg.Sequence, At: msg.Time, Subject: msg.Subject, Header: msg.Header, Data: msg.Data}, nil
}

// PostsBefore calls visit with the posts below a sequence (0: all), newest first, until it returns false.
func (b *Bus) PostsBefore(ctx context.Context, sequence uint64, visit func(Message) bool) error {
	return b.backwards(ctx, b.opts.Posts.Stream, b.opts.Posts.Subjects, sequence, visit)
}

// Backlog counts the posts that are not settled: those never delivered and those under way. It is zero only if that is so.
func (b *Bus) Backlog(ctx context.Context) (uint64, error) {
	newest, err := b.newestPost(ctx)
	if err != nil {
		return 0, err
	}
	consumer, err := b.js.Consumer(ctx, b.opts.Posts.Stream, b.name(matcherName))
	if err != nil {
		return 0, fmt.Errorf("look at the consumer of %s: %w", b.opts.Posts.Stream, unreachable(err))
	}
	info := consumer.CachedInfo()
	waiting := info.NumPending
	if newest > info.Delivered.Stream {
		waiting = max(waiting, 1) // the server tells a consumer of new messages only after it has acknowledged them
	}
	return waiting + uint64(max(info.NumAckPending, 0)), nil
}

// newestPost is the sequence of the newest post, 0 when there is none.
func (b *Bus) newestPost(ctx context.Context) (uint64, error) {
	stream, err := b.js.Stream(ctx, b.opts.Posts.Stream)
	if err != nil {
		return 0, fmt.Errorf("look for stream %s: %w", b.opts.Posts.Stream, unreachable(err))
	}
	var newest uint64
	for _, subject := range b.opts.Posts.Subjects {
		msg, err := stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("look for the newest post under %s: %w", subject, unreachable(err))
		}
		newest = max(newest, msg.Sequence)
	}
	return newest, nil
}

// PublishEvent tells the world, under events.<subject>, what happened; id, unless it is empty, lets JetStream
// drop a repetition within minutes.
func (b *Bus) PublishEvent(ctx context.Context, subject, id string, data []byte) error {
	var opts []jetstream.PublishOpt
	if id != "" {
		opts = append(opts, jetstream.WithMsgID(id))
	}
	if _, err := b.js.Publish(ctx, b.subject("events."+subject), data, opts...); err != nil {
		return fmt.Errorf("publish event %s: %w", subject, unreachable(err))
	}
	return nil
}
