package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/ledger"
)

func TestMain(m *testing.M) { bustest.Main(m) }

var clock = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// unexported is what two readings of one entry may differ in: the revision at which it was read.
var unexported = cmpopts.IgnoreUnexported(ledger.Entry{})

func open(t *testing.T) *ledger.Ledger {
	t.Helper()
	l, _ := openBeside(t)
	return l
}

// openBeside opens a ledger, and the bucket under it as another application would.
func openBeside(t *testing.T) (*ledger.Ledger, jetstream.KeyValue) {
	t.Helper()
	server := bustest.Server(t)
	b := bustest.Connect(t, server)
	l, err := ledger.Open(t.Context(), b, ledger.Options{Now: func() time.Time { return clock }})
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
	kv, err := js.KeyValue(t.Context(), "postlink_ledger")
	if err != nil {
		t.Fatal(err)
	}
	return l, kv
}

var decision = ledger.Decision{
	Instance: "contoso", Entity: "incident", Rule: "cancelled", Catalog: "c1", Notes: "call back", By: "rule cancelled",
}

var byAnn = ledger.Decision{Instance: "fabrikam", Entity: "lead", By: "ann"}

func freeze(t *testing.T, l *ledger.Ledger, post ledger.Key) ledger.Entry {
	t.Helper()
	e, frozen, err := l.Freeze(t.Context(), post, 7, decision)
	if err != nil || !frozen {
		t.Fatalf("freeze %s: frozen %v, error %v", post, frozen, err)
	}
	return e
}

