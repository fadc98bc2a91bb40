package ledger_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"postlink/worker/bus"
	"postlink/worker/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var clock = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func open(t *testing.T) *ledger.Ledger {
	t.Helper()
	server, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	b, err := bus.Connect(t.Context(), bus.Options{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return ledger.New(b, func() time.Time { return clock })
}

func id(n byte) uuid.UUID { return uuid.UUID{15: n} }

func decision(n byte) ledger.Decision {
	return ledger.Decision{ID: id(n), Instance: "contoso", Entity: "incident", Rule: "cancelled", Catalog: "c1", Notes: "call back", By: "rule cancelled"}
}

func plan(t *testing.T, l *ledger.Ledger, post ledger.Key) ledger.Entry {
	t.Helper()
	e, created, err := l.Plan(t.Context(), post, 7, decision(1))
	if err != nil || !created {
		t.Fatalf("plan %s: created %v, error %v", post, created, err)
	}
	return e
}

func TestTheFirstDecisionAboutAPostStands(t *testing.T) {
	t.Parallel()
	l := open(t)
	post := ledger.Key{Network: "twitter", PostID: "1 2:3.*>"}
	first := plan(t, l, post)

	other := decision(1)
	other.Entity, other.Rule, other.Catalog = "lead", "praise", "c2"
	again, created, err := l.Plan(t.Context(), post, 9, other)
	if err != nil || created {
		t.Fatalf("second plan: created %v, error %v", created, err)
	}
	if diff := cmp.Diff(first.Links, again.Links); diff != "" {
		t.Errorf("the second decision changed the first (-first +now):\n%s", diff)
	}
	found, err := l.Find(t.Context(), post)
	if err != nil {
		t.Fatal(err)
	}
	want := []ledger.Link{{
		ID: id(1), Generation: 1, State: ledger.Queued, Instance: "contoso", Entity: "incident", Rule: "cancelled", Catalog: "c1",
		Notes: "call back", PlannedAt: clock, Steps: []ledger.Step{{State: ledger.Queued, At: clock, By: "rule cancelled"}},
	}}
	if diff := cmp.Diff(want, found.Links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

func TestPostsOfTwoNetworksWithOneIDAreTwoEntries(t *testing.T) {
	t.Parallel()
	l := open(t)
	for _, network := range []string{"twitter", "facebook", ""} {
		plan(t, l, ledger.Key{Network: network, PostID: "42"})
	}
	plan(t, l, ledger.Key{Network: "twitter", PostID: "43"})
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
			e := plan(t, l, ledger.Key{PostID: fmt.Sprintf("%s-%s", from, to)})
			for _, s := range path[from] {
				var err error
				if e, err = l.Settle(t.Context(), e, s, "test", "", nil); err != nil {
					t.Fatal(err)
				}
			}
			_, err := l.Settle(t.Context(), e, to, "test", "because", nil)
			if ok := err == nil; ok != allowed[[2]ledger.State{from, to}] {
				t.Errorf("%s to %s: error %v", from, to, err)
			}
			if err != nil && !errors.Is(err, ledger.ErrTransition) {
				t.Errorf("%s to %s: %v is not ErrTransition", from, to, err)
			}
		}
	}
}

func TestRemovingALinkDeletesItsNotesAndKeepsATombstone(t *testing.T) {
	t.Parallel()
	l := open(t)
	post := ledger.Key{Network: "twitter", PostID: "1"}
	e := plan(t, l, post)
	e, err := l.Settle(t.Context(), e, ledger.Linked, "postlink", "", func(link *ledger.Link) { link.Organization = id(9) })
	if err != nil {
		t.Fatal(err)
	}
	if e, err = l.Settle(t.Context(), e, ledger.Removed, "ann", "wrong record", nil); err != nil {
		t.Fatal(err)
	}
	again, created, err := l.Plan(t.Context(), post, 7, decision(1))
	if err != nil || created {
		t.Fatalf("a replay planned the removed link again: created %v, error %v", created, err)
	}
	link := again.Current()
	if link.State != ledger.Removed || link.Notes != "" || link.Organization != id(9) || link.Reason() != "wrong record" {
		t.Errorf("tombstone %+v", link)
	}
	if e, err = l.Relink(t.Context(), e, decision(2)); err != nil {
		t.Fatal(err)
	}
	if got := e.Current(); got.Generation != 2 || got.State != ledger.Queued || got.ID != id(2) || len(e.Links) != 2 {
		t.Errorf("link after relinking: %+v", got)
	}
	if _, err := l.Relink(t.Context(), e, decision(3)); !errors.Is(err, ledger.ErrActive) {
		t.Errorf("relinking an active link: %v", err)
	}
}

func TestAStaleWorkerCannotSettle(t *testing.T) {
	t.Parallel()
	l := open(t)
	e := plan(t, l, ledger.Key{PostID: "1"})
	if _, err := l.Note(t.Context(), e, func(link *ledger.Link) { link.Attempts++ }); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Settle(t.Context(), e, ledger.Linked, "postlink", "", nil); !errors.Is(err, ledger.ErrStale) {
		t.Errorf("settling an entry that changed meanwhile: %v", err)
	}
	if e.Current().State != ledger.Queued || len(e.Current().Steps) != 1 {
		t.Errorf("a refused change touched the caller's copy: %+v", e.Current())
	}
}

func TestOfManyWorkersOneSettles(t *testing.T) {
	t.Parallel()
	l := open(t)
	e := plan(t, l, ledger.Key{PostID: "1"})
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := l.Settle(t.Context(), e, ledger.Linked, "postlink", "", nil); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d workers settled one link", won.Load())
	}
}

func TestKeysAreEncodedReversibly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := ledger.Key{Network: rapid.String().Draw(t, "network"), PostID: rapid.StringN(1, -1, -1).Draw(t, "id")}
		got, err := ledger.DecodeKey(k.Encode())
		if err != nil || got != k {
			t.Fatalf("%+v became %q became %+v, error %v", k, k.Encode(), got, err)
		}
	})
}

func FuzzDecodeKey(f *testing.F) {
	for _, s := range []string{"", ".", "=.", "=.MQ", "MQ.MQ", "a.b.c", "*.MQ", "MR.MQ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ledger.DecodeKey(s)
		if err == nil && k.Encode() != s {
			t.Errorf("%q was read as %+v, which is written %q", s, k, k.Encode())
		}
	})
}
