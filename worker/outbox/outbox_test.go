package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/ledger"
	"postlink/worker/outbox"
)

func TestMain(m *testing.M) { bustest.Main(m) }

func connect(t *testing.T) *bus.Bus {
	t.Helper()
	b := bustest.New(t)
	return b
}

// entry is a ledger entry whose current link is the n-th generation.
func entry(n int, d ledger.Decision) ledger.Entry {
	e := ledger.Entry{Post: ledger.Key{Network: "twitter", PostID: fmt.Sprint("post ", n)}, Sequence: uint64(n)}
	e.Links = []ledger.Link{{
		ID: uuid.New(), Generation: n, State: ledger.Queued, Instance: d.Instance, Entity: d.Entity, Rule: d.Rule, Catalog: d.Catalog, Notes: d.Notes,
		Steps: []ledger.Step{{State: ledger.Queued, By: d.By}},
	}}
	return e
}

var toContoso = ledger.Decision{Instance: "contoso", Entity: "incident", By: "ann"}

func put(t *testing.T, o *outbox.Outboxes, e ledger.Entry, data string) {
	t.Helper()
	if err := o.Put(t.Context(), e, []byte(data)); err != nil {
		t.Fatal(err)
	}
}

// take settles entries of an instance until there are n, and returns what they held.
func take(t *testing.T, o *outbox.Outboxes, instance string, n int) (data []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var mu sync.Mutex
	o.Take(ctx, instance, bus.Consumption{Slots: 1, Drain: time.Minute}, func(_ context.Context, d bus.Delivery) bus.Settlement {
		mu.Lock()
		defer mu.Unlock()
		if len(data) == n {
			return bus.Again(0)
		}
		data = append(data, string(d.Data))
		if len(data) == n {
			cancel()
		}
		return bus.Ack()
	})
	return data
}

func waiting(t *testing.T, o *outbox.Outboxes, instance string, want uint64) bus.Held {
	t.Helper()
	held, err := o.Waiting(t.Context(), instance)
	if err != nil || held.Messages != want || (want == 0) != held.Oldest.IsZero() {
		t.Errorf("%+v waiting for %s, want %d; error %v", held, instance, want, err)
	}
	return held
}

// What is put is read again, whatever people write into names and notes.
func TestEntriesTravelWhole(t *testing.T) {
	t.Parallel()
	b := connect(t)
	o := outbox.New(b, 0)
	sequence := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		text := func(name string) string { return rapid.String().Draw(rt, name) }
		e := entry(rapid.IntRange(1, 1000).Draw(rt, "generation"), ledger.Decision{
			Instance: "contoso", Entity: text("entity"), Rule: text("rule"), Catalog: text("catalog"), Notes: text("notes"), By: text("by"),
		})
		e.Post = ledger.Key{Network: text("network"), PostID: rapid.StringN(1, -1, -1).Draw(rt, "id")}
		e.Sequence = rapid.Uint64().Draw(rt, "sequence")
		data := rapid.SliceOf(rapid.Byte()).Draw(rt, "data")
		if err := o.Put(t.Context(), e, data); err != nil {
			rt.Fatal(err)
		}
		sequence++
		m, err := b.Message(t.Context(), "POSTLINK_OUTBOX_contoso", sequence)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := outbox.Read(m)
		want := outbox.Entry{Post: e.Post, Sequence: e.Sequence, Generation: e.Links[0].Generation, Decision: e.Links[0].Decision(), Data: data}
		got.Data = append([]byte{}, got.Data...) // none is nil, or not
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			rt.Fatalf("error %v, entry (-put +read):\n%s", err, diff)
		}
	})
}

func TestWhatSomebodyElseWroteIntoAnOutboxIsAnError(t *testing.T) {
	t.Parallel()
	good := nats.Header{
		"Postlink-Post": {"dHdpdHRlcg.MQ"}, "Postlink-Generation": {"1"}, "Postlink-Sequence": {"0"}, "Postlink-Decision": {"{}"},
	}
	if e, err := outbox.Read(bus.Message{Header: good}); err != nil || e.Post.PostID != "1" {
		t.Fatalf("entry %+v, error %v", e, err)
	}
	for header, value := range map[string]string{
		"Postlink-Post": "x", "Postlink-Generation": "0", "Postlink-Sequence": "-1", "Postlink-Decision": "[]",
	} {
		bad := maps.Clone(good)
		bad.Set(header, value)
		if _, err := outbox.Read(bus.Message{Header: bad}); err == nil {
			t.Errorf("%s %q: no error", header, value)
		}
		bad.Del(header)
		if _, err := outbox.Read(bus.Message{Header: bad}); err == nil {
			t.Errorf("without %s: no error", header)
		}
	}
}

