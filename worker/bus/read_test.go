package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
)

// fill publishes numbers from 1 on, each third under even, the others under odd.
func fill(t *testing.T, b *bus.Bus, what string, n int) (stream string) {
	t.Helper()
	stream = declare(t, b, what)
	futures := make([]jetstream.PubAckFuture, n)
	for i := range futures {
		subject := b.Subject(what, "other")
		if (i+1)%3 == 0 {
			subject = b.Subject(what, "third")
		}
		var err error
		futures[i], err = b.PublishAsync(&nats.Msg{Subject: subject, Header: nats.Header{"N": {strconv.Itoa(i + 1)}}, Data: []byte(strconv.Itoa(i + 1))})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, future := range futures {
		select {
		case <-future.Ok():
		case err := <-future.Err():
			t.Fatal(err)
		}
	}
	return stream
}

func TestAStreamIsReadBackwards(t *testing.T) {
	t.Parallel()
	b := open(t)
	const n = 1300 // more than two windows
	stream := fill(t, b, "THINGS", n)
	third, err := b.Message(t.Context(), stream, 1250)
	if err != nil {
		t.Fatal(err)
	}
	for hole := uint64(101); hole <= 1100; hole++ {
		if err := b.Delete(t.Context(), stream, hole); err != nil {
			t.Fatal(err)
		}
	}
	empty := declare(t, b, "EMPTY")
	down := func(from, to, step int) (numbers []int) {
		for i := from; i >= to; i -= step {
			numbers = append(numbers, i)
		}
		return numbers
	}
	tests := map[string]struct {
		read bus.Read
		stop int // after so many
		want []int
	}{
		"all, over a hole":        {bus.Read{Stream: stream}, 0, append(down(n, 1101, 1), down(100, 1, 1)...)},
		"below one":               {bus.Read{Stream: stream, Below: 1150}, 0, append(down(1149, 1101, 1), down(100, 1, 1)...)},
		"below one in the hole":   {bus.Read{Stream: stream, Below: 600}, 0, down(100, 1, 1)},
		"below the first":         {bus.Read{Stream: stream, Below: 1}, 0, nil},
		"below the future":        {bus.Read{Stream: stream, Below: 1 << 40}, 3, down(n, n-2, 1)},
		"until the reader stops":  {bus.Read{Stream: stream}, 1, []int{n}},
		"since a time":            {bus.Read{Stream: stream, Since: third.At.Add(-time.Nanosecond)}, 0, down(n, 1250, 1)},
		"since the future":        {bus.Read{Stream: stream, Since: time.Now().Add(time.Hour)}, 0, nil},
		"one subject":             {bus.Read{Stream: stream, Subjects: []string{b.Subject("THINGS", "third")}}, 0, append(down(1299, 1101, 3), down(99, 3, 3)...)},
		"two subjects":            {bus.Read{Stream: stream, Subjects: []string{b.Subject("THINGS", "third"), b.Subject("THINGS", "other")}}, 2, []int{n, n - 1}},
		"a subject of no message": {bus.Read{Stream: stream, Subjects: []string{b.Subject("THINGS", "none")}}, 0, nil},
		"an empty stream":         {bus.Read{Stream: empty}, 0, nil},
	}
	for name, test := range tests {
		for _, headersOnly := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, headers only %v", name, headersOnly), func(t *testing.T) {
				t.Parallel()
				read := test.read
				read.HeadersOnly = headersOnly
				var got []int
				err := b.Backwards(t.Context(), read, func(m bus.Message) (bool, error) {
					got = append(got, int(m.Sequence))
					if m.Header.Get("N") != strconv.FormatUint(m.Sequence, 10) || headersOnly == (string(m.Data) == m.Header.Get("N")) {
						t.Errorf("message %d holds %s, header %v", m.Sequence, m.Data, m.Header)
					}
					return len(got) != test.stop, nil
				})
				if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
					t.Errorf("error %v, read (-want +got):\n%s", err, diff)
				}
			})
		}
	}
}

