package bus_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
)

func TestSlotsBoundWhatIsHandledAtOnce(t *testing.T) {
	t.Parallel()
	for name, confirm := range map[string]bool{"acknowledged": false, "confirmed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWork(t, open(t), 200)
			var s seen
			var at, most atomic.Int32
			all := make(chan struct{})
			var full sync.Once
			run(t, bus.Consumption{Declare: w.declare, Slots: 3, Buffer: 50, Confirm: confirm, Drain: time.Minute}, func(_ context.Context, d bus.Delivery) bus.Settlement {
				now := at.Add(1)
				defer at.Add(-1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				if now == 3 {
					full.Do(func() { close(all) })
				}
				hold(t, all)
				s.add(d)
				return bus.Ack()
			})
			w.awaitDone(t)
			s.expectOnce(t, 200)
			if most.Load() != 3 {
				t.Errorf("%d were handled at once", most.Load())
			}
		})
	}
}

func TestOptionsThatAreLeftOutHaveDefaults(t *testing.T) {
	t.Parallel()
	w := newWork(t, open(t), 10)
	var s seen
	run(t, bus.Consumption{Declare: w.declare}, func(_ context.Context, d bus.Delivery) bus.Settlement {
		if d.Stream != w.stream || d.Times != 1 || d.Subject == "" || d.Header.Get("N") != string(d.Data) {
			t.Errorf("delivery %+v", d)
		}
		s.add(d)
		return bus.Ack()
	})
	w.awaitDone(t)
	s.expectOnce(t, 10)
}

func TestNothingIsTakenThroughAClosedGate(t *testing.T) {
	t.Parallel()
	w := newWork(t, open(t), 20)
	if _, err := w.declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	g := newGate(true)
	var s seen
	run(t, bus.Consumption{Declare: w.declare, Slots: 2, Gate: g.wait}, func(_ context.Context, d bus.Delivery) bus.Settlement {
		s.add(d)
		return bus.Ack()
	})
	await(t, "the gate is met", func() bool { return g.waited.Load() > 0 })
	if delivered, waiting := w.pending(t); delivered != 0 || waiting != 20 || s.count() != 0 {
		t.Errorf("%d delivered and %d handled through a closed gate, %d waiting", delivered, s.count(), waiting)
	}
	g.unlock()
	w.awaitDone(t)
	s.expectOnce(t, 20)
}

func TestWhatAClosedGateHoldsIsGivenBack(t *testing.T) {
	t.Parallel()
	w := newWork(t, open(t), 20)
	g := newGate(false)
	var s seen
	closing := make(chan struct{})
	run(t, bus.Consumption{Declare: w.declare, Slots: 1, Buffer: 20, Gate: g.wait}, func(_ context.Context, d bus.Delivery) bus.Settlement {
		s.add(d)
		if s.count() == 1 {
			hold(t, closing)
		}
		return bus.Ack()
	})
	await(t, "the others are taken ahead", func() bool { delivered, _ := w.pending(t); return delivered == 20 })
	g.shut()
	close(closing)
	await(t, "the gate is met", func() bool { return g.waited.Load() > 0 })
	var other seen
	run(t, bus.Consumption{Declare: w.declare}, func(_ context.Context, d bus.Delivery) bus.Settlement {
		other.add(d)
		return bus.Ack()
	})
	await(t, "another worker has them, long before the ack wait", func() bool { return other.count() == 19 })
	if s.count() != 1 {
		t.Errorf("%d handled through a closed gate", s.count()-1)
	}
	g.unlock()
	publish(t, w.bus, w.bus.Subject("WORK", "x"), "21", "22", "23", "24", "25", "26", "27", "28", "29", "30")
	await(t, "both work", func() bool { return s.count()+other.count() == 30 })
}

func TestStoppingFinishesWhatRunsAndGivesTheRestToAnotherWorkerAtOnce(t *testing.T) {
	t.Parallel()
	w := newWork(t, open(t), 10)
	var first, second seen
	going := make(chan struct{})
	_, stop := run(t, bus.Consumption{Declare: w.declare, Slots: 1, Buffer: 10, Drain: time.Minute}, func(ctx context.Context, d bus.Delivery) bus.Settlement {
		first.add(d)
		hold(t, going)
		if ctx.Err() != nil {
			t.Error("the handler's context ended before the drain time")
		}
		return bus.Ack()
	})
	await(t, "all are taken", func() bool { delivered, _ := w.pending(t); return delivered == 10 })
	var stopping sync.WaitGroup
	stopping.Go(stop)
	run(t, bus.Consumption{Declare: w.declare, Slots: 5}, func(_ context.Context, d bus.Delivery) bus.Settlement {
		second.add(d)
		return bus.Ack()
	})
	await(t, "the other worker has the rest", func() bool { return second.count() == 9 })
	if first.count() != 1 {
		t.Errorf("the stopping worker handled %d", first.count())
	}
	close(going)
	stopping.Wait()
	w.awaitDone(t)
}

