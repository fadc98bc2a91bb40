package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrUnreachable says that NATS, or its JetStream, does not answer.
var ErrUnreachable = errors.New("NATS cannot be reached")

// noAnswer lists the errors of the client library that mean that there was no answer.
var noAnswer = []error{
	context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionClosed, nats.ErrConnectionReconnecting,
	nats.ErrDisconnected, nats.ErrReconnectBufExceeded, nats.ErrNoServers, jetstream.ErrNoStreamResponse, jetstream.ErrNoHeartbeat,
	jetstream.ErrJetStreamNotEnabled, jetstream.ErrJetStreamNotEnabledForAccount, jetstream.ErrMsgIteratorClosed,
	jetstream.ErrTooManyStalledMsgs,
}

// Unreachable adds ErrUnreachable to an error of NATS that means that there was no answer. Every package that calls the client
// library itself passes what comes back through it.
func Unreachable(err error) error {
	if err == nil || errors.Is(err, ErrUnreachable) {
		return err
	}
	for _, cause := range noAnswer {
		if errors.Is(err, cause) {
			return fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
	}
	if _, network := errors.AsType[*net.OpError](err); network { // while connecting: no such host, no route, a timeout
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

// attachment follows whether the connection works, so that a request that waits for an answer can be ended at once.
type attachment struct {
	mu   sync.Mutex
	lost chan struct{} // closed while the connection is lost, renewed when it is back
}

func newAttachment() *attachment { return &attachment{lost: make(chan struct{})} }

func (a *attachment) disconnected() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.isLost() {
		close(a.lost)
	}
}

func (a *attachment) connected() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.isLost() {
		a.lost = make(chan struct{})
	}
}

func (a *attachment) isLost() bool {
	select {
	case <-a.lost:
		return true
	default:
		return false
	}
}

func (a *attachment) whenLost() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lost
}

// Attached returns a context that ends with the cause ErrUnreachable as soon as the connection to NATS is lost, and at once
// when it is lost already. Requests of people use it, so that they fail at once instead of after a timeout.
func (b *Bus) Attached(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	lost := b.attachment.whenLost()
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-lost:
			cancel(ErrUnreachable)
		case <-ctx.Done():
		}
	})
	select {
	case <-lost:
		watcher.Wait()
	default:
	}
	return ctx, func() {
		cancel(context.Canceled)
		watcher.Wait()
	}
}
