package instance_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"postlink/worker/bus/bustest"
	"postlink/worker/instance"
	"postlink/worker/ledger"
)

func TestMain(m *testing.M) { bustest.Main(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *instance.Statuses {
	t.Helper()
	b := bustest.New(t)
	s, err := instance.Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func update(t *testing.T, s *instance.Statuses, name string, change func(*instance.Status)) {
	t.Helper()
	if err := s.Update(t.Context(), name, change); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, s *instance.Statuses, name string, want instance.Status) {
	t.Helper()
	got, err := s.Read(t.Context(), name)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, status of %s (-want +got):\n%s", err, name, diff)
	}
}

func TestAParkKeepsTheTimeOfItsFirstReasonUntilTheInstanceAnswers(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 3600)
	status := instance.Status{Retrying: "it is slow", NextTry: noon}
	status.Park("no token", noon.In(zone))
	status.Park("forbidden", noon.Add(time.Hour))
	want := instance.Status{Retrying: "it is slow", NextTry: noon, Parked: "forbidden", ParkedSince: noon}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("parked (-want +got):\n%s", diff)
	}
	status.Answered(noon.Add(2 * time.Hour).In(zone))
	want = instance.Status{Retrying: "it is slow", LastSeen: noon.Add(2 * time.Hour)}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("answered (-want +got):\n%s", diff)
	}
	status.Park("no token", noon.Add(3*time.Hour))
	if !status.ParkedSince.Equal(noon.Add(3 * time.Hour)) {
		t.Errorf("parked anew since %s", status.ParkedSince)
	}
}

func TestAStatusIsKeptUntilItIsForgotten(t *testing.T) {
	t.Parallel()
	s := open(t)
	expect(t, s, "contoso", instance.Status{})
	want := instance.Status{
		Organization: uuid.UUID{15: 1}, Version: "9.2", LastSeen: noon, RefreshedAt: noon, Missing: []string{"lead"}, Parked: "no token",
		ParkedSince: noon, NextTry: noon, ThrottledUntil: noon, Retrying: "it is slow", RetryingSince: noon,
	}
	for range 2 { // made, forgotten and made again
		update(t, s, "contoso", func(status *instance.Status) { *status = want })
		expect(t, s, "contoso", want)
		expect(t, s, "fabrikam", instance.Status{})
		if err := s.Forget(t.Context(), "contoso"); err != nil {
			t.Fatal(err)
		}
		expect(t, s, "contoso", instance.Status{})
	}
	if err := s.Forget(t.Context(), "fabrikam"); err != nil {
		t.Errorf("one of which nothing is known: %v", err)
	}
}

func TestNoWriterUndoesWhatAnotherWrote(t *testing.T) {
	t.Parallel()
	s := open(t)
	const writers, changes = 8, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range changes {
				if err := s.Update(t.Context(), "contoso", func(status *instance.Status) { status.Missing = append(status.Missing, "x") }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	status, err := s.Read(t.Context(), "contoso")
	if err != nil || len(status.Missing) != writers*changes {
		t.Errorf("%d of %d changes are left, error %v", len(status.Missing), writers*changes, err)
	}
}

func TestAStatusIsFollowed(t *testing.T) {
	t.Parallel()
	s := open(t)
	version := func(v string) {
		update(t, s, "contoso", func(status *instance.Status) { status.Version = v })
	}
	version("1")
	got := make(chan string, 10)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		done <- s.Follow(ctx, "contoso", func(status instance.Status) { got <- status.Version })
	}()
	next := func(want string) {
		t.Helper()
		select {
		case v := <-got:
			if v != want {
				t.Errorf("followed version %q, want %q", v, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("waited in vain for version %q", want)
		}
	}
	next("1")
	version("2")
	next("2")
	update(t, s, "fabrikam", func(status *instance.Status) { status.Version = "another's" })
	if err := s.Forget(t.Context(), "contoso"); err != nil {
		t.Fatal(err)
	}
	version("3")
	next("3")
	cancel()
	if err := <-done; err != nil || len(got) != 0 {
		t.Errorf("ended with %v, and %d more", err, len(got))
	}
}

func TestALinkLivesWhereItsOrganizationIs(t *testing.T) {
	t.Parallel()
	s := open(t)
	north, south := uuid.UUID{15: 1}, uuid.UUID{15: 2}
	for name, organization := range map[string]uuid.UUID{"contoso": north, "twin": north, "fabrikam": south, "deleted": {15: 3}} {
		update(t, s, name, func(status *instance.Status) { status.Organization = organization })
	}
	tests := map[string]struct {
		catalog []string
		link    ledger.Link
		home    string
	}{
		"still there":                        {[]string{"contoso", "fabrikam"}, ledger.Link{Instance: "contoso", Organization: north}, "contoso"},
		"not delivered yet":                  {[]string{"contoso"}, ledger.Link{Instance: "contoso"}, "contoso"},
		"deleted":                            {[]string{"contoso"}, ledger.Link{Instance: "deleted", Organization: uuid.UUID{15: 3}}, ""},
		"deleted before it was delivered":    {[]string{"contoso"}, ledger.Link{Instance: "deleted"}, ""},
		"added again under another name":     {[]string{"contoso"}, ledger.Link{Instance: "old", Organization: north}, "contoso"},
		"another organization under a name":  {[]string{"contoso"}, ledger.Link{Instance: "contoso", Organization: south}, ""},
		"moved to another instance's name":   {[]string{"contoso", "fabrikam"}, ledger.Link{Instance: "contoso", Organization: south}, "fabrikam"},
		"an instance that was never seen":    {[]string{"new"}, ledger.Link{Instance: "new", Organization: north}, "new"},
		"two names for one organization":     {[]string{"contoso", "twin"}, ledger.Link{Instance: "contoso", Organization: north}, "contoso"},
		"two names, the other":               {[]string{"contoso", "twin"}, ledger.Link{Instance: "twin", Organization: north}, "twin"},
		"no instances":                       {nil, ledger.Link{Instance: "contoso", Organization: north}, ""},
		"never seen, never delivered, added": {[]string{"new"}, ledger.Link{Instance: "new"}, "new"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			homes, err := s.Homes(t.Context(), test.catalog)
			if err != nil {
				t.Fatal(err)
			}
			if home, ok := homes.Of(&test.link); home != test.home || ok != (test.home != "") {
				t.Errorf("lives in %q (%v), want %q", home, ok, test.home)
			}
		})
	}
}
