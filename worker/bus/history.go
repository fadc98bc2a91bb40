package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// window is how many sequences are read at once when a stream is read backwards; JetStream itself reads forwards only.
const window = 512

// Message is what a stream holds at one sequence.
type Message struct {
	Sequence uint64
	At       time.Time
	Subject  string
	Header   nats.Header
	Data     []byte
}

// backwards calls visit with what a stream holds below a sequence (0: everything), newest first, until it returns false.
func (b *Bus) backwards(ctx context.Context, name string, filter []string, below uint64, visit func(Message) bool) error {
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("look for stream %s: %w", name, unreachable(err))
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("look into stream %s: %w", name, unreachable(err))
	}
	first, next := info.State.FirstSeq, info.State.LastSeq+1
	if below != 0 {
		next = min(next, below)
	}
	for next > first && info.State.Msgs > 0 {
		from := first
		if next > first+window {
			from = next - window
		}
		messages, err := b.between(ctx, stream, filter, from, next)
		if err != nil {
			return fmt.Errorf("read stream %s: %w", name, err)
		}
		for _, message := range slices.Backward(messages) {
			if !visit(message) {
				return nil
			}
		}
		next = from
	}
	return nil
}

// between reads what a stream holds from one sequence up to, but without, another.
func (b *Bus) between(ctx context.Context, stream jetstream.Stream, filter []string, from, to uint64) ([]Message, error) {
	var messages []Message
	err := b.forwards(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: filter, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
	}, func(m Message) bool {
		if m.Sequence < to {
			messages = append(messages, m)
		}
		return m.Sequence+1 < to
	})
	return messages, err
}

// forwards calls visit with what a consumer delivers until it returns false or everything there was has been delivered.
func (b *Bus) forwards(ctx context.Context, stream jetstream.Stream, cfg jetstream.OrderedConsumerConfig, visit func(Message) bool) error {
	consumer, err := stream.OrderedConsumer(ctx, cfg)
	if err != nil {
		return unreachable(err)
	}
	if consumer.CachedInfo().NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(window))
	if err != nil {
		return unreachable(err)
	}
	defer messages.Stop()
	for {
		msg, err := b.next(ctx, messages)
		if err != nil {
			return unreachable(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		more := visit(Message{
			Sequence: meta.Sequence.Stream, At: meta.Timestamp, Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data(),
		})
		if !more || meta.NumPending == 0 {
			return nil
		}
	}
}

// nextWait is how long a message may take that the server said was there.
const nextWait = 5 * time.Second

func (b *Bus) next(ctx context.Context, messages jetstream.MessagesContext) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, nextWait)
	defer cancel()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if !errors.Is(err, jetstream.ErrNoHeartbeat) {
			return msg, err
		}
	}
}

// LedgerBefore calls visit with the ledger's entries that were last changed below a sequence (0: all), the newest change
// first, until it returns false. The entry's key is the last part of the subject, its value the data.
func (b *Bus) LedgerBefore(ctx context.Context, sequence uint64, visit func(key string, m Message) bool) error {
	prefix := "$KV." + b.ledger.Bucket() + "."
	return b.backwards(ctx, "KV_"+b.ledger.Bucket(), []string{prefix + ">"}, sequence, func(m Message) bool {
		if m.Header.Get("KV-Operation") != "" {
			return true // a marker of something deleted by hand
		}
		return visit(strings.TrimPrefix(m.Subject, prefix), m)
	})
}

// EventsSince calls visit with the events that happened since a time, and then with those that happen, until ctx ends. Their
// subjects are those that they were published under, without "events.".
func (b *Bus) EventsSince(ctx context.Context, since time.Time, visit func(Message)) error {
	consumer, err := b.js.OrderedConsumer(ctx, b.name("EVENTS"), jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
	})
	if err != nil {
		return fmt.Errorf("follow the events: %w", unreachable(err))
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("follow the events: %w", unreachable(err))
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			continue
		case err != nil:
			return fmt.Errorf("follow the events: %w", err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("follow the events: %w", err)
		}
		visit(Message{
			Sequence: meta.Sequence.Stream, At: meta.Timestamp, Header: msg.Headers(), Data: msg.Data(),
			Subject: strings.TrimPrefix(msg.Subject(), b.subject("events.")),
		})
	}
}