// move brings an entry through states.
func move(t *testing.T, l *ledger.Ledger, e ledger.Entry, states ...ledger.State) ledger.Entry {
	t.Helper()
	for _, s := range states {
		var err error
		if e, err = l.Move(t.Context(), e, ledger.Step{State: s, By: "test"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func TestPostsOfTwoNetworksWithOneIDAreTwoEntries(t *testing.T) {
	t.Parallel()
	l := open(t)
	for _, network := range []string{"twitter", "facebook", ""} {
		freeze(t, l, ledger.Key{Network: network, PostID: "42"})
	}
	freeze(t, l, ledger.Key{Network: "twitter", PostID: "43"})
	found, err := l.FindID(t.Context(), "42")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 3 {
		t.Errorf("found %d entries of id 42, want 3", len(found))
	}
	if none, err := l.FindID(t.Context(), "44"); err != nil || len(none) != 0 {
		t.Errorf("entries of an unknown id: %v, error %v", none, err)
	}
	if _, err := l.Find(t.Context(), ledger.Key{Network: "twitter", PostID: "44"}); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("error of an unknown post: %v", err)
	}
	seen := 0
	if err := l.Scan(t.Context(), func(ledger.Entry) error { seen++; return nil }); err != nil || seen != 4 {
		t.Errorf("scan saw %d entries, error %v", seen, err)
	}
	if err := l.Scan(t.Context(), func(ledger.Entry) error { return io.EOF }); !errors.Is(err, io.EOF) {
		t.Errorf("a scan whose reader fails: %v", err)
	}
}

func TestAnEntryIsFoundOnceWhileItChanges(t *testing.T) {
	t.Parallel()
	l := open(t)
	e := freeze(t, l, ledger.Key{Network: "twitter", PostID: "42"})
	changed := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		var err error
		for err == nil && ctx.Err() == nil {
			e, err = l.Note(context.WithoutCancel(ctx), e, func(link *ledger.Link) { link.Attempts++ })
		}
		changed <- err
	}()
	for range 500 {
		if found, err := l.FindID(t.Context(), "42"); err != nil || len(found) != 1 {
			t.Errorf("found %d entries, error %v", len(found), err)
			break
		}
	}
	stop()
	if err := <-changed; err != nil {
		t.Errorf("change: %v", err)
	}
}

func TestStatesFollowTheDiagramOnly(t *testing.T) {
	t.Parallel()
	l := open(t)
	states := []ledger.State{ledger.Queued, ledger.Linked, ledger.Dead, ledger.Removed, ledger.Broken}
	allowed := map[[2]ledger.State]bool{
		{ledger.Queued, ledger.Linked}: true, {ledger.Queued, ledger.Dead}: true,
		{ledger.Linked, ledger.Removed}: true, {ledger.Linked, ledger.Broken}: true,
	}
	path := map[ledger.State][]ledger.State{
		ledger.Queued: nil, ledger.Linked: {ledger.Linked}, ledger.Dead: {ledger.Dead},
		ledger.Removed: {ledger.Linked, ledger.Removed}, ledger.Broken: {ledger.Linked, ledger.Broken},
	}
	for _, from := range states {
		for _, to := range states {
			e := move(t, l, freeze(t, l, ledger.Key{PostID: fmt.Sprintf("%s-%s", from, to)}), path[from]...)
			got, err := l.Move(t.Context(), e, ledger.Step{State: to, By: "test", Reason: "because", Code: "0x1"}, nil)
			if allowed[[2]ledger.State{from, to}] {
				want := ledger.Step{State: to, At: clock, By: "test", Reason: "because", Code: "0x1"}
				if diff := cmp.Diff(want, got.Current().Last()); err != nil || diff != "" {
					t.Errorf("%s to %s: error %v, last step (-want +got):\n%s", from, to, err, diff)
				}
				continue
			}
			if !errors.Is(err, ledger.ErrTransition) || !cmp.Equal(got, e, unexported) {
				t.Errorf("%s to %s: %+v, error %v", from, to, got, err)
			}
		}
	}
}

func TestRemovingALinkDeletesItsNotesAndKeepsATombstone(t *testing.T) {
	t.Parallel()
	l := open(t)
	post := ledger.Key{Network: "twitter", PostID: "1"}
	organization := uuid.UUID{15: 9}
	e, err := l.Move(t.Context(), freeze(t, l, post), ledger.Step{State: ledger.Linked, By: "postlink"}, func(link *ledger.Link) {
		link.Organization = organization
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = l.Move(t.Context(), e, ledger.Step{State: ledger.Removed, By: "ann", Reason: "wrong record"}, nil); err != nil {
		t.Fatal(err)
	}
	again, frozen, err := l.Freeze(t.Context(), post, 7, decision)
	if err != nil || frozen {
		t.Fatalf("a replay linked the removed post again: frozen %v, error %v", frozen, err)
	}
	link := again.Current()
	if link.State != ledger.Removed || link.Notes != "" || link.Organization != organization || link.Last().Reason != "wrong record" {
		t.Errorf("tombstone %+v", link)
	}
}

func TestAStaleWorkerCannotChangeALink(t *testing.T) {
	t.Parallel()
	l := open(t)
	e := freeze(t, l, ledger.Key{PostID: "1"})
	noted, err := l.Note(t.Context(), e, func(link *ledger.Link) { link.Attempts++ })
	if err != nil || noted.Current().Attempts != 1 || noted.Current().State != ledger.Queued {
		t.Fatalf("noted %+v, error %v", noted, err)
	}
	edit := func(link *ledger.Link) { link.Attempts = 99 }
	for what, change := range map[string]func() (ledger.Entry, error){
		"move": func() (ledger.Entry, error) {
			return l.Move(t.Context(), e, ledger.Step{State: ledger.Linked, By: "postlink"}, edit)
		},
		"note": func() (ledger.Entry, error) { return l.Note(t.Context(), e, edit) },
	} {
		got, err := change()
		if !errors.Is(err, ledger.ErrStale) || !cmp.Equal(got, e, unexported) {
			t.Errorf("%s of an entry that changed meanwhile: %+v, error %v", what, got, err)
		}
	}
	if link := e.Current(); link.State != ledger.Queued || len(link.Steps) != 1 || link.Attempts != 0 {
		t.Errorf("a refused change touched the caller's copy: %+v", link)
	}
}

func TestOfManyWorkersOneMovesALink(t *testing.T) {
	t.Parallel()
	l := open(t)
	e := freeze(t, l, ledger.Key{PostID: "1"})
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := l.Move(t.Context(), e, ledger.Step{State: ledger.Linked, By: "postlink"}, nil)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, ledger.ErrStale) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d workers moved one link", won.Load())
	}
}

func TestEntriesAreListedByTheirLastChange(t *testing.T) {
	t.Parallel()
	l, kv := openBeside(t)
	entries := map[string]ledger.Entry{}
	for _, id := range []string{"1", "2", "3"} {
		entries[id] = freeze(t, l, ledger.Key{Network: "twitter", PostID: id})
	}
	move(t, l, entries["2"], ledger.Linked)
	if err := kv.Delete(t.Context(), ledger.Key{Network: "twitter", PostID: "1"}.Encode()); err != nil { // by hand
		t.Fatal(err)
	}
	var ids []string
	var cursor uint64
	page := func(below uint64, most int) []string {
		ids = nil
		err := l.Backwards(t.Context(), below, func(c ledger.Changed) (bool, error) {
			ids, cursor = append(ids, c.Post.PostID), c.Cursor
			if c.At.IsZero() {
				t.Errorf("entry %s has no time", c.Post)
			}
			return len(ids) < most, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	if diff := cmp.Diff([]string{"2", "3"}, page(0, 10)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	page(0, 1)
	if diff := cmp.Diff([]string{"3"}, page(cursor, 1)); diff != "" {
		t.Errorf("the second page (-want +got):\n%s", diff)
	}
	err := l.Backwards(t.Context(), 0, func(c ledger.Changed) (bool, error) {
		_, err := l.Note(t.Context(), c.Entry, func(link *ledger.Link) { link.Attempts++ })
		return false, err
	})
	if err != nil {
		t.Errorf("an entry that was listed cannot be changed: %v", err)
	}
}

func TestAnEntryThatSomebodyElseWroteIsAnErrorAndNoPanic(t *testing.T) {
	t.Parallel()
	l, kv := openBeside(t)
	post := ledger.Key{Network: "twitter", PostID: "1"}
	for name, value := range map[string]string{
		"no JSON":              `{`,
		"another post's":       `{"post":{"network":"twitter","post_id":"2"},"links":[{}]}`,
		"no links":             `{"post":{"network":"twitter","post_id":"1"},"links":[]}`,
		"a list":               `[]`,
		"a link of other type": `{"post":{"network":"twitter","post_id":"1"},"links":["x"]}`,
	} {
		if _, err := kv.PutString(t.Context(), post.Encode(), value); err != nil {
			t.Fatal(err)
		}
		calls := map[string]func() error{
			"find":    func() error { _, err := l.Find(t.Context(), post); return err },
			"find id": func() error { _, err := l.FindID(t.Context(), "1"); return err },
			"freeze":  func() error { _, _, err := l.Freeze(t.Context(), post, 1, decision); return err },
			"scan":    func() error { return l.Scan(t.Context(), func(ledger.Entry) error { return nil }) },
			"list": func() error {
				return l.Backwards(t.Context(), 0, func(ledger.Changed) (bool, error) { return true, nil })
			},
		}
		for what, call := range calls {
			if err := call(); err == nil || errors.Is(err, bus.ErrUnreachable) {
				t.Errorf("%s, %s: error %v", name, what, err)
			}
		}
	}
}

func TestALinkWithoutStepsCanBeUsed(t *testing.T) {
	t.Parallel()
	l, kv := openBeside(t)
	post := ledger.Key{Network: "twitter", PostID: "1"}
	value := `{"post":{"network":"twitter","post_id":"1"},"links":[{"state":"linked","generation":3}]}`
	if _, err := kv.PutString(t.Context(), post.Encode(), value); err != nil {
		t.Fatal(err)
	}
	e, err := l.Find(t.Context(), post)
	if err != nil {
		t.Fatal(err)
	}
	if link := e.Current(); link.Last() != (ledger.Step{}) || link.Decided() != (ledger.Step{}) || link.Decision() != (ledger.Decision{}) {
		t.Errorf("link %+v", link)
	}
	e = move(t, l, e, ledger.Removed)
	if e, err = l.Decide(t.Context(), e, decision); err != nil || e.Current().Generation != 4 {
		t.Errorf("entry %+v, error %v", e, err)
	}
}

func TestAwaitReturnsTheEntryThatTheWaitWasFor(t *testing.T) {
	t.Parallel()
	l := open(t)
	e := freeze(t, l, ledger.Key{Network: "twitter", PostID: "1"})
	linked := func(e ledger.Entry) bool { return e.Current().State == ledger.Linked }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Await(ended, e.Post, linked); err == nil {
		t.Error("a wait that was ended found what never was")
	}
	got := make(chan ledger.Entry)
	go func() {
		defer close(got)
		for range 2 { // what comes to be, and what is
			now, err := l.Await(t.Context(), e.Post, linked)
			if err != nil {
				t.Errorf("await: %v", err)
			}
			got <- now
		}
	}()
	if _, err := l.Note(t.Context(), e, func(link *ledger.Link) { link.Attempts++ }); err != nil {
		t.Fatal(err)
	}
	e, err := l.Find(t.Context(), e.Post)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Move(t.Context(), e, ledger.Step{State: ledger.Linked, By: "postlink"}, nil); err != nil {
		t.Fatal(err)
	}
	for now := range got {
		if now.Current().State != ledger.Linked || now.Current().Attempts != 1 {
			t.Errorf("awaited %+v", now.Current())
		}
	}
}
