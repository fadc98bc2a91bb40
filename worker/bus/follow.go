package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Start says where following a stream begins. Its zero value begins with what comes from now on.
type Start struct {
	After uint64    // behind this sequence, or with what comes from now on when the stream does not reach it; or
	Since time.Time // at this time
}

// ErrStreamGone says that a stream was deleted while it was followed. If it was made anew, its sequences begin at 1 again.
var ErrStreamGone = errors.New("the stream was deleted")

// Follow calls visit with what a stream holds from a start on, and then with what comes, until ctx ends, which is no error, or
// visit returns an error. It goes on where it was after NATS was lost. The error is ErrStreamGone when the stream is deleted.
func (b *Bus) Follow(ctx context.Context, name string, start Start, visit func(Message) error) error {
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("follow stream %s: %w", name, Unreachable(err))
	}
	info := stream.CachedInfo()
	cfg := reading(nil, info.State.LastSeq+1, false)
	switch {
	case start.After != 0:
		cfg.OptStartSeq = min(start.After, info.State.LastSeq) + 1
	case !start.Since.IsZero():
		cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &start.Since
	}
	var stop error
	for {
		err := follow(ctx, stream, cfg, func(m Message) error {
			cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartSequencePolicy, m.Sequence+1, nil
			stop = visit(m)
			return stop
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case stop != nil:
			return stop
		}
		now, _, lookErr := b.StreamInfo(ctx, name)
		switch {
		case lookErr == nil && (now == nil || !now.Created.Equal(info.Created)):
			return fmt.Errorf("follow stream %s: %w", name, ErrStreamGone)
		case lookErr == nil && !resumable(err):
			return fmt.Errorf("follow stream %s: %w", name, err)
		}
		Sleep(ctx, resumeWait)
	}
}

// resumable reports whether following can go on with a new consumer after an error.
func resumable(err error) bool {
	err = Unreachable(err)
	return errors.Is(err, ErrUnreachable) || errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound)
}

// follow visits what a new consumer delivers until something breaks or visit returns an error.
func follow(ctx context.Context, stream jetstream.Stream, cfg jetstream.ConsumerConfig, visit func(Message) error) (err error) {
	consumer, err := stream.CreateConsumer(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { forget(ctx, stream, consumer, err) }()
	iterator, err := consumer.Messages(jetstream.PullHeartbeat(heartbeat), jetstream.PullExpiry(30*heartbeat))
	if err != nil {
		return err
	}
	defer iterator.Stop()
	for delivered := uint64(1); ; delivered++ {
		msg, err := iterator.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != delivered {
			return errLost
		}
		if err := visit(stored(msg, meta)); err != nil {
			return err
		}
	}
}