func TestAHandlersContextEndsWithTheDrainTime(t *testing.T) {
	t.Parallel()
	w := newWork(t, open(t), 1)
	var s seen
	_, stop := run(t, bus.Consumption{Declare: w.declare, Confirm: true, Drain: 50 * time.Millisecond}, func(ctx context.Context, d bus.Delivery) bus.Settlement {
		s.add(d)
		<-ctx.Done()
		return bus.Ack()
	})
	await(t, "it is handled", func() bool { return s.count() == 1 })
	stop()
	w.awaitDone(t) // what was done in the end is not done again
}

func TestWhatIsPutOffComesAgain(t *testing.T) {
	t.Parallel()
	w := newWork(t, open(t), 5)
	var mu sync.Mutex
	times := map[uint64][]uint64{}
	run(t, bus.Consumption{Declare: w.declare, Slots: 5, Confirm: true}, func(_ context.Context, d bus.Delivery) bus.Settlement {
		mu.Lock()
		defer mu.Unlock()
		times[d.Sequence] = append(times[d.Sequence], d.Times)
		if d.Times <= d.Sequence%3 {
			return bus.Again(20 * time.Millisecond)
		}
		return bus.Ack()
	})
	w.awaitDone(t)
	mu.Lock()
	defer mu.Unlock()
	want := map[uint64][]uint64{1: {1, 2}, 2: {1, 2, 3}, 3: {1}, 4: {1, 2}, 5: {1, 2, 3}}
	if diff := cmp.Diff(want, times); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

func TestADeletedConsumerIsDeclaredAgain(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	w := newWork(t, connect(t, bus.Options{Server: server}), 5)
	var s seen
	var pulling, broken atomic.Int32
	_, stop := run(t, bus.Consumption{
		Declare: w.declare, Slots: 2,
		Pulling: func(works bool) {
			if works {
				pulling.Add(1)
			} else {
				broken.Add(1)
			}
		},
	}, func(_ context.Context, d bus.Delivery) bus.Settlement {
		s.add(d)
		return bus.Ack()
	})
	w.awaitDone(t)
	if err := another(t, server).DeleteConsumer(t.Context(), w.stream, "worker"); err != nil {
		t.Fatal(err)
	}
	publish(t, w.bus, w.bus.Subject("WORK", "x"), "6", "7")
	await(t, "the new ones are handled", func() bool { return s.count() == 7 })
	stop()
	if pulling.Load() != 2 || broken.Load() != 2 {
		t.Errorf("reported %d times that it works, and %d times that it does not", pulling.Load(), broken.Load())
	}
}

func TestTakingGoesOnAfterNATSWasLost(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	w := newWork(t, connect(t, bus.Options{URL: l.url()}), 5)
	var s seen
	run(t, bus.Consumption{Declare: w.declare, Slots: 2}, func(_ context.Context, d bus.Delivery) bus.Settlement {
		s.add(d)
		return bus.Ack()
	})
	w.awaitDone(t)
	l.down()
	await(t, "the loss is noticed", func() bool { return !w.bus.Connected() })
	l.up()
	direct := connect(t, bus.Options{Server: l.server.Load()})
	publish(t, direct, direct.Subject("WORK", "x"), "6", "7")
	await(t, "the new ones are handled", func() bool { return s.count() == 7 })
}

func TestTakingStopsWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	w := newWork(t, connect(t, bus.Options{URL: l.url()}), 1)
	_, stop := run(t, bus.Consumption{Declare: w.declare, Drain: time.Minute}, func(context.Context, bus.Delivery) bus.Settlement {
		return bus.Ack()
	})
	w.awaitDone(t)
	l.down()
	began := time.Now()
	stop()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("stopped after %s", took)
	}
}

// A handler that takes longer than the ack wait keeps its message. The same handler without it is the proof that the ack wait
// has passed, which is long for the sake of busy machines.
func TestAMessageInProgressIsNotDeliveredAgain(t *testing.T) {
	t.Parallel()
	b := open(t)
	stream := fill(t, b, "WORK", 1)
	var kept, lost atomic.Int32
	enough := make(chan struct{})
	for durable, c := range map[string]struct {
		inProgress time.Duration
		times      *atomic.Int32
	}{"kept": {100 * time.Millisecond, &kept}, "lost": {0, &lost}} {
		declare := func(ctx context.Context) (jetstream.Consumer, error) {
			return b.DeclareConsumer(ctx, stream, jetstream.ConsumerConfig{
				Durable: durable, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 3 * time.Second, MaxDeliver: -1,
			})
		}
		run(t, bus.Consumption{Declare: declare, Slots: 4, InProgress: c.inProgress}, func(_ context.Context, d bus.Delivery) bus.Settlement {
			c.times.Add(1)
			hold(t, enough)
			return bus.Ack()
		})
	}
	await(t, "the other is delivered again", func() bool { return lost.Load() == 2 })
	close(enough)
	if kept.Load() != 1 {
		t.Errorf("delivered %d times", kept.Load())
	}
}
