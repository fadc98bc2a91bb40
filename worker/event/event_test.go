package event_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/event"
	"postlink/worker/ledger"
)

func TestMain(m *testing.M) { bustest.Main(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

type world struct {
	bus    *bus.Bus
	events *event.Events
	js     jetstream.JetStream // of somebody with all rights
}

func open(t *testing.T) world {
	t.Helper()
	server := bustest.Server(t)
	b := bustest.Connect(t, server)
	events, err := event.Open(t.Context(), b, 0)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("", nats.InProcessServer(server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return world{b, events, js}
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !so() {
		if !bus.Sleep(ctx, 5*time.Millisecond) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// change is the event of a link of a rule.
func change(id byte, rule string, state ledger.State, decided time.Time) event.Event {
	return event.Event{
		ID: uuid.UUID{15: id}, State: state, Generation: 1, Post: ledger.Key{Network: "twitter", PostID: "1"}, PostSequence: 7,
		Instance: "contoso", Entity: "incident", Rule: rule, By: "rule " + rule, DecidedAt: decided, At: decided.Add(time.Second),
	}
}

func (w world) publish(t *testing.T, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		if err := w.events.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

var errEnough = errors.New("enough")

// follow returns the first n events after a sequence.
func (w world) follow(t *testing.T, after uint64, n int) (events []event.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := w.events.Follow(ctx, after, func(e event.Event) error {
		if events = append(events, e); len(events) == n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("followed %d events of %d: %v", len(events), n, err)
	}
	return events
}

func TestAnEventSaysWhatHappenedToALink(t *testing.T) {
	t.Parallel()
	link := ledger.Link{
		ID: uuid.UUID{15: 1}, Generation: 2, State: ledger.Removed, Instance: "contoso", Entity: "incident", Rule: "cancelled",
		Steps: []ledger.Step{
			{State: ledger.Queued, At: noon, By: "rule cancelled"}, {State: ledger.Linked, At: noon.Add(time.Second), By: "postlink"},
			{State: ledger.Removed, At: noon.Add(time.Minute), By: "ann", Reason: "wrong record"},
		},
	}
	post := ledger.Key{Network: "twitter", PostID: "1"}
	want := event.Event{
		ID: link.ID, State: ledger.Removed, Generation: 2, Post: post, PostSequence: 7, Instance: "contoso", Entity: "incident",
		Rule: "cancelled", URL: "https://contoso.example/1", By: "ann", Reason: "wrong record", DecidedAt: noon, At: noon.Add(time.Minute),
	}
	got := event.Of(ledger.Entry{Post: post, Sequence: 7, Links: []ledger.Link{link}}, "https://contoso.example/1")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("event (-want +got):\n%s", diff)
	}
	w := open(t)
	w.publish(t, change(9, "first", ledger.Queued, noon), want)
	want.Sequence = 2
	if diff := cmp.Diff([]event.Event{want}, w.follow(t, 1, 1)); diff != "" {
		t.Errorf("followed (-want +got):\n%s", diff)
	}
	if none := event.Of(ledger.Entry{Links: []ledger.Link{{State: ledger.Queued}}}, ""); !none.At.IsZero() {
		t.Errorf("the event of a link without steps: %+v", none)
	}
}

func TestAReaderGoesOnAfterTheEventThatItSawLast(t *testing.T) {
	t.Parallel()
	w := open(t)
	for id := range byte(5) {
		w.publish(t, change(id, "r", ledger.Queued, noon))
	}
	w.publish(t, change(4, "r", ledger.Queued, noon)) // a repetition
	first := w.follow(t, 1, 2)
	rest := w.follow(t, first[1].Sequence, 2)
	var ids []byte
	for _, e := range append(first, rest...) {
		ids = append(ids, e.ID[15])
	}
	if diff := cmp.Diff([]byte{1, 2, 3, 4}, ids); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestANewReaderHearsNewsOnly(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]func(w world) (uint64, error){
		"that asks for news":                    func(w world) (uint64, error) { return w.events.Newest(t.Context()) },
		"that comes from a stream that is lost": func(world) (uint64, error) { return 1000, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			w.publish(t, change(1, "r", ledger.Queued, noon))
			after, err := where(w)
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan event.Event, 10)
			done := make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				done <- w.events.Follow(ctx, after, func(e event.Event) error {
					got <- e
					return nil
				})
			}()
			await(t, "it follows", func() bool {
				info, _, err := w.bus.StreamInfo(t.Context(), "POSTLINK_EVENTS")
				return err == nil && info.State.Consumers == 1
			})
			w.publish(t, change(2, "r", ledger.Queued, noon))
			if e := <-got; e.ID[15] != 2 {
				t.Errorf("heard of link %s", e.ID)
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestWhatIsNoChangeOfALinkIsPassedOver(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.publish(t, change(1, "r", ledger.Queued, noon))
	for _, data := range []string{"{", "[]", `{"id":"x"}`, ""} {
		if err := w.bus.Publish(t.Context(), &nats.Msg{Subject: "postlink.events.link.queued.contoso", Data: []byte(data)}, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.events.PublishFailures(t.Context(), noon, map[string]int{"r": 1}); err != nil {
		t.Fatal(err)
	}
	w.publish(t, change(2, "r", ledger.Linked, noon))
	if got := w.follow(t, 1, 1); got[0].ID[15] != 2 {
		t.Errorf("followed %+v", got)
	}
	if err := w.events.Follow(t.Context(), 1, func(event.Event) error { return io.EOF }); !errors.Is(err, io.EOF) {
		t.Errorf("a reader that fails: %v", err)
	}
}

func TestAnInstanceWithAnyNameHasEvents(t *testing.T) {
	t.Parallel()
	w := open(t)
	e := change(1, "r", ledger.Queued, noon)
	for id, instance := range []string{"", "", "a.b c", ">"} {
		e.ID[15], e.Instance = byte(id), instance
		w.publish(t, e)
	}
	if got := w.follow(t, 1, 3); got[1].Instance != "a.b c" || got[2].Instance != ">" {
		t.Errorf("followed %+v", got)
	}
}

func TestAReaderWithoutAPlaceGetsAllThatIsKept(t *testing.T) {
	t.Parallel()
	w := open(t)
	if newest, err := w.events.Newest(t.Context()); err != nil || newest != 0 {
		t.Errorf("newest of an empty stream: %d, %v", newest, err)
	}
	w.publish(t, change(1, "r", ledger.Queued, noon))
	w.publish(t, change(1, "r", ledger.Linked, noon))
	got := w.follow(t, 0, 2)
	if got[0].State != ledger.Queued || got[1].State != ledger.Linked {
		t.Errorf("followed %+v", got)
	}
	if newest, err := w.events.Newest(t.Context()); err != nil || newest != got[1].Sequence {
		t.Errorf("newest is %d, %v", newest, err)
	}
}