func TestReadingBackwardsEndsWithTheReadersError(t *testing.T) {
	t.Parallel()
	b := open(t)
	stream := fill(t, b, "THINGS", 3)
	err := b.Backwards(t.Context(), bus.Read{Stream: stream}, func(bus.Message) (bool, error) { return true, io.EOF })
	if !errors.Is(err, io.EOF) {
		t.Errorf("error %v", err)
	}
	err = b.Backwards(t.Context(), bus.Read{Stream: "NONE"}, func(bus.Message) (bool, error) { return true, nil })
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("a stream that is not there: %v", err)
	}
}

// A server refuses consumers past a limit, which a long list that is read again and again would reach.
func TestReadingLeavesNoConsumerBehind(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	b := connect(t, bus.Options{Server: server})
	stream := fill(t, b, "THINGS", 1300)
	ended, end := context.WithCancel(t.Context())
	for name, read := range map[string]func() error{
		"backwards, all": func() error {
			return b.Backwards(t.Context(), bus.Read{Stream: stream}, func(bus.Message) (bool, error) { return true, nil })
		},
		"backwards, nothing there": func() error {
			return b.Backwards(t.Context(), bus.Read{Stream: stream, Subjects: []string{b.Subject("THINGS", "none")}}, func(bus.Message) (bool, error) { return true, nil })
		},
		"backwards, given up": func() error {
			err := b.Backwards(ended, bus.Read{Stream: stream}, func(bus.Message) (bool, error) {
				end()
				return true, nil
			})
			if !errors.Is(err, context.Canceled) {
				return fmt.Errorf("reading with a context that ended: %w", err)
			}
			return nil
		},
		"counted": func() error {
			_, err := b.Count(t.Context(), stream, b.Subject("THINGS", "third"))
			return err
		},
	} {
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, _, err := b.StreamInfo(t.Context(), stream); err != nil || info.State.Consumers != 0 {
			t.Errorf("%s: %d consumers are left, error %v", name, info.State.Consumers, err)
		}
	}
}

// A few messages at the ends of a long stream are found without a look at each window between them.
func TestALongHoleIsPassedQuickly(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	b := connect(t, bus.Options{Server: server})
	js := another(t, server)
	requests := func() uint64 {
		account, err := js.AccountInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return account.API.Total
	}
	if err := b.DeclareStream(t.Context(), jetstream.StreamConfig{Name: "LAST", Subjects: []string{"last.*"}, MaxMsgsPerSubject: 1}); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "last.old", "old")
	for range 50_000 {
		if _, err := b.PublishAsync(&nats.Msg{Subject: "last.new"}); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, b, "last.new", "new")
	before := requests()
	var got []string
	err := b.Backwards(t.Context(), bus.Read{Stream: "LAST"}, func(m bus.Message) (bool, error) {
		got = append(got, string(m.Data))
		return true, nil
	})
	if diff := cmp.Diff([]string{"new", "old"}, got); err != nil || diff != "" {
		t.Errorf("error %v, read (-want +got):\n%s", err, diff)
	}
	if n := requests() - before; n > 30 {
		t.Errorf("NATS was asked %d times", n)
	}
}

