package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrOutboxFull says that an instance's outbox takes no more links until some are delivered.
var ErrOutboxFull = errors.New("the outbox is full")

// outboxName begins the names of the outboxes' streams.
const outboxName = "OUTBOX_"

// ErrTooLarge says that a post is too large to travel with the header that an outbox needs.
var ErrTooLarge = errors.New("the post is too large to be queued")

// codeStreamFull is what JetStream answers when a stream refuses an entry for its limits (errors.json: 10077).
const codeStreamFull jetstream.ErrorCode = 10077

// Outbox is the queue of links that wait for one instance. Entries leave it by their ack only: it has no age and no
// delivery limit, and refuses new entries when full.
type Outbox struct {
	bus      *Bus
	instance string
	stream   jetstream.Stream
	consumer jetstream.Consumer
}

// Outbox declares the outbox of an instance, whose name is a subject token.
func (b *Bus) Outbox(ctx context.Context, instance string) (*Outbox, error) {
	name := b.name(outboxName + instance)
	if err := b.declareStream(ctx, jetstream.StreamConfig{
		Name:        name,
		Description: "Links that wait to be delivered to " + instance + ".",
		Subjects:    []string{b.outboxSubject(instance)},
		Retention:   jetstream.WorkQueuePolicy,
		Discard:     jetstream.DiscardNew,
		MaxMsgs:     b.opts.OutboxEntries,
		AllowDirect: true,
	}); err != nil {
		return nil, err
	}
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("look for stream %s: %w", name, unreachable(err))
	}
	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       delivererName,
		Description:   "Delivers links; all workers share it.",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       DeliverWait,
		MaxDeliver:    -1,
		MaxAckPending: -1, // links that failed and wait for another attempt must not hold up the others
	})
	if err != nil {
		return nil, fmt.Errorf("declare consumer %s of stream %s: %w", delivererName, name, unreachable(err))
	}
	return &Outbox{bus: b, instance: instance, stream: stream, consumer: consumer}, nil
}

// Outboxes names the instances that have an outbox, be they still in the catalog or not.
func (b *Bus) Outboxes(ctx context.Context) ([]string, error) {
	var instances []string
	names := b.js.StreamNames(ctx, jetstream.WithStreamListSubject(b.outboxSubject("*")))
	for name := range names.Name() {
		instances = append(instances, strings.TrimPrefix(name, b.name(outboxName)))
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("list the outboxes: %w", unreachable(err))
	}
	return instances, nil
}

// Consumer hands out the entries.
func (o *Outbox) Consumer() jetstream.Consumer { return o.consumer }

// Waiting counts the links that are not delivered yet, those under way included.
func (o *Outbox) Waiting(ctx context.Context) (uint64, error) {
	info, err := o.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("look into the outbox of %s: %w", o.instance, unreachable(err))
	}
	return info.State.Msgs, nil
}

// Enqueue puts an entry into the instance's outbox; id lets JetStream drop a repetition within minutes, which saves a
// delivery and guarantees nothing. The error is ErrOutboxFull when the outbox is at its limit.
func (b *Bus) Enqueue(ctx context.Context, instance, id string, header nats.Header, data []byte) error {
	msg := &nats.Msg{Subject: b.outboxSubject(instance), Header: header, Data: data}
	_, err := b.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id))
	if errors.Is(err, jetstream.ErrNoStreamResponse) { // an instance so new that nobody has declared its outbox yet
		if _, err := b.Outbox(ctx, instance); err != nil {
			return err
		}
		_, err = b.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id))
	}
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("enqueue link %s for %s: %w", id, instance, ErrTooLarge)
	case errors.As(err, &api) && api.ErrorCode == codeStreamFull:
		return fmt.Errorf("enqueue link %s for %s: %w", id, instance, ErrOutboxFull)
	default:
		return fmt.Errorf("enqueue link %s for %s: %w", id, instance, err)
	}
}

// Fits reports whether a post can travel with a header.
func (b *Bus) Fits(header nats.Header, data []byte) bool {
	return len(data)+headerRoom(header) <= int(b.nc.MaxPayload())
}

func (b *Bus) outboxSubject(instance string) string { return b.subject("outbox." + instance) }
