package catalog_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"postlink/worker/bus"
	"postlink/worker/catalog"
)

// start is what a process does that is started with a directory.
func start(t *testing.T, s *catalog.Store, c *catalog.Catalog, want bool) {
	t.Helper()
	changed, err := s.ApplyAtStart(t.Context(), c, anna)
	if err != nil || changed != want {
		t.Errorf("changed = %t, %v, want %t", changed, err, want)
	}
}

func active(t *testing.T, s *catalog.Store, rule string) bool {
	t.Helper()
	rev, err := s.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := rev.Catalog.Rule(rule)
	if err != nil {
		t.Fatal(err)
	}
	return r.Active
}

func TestACatalogIsAppliedAtTheFirstStartOnly(t *testing.T) {
	t.Parallel()
	b := startBus(t)
	start(t, open(t, b), sample(), true)
	start(t, open(t, b), sample(), false)
	rev, err := open(t, b).Current(t.Context())
	if err != nil || rev.Author != anna.Author || rev.Message != anna.Message {
		t.Errorf("got %+v, %v", rev, err)
	}
	if history, err := open(t, b).History(t.Context()); err != nil || len(history) != 1 {
		t.Errorf("got %+v, %v", history, err)
	}
}

func TestWhatPeopleChangedStaysAtTheNextStart(t *testing.T) {
	t.Parallel()
	s := open(t, startBus(t))
	start(t, s, sample(), true)
	if _, _, err := s.Change(t.Context(), anna, func(c *catalog.Catalog) error { return c.DeactivateRule("flights") }); err != nil {
		t.Fatal(err)
	}
	start(t, s, sample(), false)
	if active(t, s, "flights") {
		t.Error("the start undid what a person changed")
	}
}

func TestAChangedDirectoryIsAppliedAgain(t *testing.T) {
	t.Parallel()
	s := open(t, startBus(t))
	start(t, s, sample(), true)
	changed := sample()
	changed.Rules[0].Active = false
	start(t, s, changed, true)
	start(t, s, changed, false)
	if active(t, s, "flights") {
		t.Error("the changed directory is not in force")
	}
	start(t, s, sample(), true) // and back
	if !active(t, s, "flights") {
		t.Error("the directory changed back is not in force")
	}
}

func TestACatalogThatIsInForceAlreadyChangesNothingAtTheStart(t *testing.T) {
	t.Parallel()
	s := open(t, startBus(t))
	before := apply(t, s, sample())
	start(t, s, sample(), false)
	if after, err := s.Current(t.Context()); err != nil || after.Number != before.Number {
		t.Errorf("got %+v, %v", after, err)
	}
	// It counts as applied all the same.
	if _, _, err := s.Change(t.Context(), anna, func(c *catalog.Catalog) error { return c.DeactivateRule("flights") }); err != nil {
		t.Fatal(err)
	}
	start(t, s, sample(), false)
	if active(t, s, "flights") {
		t.Error("the start undid what a person changed")
	}
}

func TestWhatCountsIsWhatTheFilesSay(t *testing.T) {
	t.Parallel()
	s := open(t, startBus(t))
	var one strings.Builder
	if err := sample().Export(&one); err != nil {
		t.Fatal(err)
	}
	first, err := catalog.LoadFS(oneFile(one.String()))
	if err != nil {
		t.Fatal(err)
	}
	instances, rules, _ := strings.Cut(one.String(), "rules:\n")
	second, err := catalog.LoadFS(fstest.MapFS{"a.yaml": {Data: []byte("# moved\n" + instances)}, "b/rules.yml": {Data: []byte("rules:\n" + rules)}})
	if err != nil {
		t.Fatal(err)
	}
	start(t, s, first, true)
	start(t, s, second, false)
}

func TestARefusedCatalogIsTriedAgainAtTheNextStart(t *testing.T) {
	t.Parallel()
	s := open(t, startBus(t))
	start(t, s, sample(), true)
	bad := sample()
	if err := bad.RemoveEntity("contoso", "incident"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		changed, err := s.ApplyAtStart(t.Context(), bad, anna)
		var inUse *catalog.InUseError
		if changed || !errors.As(err, &inUse) {
			t.Errorf("changed = %t, %v, want an *InUseError", changed, err)
		}
	}
	start(t, s, sample(), false)
}

func TestAStoreThatWasEmptiedIsFilledAtTheStart(t *testing.T) {
	t.Parallel()
	b := startBus(t)
	s := open(t, b)
	start(t, s, sample(), true)
	if err := bucket(t, b).Delete(t.Context(), "current"); err != nil {
		t.Fatal(err)
	}
	start(t, s, sample(), true)
}

// A change that a person makes right after one process has applied its catalog is not undone by another that starts at that time.
func TestOfManyProcessesThatStartAtOnceOneApplies(t *testing.T) {
	t.Parallel()
	server, err := bus.StartServer(t.Context(), bus.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		times int
	)
	for range 8 {
		s := open(t, connect(t, bus.Options{Server: server}))
		all.Go(func() {
			changed, err := s.ApplyAtStart(t.Context(), sample(), anna)
			if err != nil {
				t.Error(err)
			}
			if changed {
				mu.Lock()
				times++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if times != 1 {
		t.Errorf("%d processes applied the catalog", times)
	}
}