func TestMessagesDeletedWhileTheyAreReadAreNoError(t *testing.T) {
	t.Parallel()
	b := open(t)
	const n = 300
	stream := fill(t, b, "THINGS", n)
	var deleting sync.WaitGroup
	deleting.Go(func() {
		for sequence := uint64(n); sequence > 0; sequence-- {
			if err := b.Delete(t.Context(), stream, sequence); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for left := true; left; {
		held, err := b.Held(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		left = held.Messages != 0
		if err := b.Backwards(t.Context(), bus.Read{Stream: stream}, func(bus.Message) (bool, error) { return true, nil }); err != nil {
			t.Fatalf("while others delete: %v", err)
		}
	}
	deleting.Wait()
}

// The server's count of what is still to come can be too low when messages are deleted while a read begins, so it cannot say
// where the read ends.
func TestNothingIsMissedWhileWhatWasReadIsDeleted(t *testing.T) {
	t.Parallel()
	b := open(t)
	const n, step = 2000, 8
	stream := fill(t, b, "THINGS", n)
	for below := uint64(n - step + 1); below > step; below -= step {
		var deleting sync.WaitGroup
		for sequence := below; sequence < below+step; sequence++ {
			deleting.Go(func() {
				if err := b.Delete(t.Context(), stream, sequence); err != nil {
					t.Error(err)
				}
			})
		}
		next := below - 1
		err := b.Backwards(t.Context(), bus.Read{Stream: stream, Below: below}, func(m bus.Message) (bool, error) {
			if m.Sequence != next {
				t.Errorf("below %d, message %d follows %d", below, m.Sequence, next+1)
			}
			next = m.Sequence - 1
			return true, nil
		})
		deleting.Wait()
		if err != nil || next != 0 {
			t.Fatalf("below %d, nothing follows %d, error %v", below, next+1, err)
		}
	}
}

func TestAMessageIsReadOnceWhileItIsReplaced(t *testing.T) {
	t.Parallel()
	b := open(t)
	if err := b.DeclareStream(t.Context(), jetstream.StreamConfig{Name: "LAST", Subjects: []string{"last.*"}, MaxMsgsPerSubject: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		publish(t, b, fmt.Sprintf("last.%d", i), "old")
	}
	for range 100 {
		var replacing sync.WaitGroup
		replacing.Go(func() {
			for range 50 {
				if err := b.Publish(t.Context(), &nats.Msg{Subject: "last.5"}, ""); err != nil {
					t.Error(err)
				}
			}
		})
		seen := map[string]int{}
		err := b.Backwards(t.Context(), bus.Read{Stream: "LAST"}, func(m bus.Message) (bool, error) {
			seen[m.Subject]++
			return true, nil
		})
		replacing.Wait()
		if err != nil || len(seen) != 10 || seen["last.5"] != 1 {
			t.Fatalf("read %v, error %v", seen, err)
		}
	}
}

func TestSingleMessagesAreReadCountedAndDeleted(t *testing.T) {
	t.Parallel()
	b := open(t)
	stream := fill(t, b, "THINGS", 7)
	if m, err := b.Newest(t.Context(), stream, b.Subject("THINGS", "third")); err != nil || m.Sequence != 6 || string(m.Data) != "6" {
		t.Errorf("newest third %+v, error %v", m, err)
	}
	subjects, err := b.Subjects(t.Context(), stream, b.Subject("THINGS", "*"))
	slices.Sort(subjects)
	if diff := cmp.Diff([]string{b.Subject("THINGS", "other"), b.Subject("THINGS", "third")}, subjects); err != nil || diff != "" {
		t.Errorf("error %v, subjects (-want +got):\n%s", err, diff)
	}
	if subjects, err := b.Subjects(t.Context(), stream, b.Subject("THINGS", "none")); err != nil || len(subjects) != 0 {
		t.Errorf("subjects of nothing: %v, error %v", subjects, err)
	}
	for subject, want := range map[string]uint64{"third": 2, "other": 5, "*": 7, "none": 0} {
		if n, err := b.Count(t.Context(), stream, b.Subject("THINGS", subject)); err != nil || n != want {
			t.Errorf("%d under %s, error %v; want %d", n, subject, err, want)
		}
	}
	if err := b.Delete(t.Context(), stream, 6); err != nil {
		t.Fatal(err)
	}
	gone := map[string]func() error{
		"read":                   func() error { _, err := b.Message(t.Context(), stream, 6); return err },
		"read what never was":    func() error { _, err := b.Message(t.Context(), stream, 99); return err },
		"delete again":           func() error { return b.Delete(t.Context(), stream, 6) },
		"newest under a subject": func() error { _, err := b.Newest(t.Context(), stream, b.Subject("THINGS", "none")); return err },
	}
	for what, call := range gone {
		if err := call(); !errors.Is(err, bus.ErrNoMessage) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if held, err := b.Held(t.Context(), "NONE"); err != nil || held != (bus.Held{}) {
		t.Errorf("a stream that is not there holds %+v, error %v", held, err)
	}
}

func TestPausesEndWithTheirContextAndSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !bus.Sleep(t.Context(), time.Minute) || time.Since(began) != time.Minute {
			t.Errorf("slept %s", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if bus.Sleep(ctx, time.Minute) || time.Since(began) != time.Minute+time.Second {
			t.Errorf("slept on after its context, until %s", time.Since(began))
		}
	})
	for range 1000 {
		if d := bus.Spread(time.Second); d < 800*time.Millisecond || d > 1200*time.Millisecond {
			t.Fatalf("a second became %s", d)
		}
	}
}
