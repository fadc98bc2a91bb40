package bus_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"postlink/worker/bus"
)

// follower follows a stream in the background.
type follower struct {
	got  chan string
	done chan error
	end  context.CancelFunc
}

func follow(t *testing.T, b *bus.Bus, stream string, from bus.Start) follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := follower{make(chan string, 10_000), make(chan error, 1), cancel}
	go func() {
		f.done <- b.Follow(ctx, stream, from, func(m bus.Message) error {
			f.got <- string(m.Data)
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		_ = f.ended(t)
	})
	return f
}

func (f follower) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-f.got:
			if got != w {
				t.Errorf("got %q, want %q", got, w)
			}
		case err := <-f.done:
			f.done <- err
			t.Fatalf("ended before %q: %v", w, err)
		case <-time.After(20 * time.Second):
			t.Fatalf("waited in vain for %q", w)
		}
	}
}

func (f follower) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-f.done:
		f.done <- err
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("does not end")
		return nil
	}
}

func TestFollowingBeginsWhereItIsAsked(t *testing.T) {
	t.Parallel()
	b := open(t)
	stream := fill(t, b, "THINGS", 5)
	fourth, err := b.Message(t.Context(), stream, 4)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		start bus.Start
		want  []string
	}{
		"after a sequence":                    {bus.Start{After: 3}, []string{"4", "5", "6"}},
		"since a time":                        {bus.Start{Since: fourth.At}, []string{"4", "5", "6"}},
		"after a sequence that is not there ": {bus.Start{After: 1000}, []string{"6"}},
		"from now on":                         {bus.Start{}, []string{"6"}},
	}
	followers := map[string]follower{}
	for name, test := range tests {
		followers[name] = follow(t, b, stream, test.start)
	}
	await(t, "all follow", func() bool {
		info, _, err := b.StreamInfo(t.Context(), stream)
		return err == nil && info.State.Consumers == len(tests)
	})
	publish(t, b, b.Subject("THINGS", "x"), "6")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := followers[name]
			f.expect(t, test.want...)
			f.end()
			if err := f.ended(t); err != nil {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestFollowingEndsWithTheReadersError(t *testing.T) {
	t.Parallel()
	b := open(t)
	stream := fill(t, b, "THINGS", 2)
	err := b.Follow(t.Context(), stream, bus.Start{After: 1}, func(bus.Message) error { return io.EOF })
	if !errors.Is(err, io.EOF) {
		t.Errorf("error %v", err)
	}
}

func TestFollowingGoesOnAfterNATSWasLost(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	b := connect(t, bus.Options{URL: l.url()})
	stream := fill(t, b, "THINGS", 2)
	f := follow(t, b, stream, bus.Start{After: 1})
	f.expect(t, "2")
	l.down()
	l.up()
	direct := connect(t, bus.Options{Server: l.server.Load()})
	publish(t, direct, b.Subject("THINGS", "x"), "3", "4")
	f.expect(t, "3", "4")
}

func TestFollowingEndsWithItsContextWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	b := connect(t, bus.Options{URL: l.url()})
	f := follow(t, b, fill(t, b, "THINGS", 2), bus.Start{After: 1})
	f.expect(t, "2")
	l.down()
	await(t, "the loss is noticed", func() bool { return !b.Connected() })
	f.end()
	if err := f.ended(t); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestFollowingAStreamThatIsDeletedOrMadeAnewEndsWithAnError(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]bool{"deleted": false, "made anew": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, bus.ServerOptions{})
			b := connect(t, bus.Options{Server: server})
			stream := fill(t, b, "THINGS", 2)
			f := follow(t, b, stream, bus.Start{After: 1})
			f.expect(t, "2")
			if err := another(t, server).DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			if again {
				fill(t, b, "THINGS", 5)
			}
			if err := f.ended(t); !errors.Is(err, bus.ErrStreamGone) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}
