package bus_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
)

// work is a stream of numbered messages with a consumer that several workers may share.
type work struct {
	bus     *bus.Bus
	stream  string
	ackWait time.Duration
}

func newWork(t *testing.T, b *bus.Bus, n int) *work {
	t.Helper()
	return &work{b, fill(t, b, "WORK", n), 30 * time.Second}
}

func (w *work) declare(ctx context.Context) (jetstream.Consumer, error) {
	return w.bus.DeclareConsumer(ctx, w.stream, jetstream.ConsumerConfig{
		Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy, AckWait: w.ackWait, MaxDeliver: -1,
	})
}

// pending counts what is delivered and not settled, and what is not delivered yet; -1 when it cannot be known.
func (w *work) pending(t *testing.T) (delivered, waiting int) {
	t.Helper()
	info, err := w.bus.ConsumerInfo(t.Context(), w.stream, "worker")
	if err != nil {
		return -1, -1
	}
	return info.NumAckPending, int(info.NumPending)
}

func (w *work) awaitDone(t *testing.T) {
	t.Helper()
	stream, _, err := w.bus.StreamInfo(t.Context(), w.stream)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "all is settled", func() bool { // a consumer may count what waits only a moment later
		info, err := w.bus.ConsumerInfo(t.Context(), w.stream, "worker")
		return err == nil && info.AckFloor.Stream == stream.State.LastSeq
	})
}

// seen counts how often each message was handled.
type seen struct {
	mu    sync.Mutex
	times map[string]int
}

func (s *seen) add(d bus.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil {
		s.times = map[string]int{}
	}
	s.times[string(d.Data)]++
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.times)
}

// expectOnce wants every message from 1 to n handled once.
func (s *seen) expectOnce(t *testing.T, n int) {
	t.Helper()
	want := map[string]int{}
	for i := range n {
		want[strconv.Itoa(i+1)] = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.times); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
}

// run consumes in the background until stop is called, which waits for the end.
func run(t *testing.T, c bus.Consumption, handle bus.Handler) (cancel, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx, handle) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return cancel, stop
}

// hold keeps a handler until a channel is closed, or the test is over.
func hold(t *testing.T, until <-chan struct{}) {
	t.Helper()
	select {
	case <-until:
	case <-t.Context().Done():
	}
}

// gate is one that can be shut and opened.
type gate struct {
	mu     sync.Mutex
	open   chan struct{} // closed while the gate is open
	waited atomic.Int32  // how often it was met shut
}

func newGate(shut bool) *gate {
	g := &gate{open: make(chan struct{})}
	if !shut {
		close(g.open)
	}
	return g
}

func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return nil
	default:
	}
	g.waited.Add(1)
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) unlock() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}
