package ledger_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/payload"
	"postlink/worker/ledger"
)

func TestTheFirstDecisionAboutAPostStands(t *testing.T) {
	t.Parallel()
	l := open(t)
	post := ledger.Key{Network: "twitter", PostID: "1 2:3.*>"}
	first := freeze(t, l, post)
	again, frozen, err := l.Freeze(t.Context(), post, 9, byAnn)
	if err != nil || frozen {
		t.Fatalf("second decision: frozen %v, error %v", frozen, err)
	}
	if diff := cmp.Diff(first, again, unexported); diff != "" {
		t.Errorf("the second decision changed the first (-first +now):\n%s", diff)
	}
	found, err := l.Find(t.Context(), post)
	if err != nil {
		t.Fatal(err)
	}
	want := ledger.Entry{Post: post, Sequence: 7, Links: []ledger.Link{{
		ID: payload.ActivityID("contoso", "twitter", "1 2:3.*>", 1), Generation: 1, State: ledger.Queued,
		Instance: "contoso", Entity: "incident", Rule: "cancelled", Catalog: "c1", Notes: "call back",
		Steps: []ledger.Step{{State: ledger.Queued, At: clock, By: "rule cancelled"}},
	}}}
	if diff := cmp.Diff(want, found, unexported); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(decision, found.Current().Decision()); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
}

func TestAPostIsDecidedOnWhereItIsFree(t *testing.T) {
	t.Parallel()
	l := open(t)
	tests := map[string]struct {
		path       []ledger.State // of a first link; none: the post was never linked
		linked     bool           // whether there was a first link
		generation int
		want       error
	}{
		"never linked":       {nil, false, 1, nil},
		"waiting":            {nil, true, 0, ledger.ErrActive},
		"linked":             {[]ledger.State{ledger.Linked}, true, 0, ledger.ErrActive},
		"dead":               {[]ledger.State{ledger.Dead}, true, 2, nil},
		"removed":            {[]ledger.State{ledger.Linked, ledger.Removed}, true, 2, nil},
		"gone from Dynamics": {[]ledger.State{ledger.Linked, ledger.Broken}, true, 2, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := ledger.Entry{Post: ledger.Key{Network: "twitter", PostID: name}, Sequence: 7}
			if test.linked {
				seen = move(t, l, freeze(t, l, seen.Post), test.path...)
			}
			before := len(seen.Links)
			got, err := l.Decide(t.Context(), seen, byAnn)
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v", err)
			}
			if len(seen.Links) != before {
				t.Errorf("the caller's copy was changed: %+v", seen)
			}
			if test.want != nil {
				return
			}
			link := got.Current()
			if link.Generation != test.generation || len(got.Links) != test.generation || link.State != ledger.Queued ||
				link.ID != payload.ActivityID("fabrikam", "twitter", name, test.generation) {
				t.Errorf("link %+v of %d", link, len(got.Links))
			}
			if diff := cmp.Diff(byAnn, link.Decision()); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if found, err := l.Find(t.Context(), seen.Post); err != nil || !cmp.Equal(found, got, unexported) {
				t.Errorf("the ledger has %+v, error %v", found, err)
			}
		})
	}
}

func TestOfTwoPeopleWhoDecideAtOnceOneSeesTheOthersDecision(t *testing.T) {
	t.Parallel()
	l := open(t)
	for _, linkedBefore := range []bool{false, true} {
		t.Run(fmt.Sprintf("linked before %v", linkedBefore), func(t *testing.T) {
			t.Parallel()
			seen := ledger.Entry{Post: ledger.Key{PostID: strconv.FormatBool(linkedBefore)}}
			if linkedBefore {
				seen = move(t, l, freeze(t, l, seen.Post), ledger.Dead)
			}
			people := [8]string{}
			results := [8]ledger.Entry{}
			errs := [8]error{}
			var wg sync.WaitGroup
			for i := range people {
				wg.Go(func() {
					results[i], errs[i] = l.Decide(t.Context(), seen, ledger.Decision{Instance: "contoso", Entity: "lead", By: strconv.Itoa(i)})
				})
			}
			wg.Wait()
			winner := ""
			for i, err := range errs {
				if err == nil && winner != "" {
					t.Errorf("both %s and %d won", winner, i)
				}
				if err == nil {
					winner = strconv.Itoa(i)
				} else if !errors.Is(err, ledger.ErrStale) {
					t.Errorf("person %d: %v", i, err)
				}
			}
			for i, e := range results {
				if got := e.Current().Decided().By; got != winner {
					t.Errorf("person %d is shown the decision of %q, and %q won", i, got, winner)
				}
			}
		})
	}
}

func TestWhatDecideWouldWriteIsKnownBefore(t *testing.T) {
	t.Parallel()
	l := open(t)
	seen := move(t, l, freeze(t, l, ledger.Key{PostID: "1"}), ledger.Dead)
	next := l.Next(seen, byAnn)
	got, err := l.Decide(t.Context(), seen, byAnn)
	if diff := cmp.Diff(next, got, unexported); diff != "" || err != nil {
		t.Errorf("error %v, entry (-before +after):\n%s", err, diff)
	}
}
