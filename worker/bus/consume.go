package bus

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

const (
	heartbeat  = time.Second            // how soon a stalled or lost pull is noticed
	mostMissed = 5                      // missed heartbeats between two messages that are routine; after more the consumer is declared again
	resumeWait = 500 * time.Millisecond // pause before a broken subscription is made anew

	// gatePatience is how long a closed gate may hold what was taken ahead. It is far below every ack wait: what waits longer
	// is delivered again, and then handled twice once the gate opens.
	gatePatience = 2 * time.Second
)

// Delivery is a message that was handed to this worker.
type Delivery struct {
	Message
	Stream string
	Times  uint64 // how often it was delivered, this time included
}

// Settlement says what becomes of a delivered message. Its zero value acknowledges it.
type Settlement struct {
	again bool
	after time.Duration
}

// Ack acknowledges the message: its work is done, and every result is stored.
func Ack() Settlement { return Settlement{} }

// Again puts the message off: it is delivered again after a pause.
func Again(after time.Duration) Settlement { return Settlement{again: true, after: after} }

// Handler does the work of one message. Its context ends with the drain time.
type Handler func(context.Context, Delivery) Settlement

// Consumption says how the messages of a consumer are taken. A slot is free before a message is taken. A few times the slots
// are buffered, since the client library stalls when its pulls are as small as what is handled at once (nats.go issue 1338).
type Consumption struct {
	Declare func(context.Context) (jetstream.Consumer, error) // makes the consumer, and again when it is gone
	Slots   int                                               // messages handled at once; default 1
	Buffer  int                                               // messages taken ahead; default four times the slots
	Drain   time.Duration                                     // how long handlers may go on after the context has ended
	Log     *zap.Logger                                       // nil logs nothing

	// Confirm waits until NATS has the acknowledgement, which costs a round trip and spares a redelivery.
	Confirm bool

	// InProgress is how often a progress message extends the ack wait while the handler runs; 0 for never. It has to be shorter
	// than the consumer's ack wait.
	InProgress time.Duration

	// Gate, if set, blocks while nothing may be taken. It returns an error only when its context ends. While it stays closed,
	// what was taken ahead is given back.
	Gate func(context.Context) error

	// Pulling, if set, hears when the subscription works and when it does not. The client library heals a subscription whose
	// connection is lost, so that Bus.Connected has to be looked at as well.
	Pulling func(bool)
}

// Run handles messages until ctx ends. Then it lets the handlers that run finish within the drain time, and gives the messages
// that were taken ahead back at once.
func (c Consumption) Run(ctx context.Context, handle Handler) {
	c.complete()
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	slots := make(chan struct{}, c.Slots)
	start := func(msg jetstream.Msg) {
		running.Go(func() {
			defer func() { <-slots }()
			c.handle(work, msg, handle)
		})
	}
	broken := false
	for ctx.Err() == nil {
		messages, err := c.pull(ctx)
		if err == nil {
			broken = false
			c.Pulling(true)
			var held jetstream.Msg
			held, err = c.take(ctx, messages, slots, start)
			if err != nil || ctx.Err() != nil {
				c.Pulling(false)
			}
			giveBack(messages, held)
		}
		if err != nil && ctx.Err() == nil {
			c.interrupted(ctx, err, broken)
			broken = true
		}
	}
	timer := time.AfterFunc(c.Drain, stop)
	defer timer.Stop()
	running.Wait()
}

// complete fills in what was left out.
func (c *Consumption) complete() {
	c.Slots = cmp.Or(c.Slots, 1)
	c.Buffer = cmp.Or(c.Buffer, 4*c.Slots)
	c.Log = cmp.Or(c.Log, zap.NewNop())
	if c.Gate == nil {
		c.Gate = func(ctx context.Context) error { return ctx.Err() }
	}
	if c.Pulling == nil {
		c.Pulling = func(bool) {}
	}
}

