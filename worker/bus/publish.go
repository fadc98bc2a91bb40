package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	// ErrFull says that a stream takes no more until something leaves it.
	ErrFull = errors.New("the stream is full")

	// ErrTooLarge says that a message is larger than NATS takes (max_payload).
	ErrTooLarge = errors.New("the message is larger than NATS takes")

	// ErrNoStream says that no stream takes the subject.
	ErrNoStream = errors.New("no stream takes the subject")
)

// What JetStream answers when it stores no more (errors.json of nats-server).
const (
	codeNotStored jetstream.ErrorCode = 10077 // the stream's limits are reached, or its disk fails
	codeNoStorage jetstream.ErrorCode = 10047 // all that the server may store is used
)

// stallWait is how long PublishAsync blocks while too many messages are on the way.
const stallWait = 10 * time.Second

// Publish appends a message to the stream of its subject and waits until it is kept. An id lets JetStream drop a repetition
// within two minutes, which saves work and guarantees nothing; it may be empty. Errors are ErrFull, ErrTooLarge, ErrNoStream
// and ErrUnreachable; after the last one the message may have been kept or not.
func (b *Bus) Publish(ctx context.Context, msg *nats.Msg, id string) error {
	var opts []jetstream.PublishOpt
	if id != "" {
		opts = append(opts, jetstream.WithMsgID(id))
	}
	_, err := b.js.PublishMsg(ctx, msg, opts...)
	return refusal(err)
}

// PublishAsync appends a message without waiting; the future says when it is kept. It blocks while too many are on the way;
// the error is ErrUnreachable when none of them is answered for 10 s.
func (b *Bus) PublishAsync(msg *nats.Msg) (jetstream.PubAckFuture, error) {
	future, err := b.js.PublishMsgAsync(msg, jetstream.WithStallWait(stallWait))
	return future, refusal(err)
}

func refusal(err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("%w: %w", ErrNoStream, err)
	case errors.As(err, &api) && (api.ErrorCode == codeNotStored || api.ErrorCode == codeNoStorage):
		return fmt.Errorf("%w: %w", ErrFull, err)
	default:
		return Unreachable(err)
	}
}

// Room is how many bytes of data a message with this header may have.
func (b *Bus) Room(header nats.Header) int {
	const added = 512 // by the client library and the server
	room := int(b.nc.MaxPayload()) - added
	for key, values := range header {
		for _, value := range values {
			room -= len(key) + len(value) + len(": \r\n")
		}
	}
	return max(room, 0)
}
