// Package posts knows the stream in which posts arrive: its name and subjects, the consumer that all workers share, and how to
// publish, read and list posts.
//
// A stream that exists and that postlink did not make belongs to the ingestion: only the consumer is ours, and nothing else of
// the stream is changed. The package does not know what is in a post.
package posts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
)

const (
	// matchWait is how long a post may stay unacknowledged before NATS gives it to another worker, as after a worker was killed.
	matchWait = 30 * time.Second

	// matchPending bounds the deliveries, over all workers, that are under way or put off. Posts are put off only while an
	// outbox is full, so that one full outbox can hold back this many posts before the others wait too.
	matchPending = 50_000
)

// ErrNotFound says that the stream does not hold a post (any more).
var ErrNotFound = errors.New("no such post in the stream; it may be older than the stream keeps posts")

// Options say where posts arrive.
type Options struct {
	Stream   string        // default POSTS
	Subjects []string      // default posts.>
	Age      time.Duration // how long a stream of ours keeps posts; default 7 days
	Bytes    int64         // the most that they may take on disk; default unlimited

	// Remembered is how long the ledger remembers a post. The stream must keep posts for a shorter time: one that came back
	// after it was forgotten could be linked twice.
	Remembered time.Duration
}

func (o *Options) validate() error {
	o.Stream = cmp.Or(o.Stream, "POSTS")
	o.Age = cmp.Or(o.Age, 7*bus.Day)
	if len(o.Subjects) == 0 {
		o.Subjects = []string{"posts.>"}
	}
	if o.Remembered <= o.Age {
		return fmt.Errorf("the ledger would forget posts (after %s) that the posts stream still keeps (for %s), and they could be "+
			"linked twice; set ledger.max_age above posts.max_age", o.Remembered, o.Age)
	}
	return nil
}

// Posts is the stream of posts. It is safe for concurrent use.
type Posts struct {
	bus  *bus.Bus
	opts Options
}

// Open declares the stream, unless it is the ingestion's own, and the consumer.
func Open(ctx context.Context, b *bus.Bus, opts Options) (*Posts, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	p := &Posts{b, opts}
	info, ours, err := b.StreamInfo(ctx, opts.Stream)
	if err != nil {
		return nil, err
	}
	if info != nil && !ours {
		if age := info.Config.MaxAge; age == 0 || age >= opts.Remembered {
			return nil, fmt.Errorf("stream %s keeps posts for longer than the ledger remembers them (%s), and they could be linked "+
				"twice; set a max_age on the stream, below ledger.max_age", opts.Stream, opts.Remembered)
		}
	} else if err := b.DeclareStream(ctx, jetstream.StreamConfig{
		Name:        opts.Stream,
		Description: "Social posts, as they arrive.",
		Subjects:    opts.Subjects,
		MaxAge:      opts.Age,
		MaxBytes:    max(opts.Bytes, 0),
		Discard:     jetstream.DiscardOld,
	}); err != nil {
		return nil, err
	}
	_, err = p.declareConsumer(ctx)
	return p, err
}

func (p *Posts) consumerName() string { return p.bus.BucketName("match") }

func (p *Posts) declareConsumer(ctx context.Context) (jetstream.Consumer, error) {
	return p.bus.DeclareConsumer(ctx, p.opts.Stream, jetstream.ConsumerConfig{
		Durable:        p.consumerName(),
		Description:    "Matches posts against the rules; all workers share it.",
		FilterSubjects: p.opts.Subjects,
		DeliverPolicy:  jetstream.DeliverAllPolicy, // what was matched before is known to the ledger
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        matchWait,
		MaxDeliver:     -1, // a post past it would stay in the stream, invisible
		MaxAckPending:  matchPending,
	})
}

// Take handles posts, as c says, until ctx ends. c.Declare is filled in.
func (p *Posts) Take(ctx context.Context, c bus.Consumption, handle bus.Handler) {
	c.Declare = p.declareConsumer
	c.Run(ctx, handle)
}

// Publish appends a post to the stream and waits until it is kept. The subject is the first of the posts' subjects, with the
// network (twitter, facebook, ...) in place of its wildcard.
func (p *Posts) Publish(ctx context.Context, network string, data []byte) error {
	if err := p.bus.Publish(ctx, p.message(network, data), ""); err != nil {
		return fmt.Errorf("publish a post: %w", err)
	}
	return nil
}

// PublishAsync appends a post without waiting; the future says when it is kept. It blocks while too many are on the way.
func (p *Posts) PublishAsync(network string, data []byte) (jetstream.PubAckFuture, error) {
	future, err := p.bus.PublishAsync(p.message(network, data))
	if err != nil {
		return nil, fmt.Errorf("publish a post: %w", err)
	}
	return future, nil
}

func (p *Posts) message(network string, data []byte) *nats.Msg {
	tokens := strings.Split(p.opts.Subjects[0], ".")
	for i, t := range tokens {
		if t == "*" || t == ">" {
			tokens[i] = bus.Token(cmp.Or(network, "other"))
		}
	}
	return &nats.Msg{Subject: strings.Join(tokens, "."), Data: data}
}

// Read reads one post by its sequence. The error is ErrNotFound when the stream does not hold it (any more).
func (p *Posts) Read(ctx context.Context, sequence uint64) (bus.Message, error) {
	m, err := p.bus.Message(ctx, p.opts.Stream, sequence)
	if errors.Is(err, bus.ErrNoMessage) {
		return bus.Message{}, fmt.Errorf("read post %d: %w", sequence, ErrNotFound)
	}
	return m, err
}

// Backwards calls visit with the posts below a sequence (0: all), newest first, until it returns false or an error.
func (p *Posts) Backwards(ctx context.Context, below uint64, visit func(bus.Message) (more bool, err error)) error {
	return p.bus.Backwards(ctx, bus.Read{Stream: p.opts.Stream, Subjects: p.opts.Subjects, Below: below}, visit)
}

// Backlog counts the posts that are not settled: those never delivered and those under way. It is zero only if that is so.
func (p *Posts) Backlog(ctx context.Context) (uint64, error) {
	var newest uint64
	for _, subject := range p.opts.Subjects {
		m, err := p.bus.Newest(ctx, p.opts.Stream, subject)
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			return 0, fmt.Errorf("look for the newest post: %w", err)
		}
		newest = max(newest, m.Sequence)
	}
	info, err := p.bus.ConsumerInfo(ctx, p.opts.Stream, p.consumerName())
	if err != nil {
		return 0, err
	}
	waiting := info.NumPending
	if newest > info.Delivered.Stream {
		waiting = max(waiting, 1) // the server counts a message for its consumer only after it has acknowledged it
	}
	return waiting + uint64(max(info.NumAckPending, 0)), nil
}
