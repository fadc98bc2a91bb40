package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

const (
	heartbeat  = time.Second            // how soon a stalled or lost pull is noticed
	mostMissed = 5                      // heartbeats in a row whose loss is routine; after more the consumer is declared anew
	resumeWait = 500 * time.Millisecond // pause before a broken subscription is made anew
)

// intake takes messages from a consumer and handles up to slots of them at once. A slot is free before a message is taken,
// and a few times the slots are buffered, since the client library stalls when its pulls are as small as what is handled at
// once (nats.go issue 1338).
type intake struct {
	open    func(context.Context) (jetstream.Consumer, error) // declares the consumer, and again when it is gone
	slots   int
	buffer  int
	drain   time.Duration // how long handlers may go on after the context has ended
	log     *zap.Logger
	pulling func(bool) // told when the subscription works, and when it does not

	// gate, if set, blocks while nothing may be taken; it returns an error only when the context ends.
	gate func(context.Context) error
}

// run handles messages until ctx ends; then it lets the handlers that run finish within the drain time and gives the rest
// of the messages back at once. handle must settle its message; its context ends with the drain time.
func (in intake) run(ctx context.Context, handle func(context.Context, jetstream.Msg)) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	slots := make(chan struct{}, in.slots)
	for ctx.Err() == nil {
		messages, err := in.pull(ctx)
		if err != nil {
			in.interrupted(ctx, err)
			continue
		}
		in.pulling(true)
		err = in.take(ctx, messages, slots, func(msg jetstream.Msg) {
			running.Go(func() {
				defer func() { <-slots }()
				handle(work, msg)
			})
		})
		in.pulling(false)
		giveBack(messages)
		if err != nil {
			in.interrupted(ctx, err)
		}
	}
	timer := time.AfterFunc(in.drain, stop)
	defer timer.Stop()
	running.Wait()
	return nil
}

func (in intake) pull(ctx context.Context) (jetstream.MessagesContext, error) {
	consumer, err := in.open(ctx)
	if err != nil {
		return nil, err
	}
	return consumer.Messages(jetstream.PullMaxMessages(in.buffer), jetstream.PullHeartbeat(heartbeat), jetstream.PullExpiry(30*heartbeat))
}

// take starts a handler for each message until the context ends or the subscription breaks.
func (in intake) take(ctx context.Context, messages jetstream.MessagesContext, slots chan struct{}, start func(jetstream.Msg)) error {
	missed := 0
	for {
		if in.gate != nil && in.gate(ctx) != nil {
			return nil
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err == nil {
			missed = 0
			if in.gate != nil && in.gate(ctx) != nil { // it may have closed while there was nothing to take
				<-slots
				return msg.Nak()
			}
			start(msg)
			continue
		}
		<-slots
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat) && missed < mostMissed: // routine: the library pulls again
			missed++
		default:
			return err // a lost connection too reads like an iterator that was closed
		}
	}
}

func (in intake) interrupted(ctx context.Context, err error) {
	in.log.Warn("cannot take from the stream, trying again", zap.Error(err), zap.Duration("delay", resumeWait))
	select {
	case <-time.After(resumeWait):
	case <-ctx.Done():
	}
}

// giveBack returns what was buffered, so that another worker has it at once instead of after the ack wait.
func giveBack(messages jetstream.MessagesContext) {
	messages.Drain()
	for {
		msg, err := messages.Next(jetstream.NextMaxWait(heartbeat))
		if err != nil {
			messages.Stop()
			return
		}
		_ = msg.Nak() // at once is what is wanted here; if it is lost, the ack wait does the same later
	}
}
