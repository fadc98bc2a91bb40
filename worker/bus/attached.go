package bus

import (
	"context"
	"sync"
)

// attachment follows whether the connection to NATS works, so that what waits for an answer can be ended at once.
type attachment struct {
	mu   sync.Mutex
	lost chan struct{} // closed while the connection is lost, renewed when it is back
}

func newAttachment() *attachment { return &attachment{lost: make(chan struct{})} }

func (a *attachment) disconnected() {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.lost:
	default:
		close(a.lost)
	}
}

func (a *attachment) connected() {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.lost:
		a.lost = make(chan struct{})
	default:
	}
}

func (a *attachment) now() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lost
}

// Attached returns a context that ends with the cause ErrUnreachable as soon as the connection to NATS is lost, and at once
// when it is lost already. Who waits for NATS on behalf of somebody else uses it, so that nobody waits for a timeout.
func (b *Bus) Attached(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	lost := b.attachment.now()
	select {
	case <-lost:
		cancel(ErrUnreachable)
		return ctx, func() {}
	default:
	}
	end := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-lost:
			cancel(ErrUnreachable)
		case <-ctx.Done():
		case <-end:
		}
	})
	return ctx, func() {
		close(end)
		cancel(context.Canceled)
		watcher.Wait()
	}
}
