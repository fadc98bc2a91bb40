package dynamics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/google/uuid"

	"postlink/dynamics"
	"postlink/payload"
)

func TestManyCreatorsOfOneNewAuthorMakeItOnce(t *testing.T) {
	t.Parallel()
	const creators = 16
	db := newTables()
	i := play(t, db.ServeHTTP)
	one, other := newClient(t, i.URL), newClient(t, i.URL) // two workers
	var all sync.WaitGroup
	for n := range creators {
		for _, c := range []*dynamics.Client{one, other} {
			all.Go(func() {
				a := known("77")
				a.ID = uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "activity %d of %p", n, c))
				if err := c.Create(t.Context(), a); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if got, want := len(db.rows), 2+2*creators; got != want {
		t.Errorf("%d records, want %d", got, want)
	}
	looks := 0
	for _, call := range i.calls() {
		if call == "GET socialprofiles" {
			looks++
		}
	}
	if looks > 2 {
		t.Errorf("%d look-ups by two clients", looks)
	}
}

func TestAFailedLookUpIsSharedAndNotRemembered(t *testing.T) {
	t.Parallel()
	const creators = 8
	db := newTables()
	var mu sync.Mutex
	fail, entered := true, make(chan struct{})
	release := make(chan struct{})
	i := play(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		failing := fail
		mu.Unlock()
		if failing {
			close(entered) // a second look-up would panic
			<-release
			answerJSON(w, 429, `{"error":{"code":"0x80072326","message":"Number of concurrent requests exceeded the limit of 52."}}`)
			return
		}
		db.ServeHTTP(w, r)
	})
	c := newClient(t, i.URL)
	errs := make(chan error, creators)
	var all sync.WaitGroup
	create := func() {
		err := c.Create(t.Context(), known("77"))
		errs <- err
	}
	all.Go(create)
	<-entered
	mu.Lock()
	fail = false // whoever comes too late for the failed look-up succeeds
	mu.Unlock()
	for range creators - 1 {
		all.Go(create)
	}
	close(release)
	all.Wait()
	close(errs)
	failed := 0
	for err := range errs {
		var refused *dynamics.Error
		switch {
		case errors.As(err, &refused) && refused.Status == 429:
			failed++
		case err != nil:
			t.Error(err)
		}
	}
	if failed == 0 {
		t.Error("nobody saw the refusal")
	}
	if err := c.Create(t.Context(), known("77")); err != nil {
		t.Errorf("the failure was remembered: %v", err)
	}
}

func TestWhoWaitsForALookUpOutlivesTheOneWhoLooks(t *testing.T) {
	t.Parallel()
	db := newTables()
	ctx, cancel := context.WithCancel(t.Context())
	first := true
	entered := make(chan struct{})
	i := play(t, func(w http.ResponseWriter, r *http.Request) {
		if first {
			first = false
			close(entered)
			<-r.Context().Done()
			return
		}
		db.ServeHTTP(w, r)
	})
	c := newClient(t, i.URL)
	var all sync.WaitGroup
	all.Go(func() {
		if err := c.Create(ctx, known("77")); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want canceled", err)
		}
	})
	<-entered
	all.Go(func() {
		if err := c.Create(t.Context(), known("77")); err != nil {
			t.Errorf("the one who waited: %v", err)
		}
	})
	gaveUp, giveUp := context.WithCancel(t.Context())
	giveUp()
	if err := c.Create(gaveUp, known("77")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
	cancel()
	all.Wait()
}

func TestPeopleOfDifferentNetworksAreDifferentPeople(t *testing.T) {
	t.Parallel()
	db := newTables()
	i := play(t, db.ServeHTTP)
	c := newClient(t, i.URL)
	for _, network := range []string{"blogs", "board", "youtubevideos"} {
		a := known("john")
		a.Network, a.Community = network, 0
		a.ID = payload.ActivityID("contoso", network, "1", 1)
		if err := c.Create(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if !db.has("socialprofiles", payload.ProfileID("contoso", network, "john")) {
			t.Errorf("no profile of the one on %s", network)
		}
	}
}
