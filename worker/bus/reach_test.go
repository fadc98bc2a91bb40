package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
)

func TestWhoWaitsForNATSHearsAtOnceThatItIsLost(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	b := connect(t, bus.Options{URL: l.url()})
	before, cancel := b.Attached(t.Context())
	defer cancel()
	if err := before.Err(); err != nil {
		t.Fatalf("ended while NATS is there: %v", err)
	}
	l.down()
	select {
	case <-before.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the loss of NATS was not noticed")
	}
	during, cancel := b.Attached(t.Context())
	defer cancel()
	if during.Err() == nil {
		t.Error("begun while NATS is lost: not ended at once")
	}
	for name, ctx := range map[string]context.Context{"under way": before, "begun afterwards": during} {
		if !errors.Is(context.Cause(ctx), bus.ErrUnreachable) {
			t.Errorf("%s: the context ended because of %v", name, context.Cause(ctx))
		}
	}
	l.up()
	await(t, "NATS is back", func() bool {
		after, cancel := b.Attached(t.Context())
		defer cancel()
		return after.Err() == nil && b.Connected()
	})
}

func TestAnAttachedContextEndsWithItsParentAndItsCancel(t *testing.T) {
	t.Parallel()
	b := open(t)
	parent, end := context.WithCancelCause(t.Context())
	child, cancel := b.Attached(parent)
	defer cancel()
	end(io.EOF)
	if !errors.Is(context.Cause(child), io.EOF) {
		t.Errorf("ended because of %v", context.Cause(child))
	}
	other, cancel := b.Attached(t.Context())
	cancel()
	if !errors.Is(other.Err(), context.Canceled) || errors.Is(context.Cause(other), bus.ErrUnreachable) {
		t.Errorf("canceled, ended because of %v", context.Cause(other))
	}
}

func TestErrorsThatMeanThatNATSDoesNotAnswerAreUnreachable(t *testing.T) {
	t.Parallel()
	silences := []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionClosed, nats.ErrConnectionReconnecting,
		nats.ErrDisconnected, nats.ErrReconnectBufExceeded, nats.ErrNoServers, jetstream.ErrNoStreamResponse, jetstream.ErrNoHeartbeat,
		jetstream.ErrJetStreamNotEnabled, jetstream.ErrJetStreamNotEnabledForAccount, jetstream.ErrMsgIteratorClosed,
		jetstream.ErrTooManyStalledMsgs, &net.OpError{Op: "dial", Err: io.EOF},
	}
	for _, silence := range silences {
		err := bus.Unreachable(fmt.Errorf("read: %w", silence))
		if !errors.Is(err, bus.ErrUnreachable) || !errors.Is(err, silence) {
			t.Errorf("%v became %v", silence, err)
		}
		if again := bus.Unreachable(err); again.Error() != err.Error() {
			t.Errorf("wrapped twice: %v", again)
		}
	}
	for _, other := range []error{nil, io.EOF, context.Canceled, jetstream.ErrStreamNotFound, jetstream.ErrKeyExists, nats.ErrAuthorization} {
		if err := bus.Unreachable(other); errors.Is(err, bus.ErrUnreachable) || !errors.Is(err, other) {
			t.Errorf("%v became %v", other, err)
		}
	}
}

func TestEveryCallIsUnreachableWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	b := connect(t, bus.Options{Server: server})
	name := declare(t, b, "THINGS")
	server.Shutdown()
	calls := map[string]func(context.Context) error{
		"declare a stream": func(ctx context.Context) error { return b.DeclareStream(ctx, jetstream.StreamConfig{Name: name}) },
		"declare a bucket": func(ctx context.Context) error {
			_, err := b.DeclareBucket(ctx, jetstream.KeyValueConfig{Bucket: "x"})
			return err
		},
		"declare a consumer": func(ctx context.Context) error {
			_, err := b.DeclareConsumer(ctx, name, jetstream.ConsumerConfig{Durable: "x"})
			return err
		},
		"publish": func(ctx context.Context) error {
			return b.Publish(ctx, &nats.Msg{Subject: b.Subject("THINGS", "x")}, "")
		},
		"read one": func(ctx context.Context) error { _, err := b.Message(ctx, name, 1); return err },
		"newest":   func(ctx context.Context) error { _, err := b.Newest(ctx, name, ">"); return err },
		"count":    func(ctx context.Context) error { _, err := b.Count(ctx, name, ">"); return err },
		"held":     func(ctx context.Context) error { _, err := b.Held(ctx, name); return err },
		"streams":  func(ctx context.Context) error { _, err := b.StreamsOf(ctx, ">"); return err },
		"delete":   func(ctx context.Context) error { return b.Delete(ctx, name, 1) },
		"read backwards": func(ctx context.Context) error {
			return b.Backwards(ctx, bus.Read{Stream: name}, func(bus.Message) (bool, error) { return true, nil })
		},
		"follow": func(ctx context.Context) error {
			return b.Follow(ctx, name, bus.Start{}, func(bus.Message) error { return nil })
		},
	}
	for what, call := range calls {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := call(ctx); !errors.Is(err, bus.ErrUnreachable) {
				t.Errorf("error %v", err)
			}
		})
	}
}
