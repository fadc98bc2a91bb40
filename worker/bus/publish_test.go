package bus_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
)

func TestARefusedMessageSaysWhy(t *testing.T) {
	t.Parallel()
	b := open(t)
	if err := b.DeclareStream(t.Context(), jetstream.StreamConfig{
		Name: "SMALL", Subjects: []string{"small"}, MaxMsgs: 1, Discard: jetstream.DiscardNew,
	}); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "small", "the first fits")
	tests := map[string]struct {
		msg  nats.Msg
		want error
	}{
		"full":      {nats.Msg{Subject: "small"}, bus.ErrFull},
		"too large": {nats.Msg{Subject: "small", Data: make([]byte, 2<<20)}, bus.ErrTooLarge},
		"no stream": {nats.Msg{Subject: "large"}, bus.ErrNoStream},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := b.Publish(t.Context(), &test.msg, ""); !errors.Is(err, test.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestARepetitionWithTheSameIDIsDropped(t *testing.T) {
	t.Parallel()
	b := open(t)
	name := declare(t, b, "THINGS")
	for _, id := range []string{"1", "1", "2", "", ""} {
		if err := b.Publish(t.Context(), &nats.Msg{Subject: b.Subject("THINGS", "x")}, id); err != nil {
			t.Fatal(err)
		}
	}
	if held, err := b.Held(t.Context(), name); err != nil || held.Messages != 4 {
		t.Errorf("%d messages, error %v", held.Messages, err)
	}
}

func TestMessagesOnTheWayAreKeptInTheEnd(t *testing.T) {
	t.Parallel()
	b := open(t)
	name := declare(t, b, "THINGS")
	futures := make([]jetstream.PubAckFuture, 10_000) // more than may be on the way at once
	for i := range futures {
		var err error
		if futures[i], err = b.PublishAsync(&nats.Msg{Subject: b.Subject("THINGS", "x")}); err != nil {
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
	if held, err := b.Held(t.Context(), name); err != nil || held.Messages != 10_000 || held.Oldest.IsZero() {
		t.Errorf("holds %+v, error %v", held, err)
	}
}

func TestWhatFitsIntoTheRoomIsTaken(t *testing.T) {
	t.Parallel()
	b := open(t)
	declare(t, b, "THINGS")
	headers := map[string]nats.Header{
		"no header":     nil,
		"a long header": {"Reason": {strings.Repeat("r", 2000)}, "Stack": {strings.Repeat("s", 8000), "again"}},
		"many headers":  {"A": {"1"}, "B": {"2"}, "C": {"3"}, "D": {"4"}},
	}
	for name, header := range headers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			msg := &nats.Msg{Subject: b.Subject("THINGS", "x"), Header: header, Data: make([]byte, b.Room(header))}
			if err := b.Publish(t.Context(), msg, strings.Repeat("i", 60)); err != nil {
				t.Errorf("%d bytes: %v", len(msg.Data), err)
			}
		})
	}
	if room := b.Room(nats.Header{"Huge": {strings.Repeat("h", 2<<20)}}); room != 0 {
		t.Errorf("a header that does not fit itself leaves room for %d bytes", room)
	}
}