// pull declares the consumer, so that its stream keeps messages for it from now on, and subscribes once the gate is open.
func (c Consumption) pull(ctx context.Context) (jetstream.MessagesContext, error) {
	consumer, err := c.Declare(ctx)
	if err == nil {
		err = c.Gate(ctx)
	}
	if err != nil {
		return nil, err
	}
	return consumer.Messages(jetstream.PullMaxMessages(c.Buffer), jetstream.PullHeartbeat(heartbeat), jetstream.PullExpiry(30*heartbeat))
}

// opened waits a short time for the gate.
func (c Consumption) opened(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, gatePatience)
	defer cancel()
	return c.Gate(ctx) == nil
}

// take starts a handler for each message until the context ends or the gate stays closed, which are no errors, or the
// subscription breaks. held is a message that was taken and has to be given back; it may be nil.
func (c Consumption) take(
	ctx context.Context, messages jetstream.MessagesContext, slots chan struct{}, start func(jetstream.Msg),
) (held jetstream.Msg, err error) {
	missed := 0
	for {
		if !c.opened(ctx) {
			return nil, nil
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil, nil
		}
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err == nil {
			missed = 0
			if !c.opened(ctx) { // it may have closed while there was nothing to take
				<-slots
				return msg, nil
			}
			start(msg)
			continue
		}
		<-slots
		switch {
		case ctx.Err() != nil:
			return nil, nil
		case errors.Is(err, jetstream.ErrNoHeartbeat) && missed < mostMissed:
			missed++ // the library pulls again
		default:
			return nil, err
		}
	}
}

// handle runs the handler and settles the message, which happens nowhere else.
func (c Consumption) handle(ctx context.Context, msg jetstream.Msg, handle Handler) {
	meta, err := msg.Metadata()
	if err != nil { // every message of a JetStream consumer has metadata
		c.Log.Error("a message has no metadata and is passed over", zap.Error(err))
		return
	}
	done := c.keepAlive(ctx, msg)
	settlement := handle(ctx, Delivery{Message: stored(msg, meta), Stream: meta.Stream, Times: meta.NumDelivered})
	done()
	switch {
	case settlement.again:
		err = msg.NakWithDelay(settlement.after)
	case c.Confirm && ctx.Err() == nil: // nobody waits for a round trip once the drain time is over
		err = msg.DoubleAck(ctx)
	default:
		err = msg.Ack()
	}
	if err != nil {
		c.Log.Debug("cannot settle a message; it will come again", zap.Error(err))
	}
}

// keepAlive sends progress messages until done is called.
func (c Consumption) keepAlive(ctx context.Context, msg jetstream.Msg) (done func()) {
	if c.InProgress == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var progress sync.WaitGroup
	progress.Go(func() {
		for Sleep(ctx, c.InProgress) {
			_ = msg.InProgress() // without it the message is only delivered twice, which is harmless
		}
	})
	return func() {
		cancel()
		progress.Wait()
	}
}

// interrupted pauses before the next try. Only the first failure of several in a row is a warning.
func (c Consumption) interrupted(ctx context.Context, err error, before bool) {
	level := zap.WarnLevel
	if before {
		level = zap.DebugLevel
	}
	c.Log.Log(level, "cannot take from the stream, trying again", zap.Error(err), zap.Duration("delay", resumeWait))
	Sleep(ctx, resumeWait)
}

// giveBack returns what was taken ahead, so that another worker has it at once instead of after the ack wait. It ends the
// subscription first: NATS would deliver what comes back before to this worker again.
func giveBack(messages jetstream.MessagesContext, held jetstream.Msg) {
	messages.Drain()
	var back []jetstream.Msg
	if held != nil {
		back = append(back, held)
	}
	for {
		msg, err := messages.Next(jetstream.NextMaxWait(heartbeat))
		if err != nil {
			break
		}
		back = append(back, msg)
	}
	messages.Stop()
	for _, msg := range back {
		_ = msg.Nak() // redelivers at once; if it is lost, the message comes again after the ack wait
	}
}

// Sleep pauses, and reports whether the context is still alive.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Spread makes a pause up to a fifth longer or shorter, so that workers that wait for the same reason do not retry at the same
// moment.
func Spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // not a secret
}