func TestAFullOutboxRefusesNewEntriesAndLosesNone(t *testing.T) {
	t.Parallel()
	b := connect(t)
	o := outbox.New(b, 2)
	put(t, o, entry(1, toContoso), "1")
	put(t, o, entry(2, toContoso), "2")
	third := entry(3, toContoso)
	if err := o.Put(t.Context(), third, []byte("3")); !errors.Is(err, outbox.ErrFull) || !strings.Contains(err.Error(), "for contoso") {
		t.Errorf("third entry of two: %v", err)
	}
	put(t, o, entry(4, ledger.Decision{Instance: "fabrikam"}), "4") // has an outbox of its own
	waiting(t, o, "contoso", 2)
	if diff := cmp.Diff([]string{"1"}, take(t, o, "contoso", 1)); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
	put(t, o, third, "3")
	if err := outbox.New(b, 1).Declare(t.Context(), "contoso"); err != nil { // with a lower limit
		t.Fatal(err)
	}
	waiting(t, o, "contoso", 2)
	waiting(t, o, "fabrikam", 1)
}

func TestAPostThatIsTooLargeIsKnownBeforeItIsRefused(t *testing.T) {
	t.Parallel()
	b := connect(t)
	o := outbox.New(b, 0)
	fits := func(size int) bool { return o.Fits(entry(1, toContoso), make([]byte, size)) }
	if !fits(1<<20-2000) || fits(1<<20) {
		t.Errorf("a post just below a message's size fits: %v; a post of that size: %v", fits(1<<20-2000), fits(1<<20))
	}
	largest := 1 << 20
	for !fits(largest) {
		largest--
	}
	put(t, o, entry(1, toContoso), string(make([]byte, largest)))
	if err := o.Put(t.Context(), entry(2, toContoso), make([]byte, 1<<20)); !errors.Is(err, outbox.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

func TestPuttingALinkTwiceQueuesItOnce(t *testing.T) {
	t.Parallel()
	o := outbox.New(connect(t), 0)
	e := entry(1, toContoso)
	put(t, o, e, "1")
	put(t, o, e, "1")
	waiting(t, o, "contoso", 1)
}

func TestTheOldestThatWaitsIsKnownUntilItIsSettled(t *testing.T) {
	t.Parallel()
	o := outbox.New(connect(t), 0)
	waiting(t, o, "contoso", 0)
	put(t, o, entry(1, toContoso), "1")
	first := waiting(t, o, "contoso", 1).Oldest
	put(t, o, entry(2, toContoso), "2")
	if oldest := waiting(t, o, "contoso", 2).Oldest; !oldest.Equal(first) {
		t.Errorf("the oldest is of %s, want %s", oldest, first)
	}
	take(t, o, "contoso", 1)
	if oldest := waiting(t, o, "contoso", 1).Oldest; !oldest.After(first) {
		t.Errorf("the oldest that is left is of %s, the first was of %s", oldest, first)
	}
	take(t, o, "contoso", 1)
	waiting(t, o, "contoso", 0)
}

func TestInstancesWithAnOutboxAreNamed(t *testing.T) {
	t.Parallel()
	b := connect(t)
	o := outbox.New(b, 0)
	instances := func(want ...string) {
		t.Helper()
		got, err := o.Instances(t.Context())
		slices.Sort(got)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("error %v, instances (-want +got):\n%s", err, diff)
		}
	}
	instances()
	put(t, o, entry(1, ledger.Decision{Instance: "new-one"}), "1") // nobody declared it
	if err := o.Declare(t.Context(), "contoso"); err != nil {
		t.Fatal(err)
	}
	instances("contoso", "new-one")
}
