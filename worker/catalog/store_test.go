package catalog_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/dynamics"
	"postlink/rules"
	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
)

// startBus runs a NATS of its own for one test.
func startBus(t testing.TB) *bus.Bus {
	t.Helper()
	server := bustest.Server(t)
	return connect(t, bus.Options{Server: server})
}

func connect(t testing.TB, opts bus.Options) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// bucket is what the catalog's pointer is kept in, for those who damage it.
func bucket(t testing.TB, b *bus.Bus) jetstream.KeyValue {
	t.Helper()
	kv, err := b.DeclareBucket(t.Context(), jetstream.KeyValueConfig{Bucket: "catalog", History: jetstream.KeyValueMaxHistory})
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// blobs is what the contents of catalogs are kept in.
func blobs(t testing.TB, b *bus.Bus) jetstream.ObjectStore {
	t.Helper()
	store, err := b.DeclareObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "catalog"})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func open(t testing.TB, b *bus.Bus) *catalog.Store {
	t.Helper()
	s, err := catalog.Open(t.Context(), b, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func apply(t testing.TB, s *catalog.Store, c *catalog.Catalog) *catalog.Revision {
	t.Helper()
	rev, _, err := s.Apply(t.Context(), c, catalog.Commit{Author: "anna", Message: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

var anna = catalog.Commit{Author: "anna", Message: "because"}

func TestAnEmptyStoreSaysSo(t *testing.T) {
	t.Parallel()
	s := open(t, startBus(t))
	if _, err := s.Current(t.Context()); !errors.Is(err, catalog.ErrEmpty) {
		t.Errorf("got %v, want ErrEmpty", err)
	}
	history, err := s.History(t.Context())
	if err != nil || len(history) != 0 {
		t.Errorf("got history %v, %v", history, err)
	}
}

func TestWhatIsAppliedIsWhatEveryStoreSees(t *testing.T) {
	t.Parallel()
	b := startBus(t)
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.FixedZone("", 3600))
	s, err := catalog.Open(t.Context(), b, catalog.Options{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	rev, plan, err := s.Apply(t.Context(), sample(), anna)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan) != 8 {
		t.Errorf("got plan\n%s", plan)
	}
	other, err := open(t, b).Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rev.Header, other.Header); diff != "" {
		t.Errorf("header (-applied +loaded)\n%s", diff)
	}
	if diff := cmp.Diff(rev.Catalog, other.Catalog); diff != "" {
		t.Errorf("catalog (-applied +loaded)\n%s", diff)
	}
	if rev.Author != "anna" || rev.Message != "because" || !rev.At.Equal(at) || rev.Set == nil || other.Set == nil {
		t.Errorf("got %+v", rev.Header)
	}
}

func TestAgesAreKeptByName(t *testing.T) {
	t.Parallel()
	s := open(t, startBus(t))
	rule := func(name, when string) rules.Rule {
		return rules.Rule{Name: name, When: when, Link: rules.Link{Instance: "contoso", Entity: "lead"}}
	}
	names := func(rev *catalog.Revision) string {
		var out []string
		for i, r := range rev.Catalog.Rules {
			if i > 0 && r.Age <= rev.Catalog.Rules[i-1].Age {
				t.Errorf("%s is not newer than the rule before it", r.Name)
			}
			out = append(out, r.Name)
		}
		return strings.Join(out, " ")
	}
	steps := []struct {
		apply []rules.Rule
		want  string // the oldest first
	}{
		{[]rules.Rule{rule("b", "true"), rule("a", "true")}, "b a"},
		{[]rules.Rule{rule("c", "true"), rule("a", "false"), rule("b", "true")}, "b a c"},
		{[]rules.Rule{rule("a", "true"), rule("c", "true")}, "a c"},
		{[]rules.Rule{rule("b", "true"), rule("c", "true"), rule("a", "true")}, "a c b"},
	}
	for i, step := range steps {
		c := sample()
		c.Rules = step.apply
		if got := names(apply(t, s, c)); got != step.want {
			t.Errorf("after step %d: got %q, want %q", i+1, got, step.want)
		}
	}
}

func TestNoChangeMakesNoRevision(t *testing.T) {
	t.Parallel()
	s := open(t, startBus(t))
	first := apply(t, s, sample())
	reordered := sample()
	slices.Reverse(reordered.Instances)
	slices.Reverse(reordered.Rules)
	reordered.Instances[1].URL += "/"
	second, plan, err := s.Apply(t.Context(), reordered, anna)
	if err != nil {
		t.Fatal(err)
	}
	if !plan.Empty() || second.Number != first.Number || second.ID != first.ID {
		t.Errorf("got revision %d after %d with plan\n%s", second.Number, first.Number, plan)
	}
}

func TestInvalidChangesAreRefusedAndLeaveNothing(t *testing.T) {
	t.Parallel()
	own := errors.New("mine")
	cases := map[string]struct {
		edit func(*catalog.Catalog) error
		want string
	}{
		"an edit's own error comes back": {func(*catalog.Catalog) error { return own }, "mine"},
		"a bad name": {func(c *catalog.Catalog) error {
			return c.AddInstance(dynamics.Instance{Name: "No Good", URL: "https://x.example", Auth: sample().Instances[1].Auth})
		}, `instance name "No Good"`},
		"a second instance of one organization": {func(c *catalog.Catalog) error {
			return c.AddInstance(dynamics.Instance{Name: "twin", URL: "https://CONTOSO.crm.dynamics.com:443/", Auth: sample().Instances[0].Auth})
		}, `is that of instance "contoso" already`},
		"a bad field":     {func(c *catalog.Catalog) error { return c.SetFields("contoso", "lead", []string{"Full Name"}) }, `field "Full Name" is not a logical name`},
		"a bad condition": {func(c *catalog.Catalog) error { c.Rules[0].When = "post."; return nil }, `rule "flights"`},
		"a rule twice":    {func(c *catalog.Catalog) error { c.Rules = append(c.Rules, c.Rules[0]); return nil }, "taken by another rule"},
		"a password in it": {func(c *catalog.Catalog) error {
			return c.EditInstance("contoso", "https://me:pw@x.example", dynamics.Auth{})
		}, "a user or password does not belong"},
	}
	b := startBus(t)
	s := open(t, b)
	before := apply(t, s, sample())
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, _, err := s.Change(t.Context(), anna, tc.edit)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %s", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "me:pw") {
				t.Errorf("the error shows the password: %v", err)
			}
			if after, err := s.Current(t.Context()); err != nil || after.Number != before.Number {
				t.Errorf("the store moved to %v, %v", after, err)
			}
		})
	}
	if blobs := blobsOf(t, b); len(blobs) != 1 {
		t.Errorf("got blobs %q", blobs)
	}
}

func blobsOf(t *testing.T, b *bus.Bus) []string {
	t.Helper()
	infos, err := blobs(t, b).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, info := range infos {
		names = append(names, info.Name)
	}
	return names
}

func TestAChangeForAnOlderRevisionConflicts(t *testing.T) {
	t.Parallel()
	b := startBus(t)
	s := open(t, b)
	first := apply(t, s, sample())
	forFirst := catalog.Commit{Author: "berta", Base: first.Number}
	second, _, err := s.Change(t.Context(), forFirst, func(c *catalog.Catalog) error { return c.ActivateRule("praise") })
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Change(t.Context(), forFirst, func(c *catalog.Catalog) error { return c.DeactivateRule("praise") })
	if !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	_, _, err = s.Change(t.Context(), catalog.Commit{Base: second.Number + 1}, func(c *catalog.Catalog) error { return c.DeactivateRule("praise") })
	if !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("for a revision that does not exist: got %v, want ErrConflict", err)
	}
	if cur, err := s.Current(t.Context()); err != nil || cur.Number != second.Number {
		t.Errorf("got %v, %v", cur, err)
	}
}

func TestALostRaceRunsAgainOnWhatTheWinnerLeft(t *testing.T) {
	t.Parallel()
	b := startBus(t)
	s, other := open(t, b), open(t, b)
	apply(t, s, sample())
	runs := 0
	rev, plan, err := s.Change(t.Context(), anna, func(c *catalog.Catalog) error {
		if runs++; runs == 1 {
			if _, _, err := other.Change(t.Context(), anna, func(c *catalog.Catalog) error { return c.ActivateRule("praise") }); err != nil {
				return err
			}
		}
		return c.DeactivateRule("flights")
	})
	if err != nil {
		t.Fatal(err)
	}
	if runs != 2 || rev.Catalog.Rules[0].Active || !rev.Catalog.Rules[1].Active {
		t.Errorf("after %d runs: %+v", runs, rev.Catalog.Rules)
	}
	if got, want := plan.String(), "~ rule \"flights\": deactivated\n"; got != want {
		t.Errorf("got plan %q, want %q", got, want)
	}
	if blobs := blobsOf(t, b); len(blobs) != 3 {
		t.Errorf("the lost attempt left its blob: %q", blobs)
	}
}

func TestARaceThatCannotBeWonEnds(t *testing.T) {
	t.Parallel()
	b := startBus(t)
	other := open(t, b)
	apply(t, other, sample())
	s, err := catalog.Open(t.Context(), b, catalog.Options{Tries: 3})
	if err != nil {
		t.Fatal(err)
	}
	runs := 0
	_, _, err = s.Change(t.Context(), anna, func(c *catalog.Catalog) error {
		runs++
		fields := []string{fmt.Sprintf("f%d", runs)}
		if _, _, err := other.Change(t.Context(), anna, func(c *catalog.Catalog) error { return c.SetFields("contoso", "lead", fields) }); err != nil {
			return err
		}
		return c.DeactivateRule("flights")
	})
	if !errors.Is(err, catalog.ErrBusy) || runs != 3 {
		t.Errorf("got %v after %d runs", err, runs)
	}
}

func TestADryRunTellsThePlanAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, startBus(t))
	first := apply(t, s, sample())
	next := sample()
	next.Rules[0].When = "true"
	plan, err := s.Plan(t.Context(), next)
	if err != nil || plan.String() != "~ rule \"flights\": condition\n" {
		t.Errorf("got %q, %v", plan, err)
	}
	if err := next.RemoveEntity("contoso", "incident"); err != nil {
		t.Fatal(err)
	}
	plan, err = s.Plan(t.Context(), next)
	var inUse *catalog.InUseError
	if !errors.As(err, &inUse) || len(plan) != 2 {
		t.Errorf("got %q, %v", plan, err)
	}
	if cur, err := s.Current(t.Context()); err != nil || cur.Number != first.Number {
		t.Errorf("got %v, %v", cur, err)
	}
}

func TestADeletedPointerIsAnEmptyStoreThatCanBeFilledAgain(t *testing.T) {
	t.Parallel()
	b := startBus(t)
	s := open(t, b)
	apply(t, s, sample())
	if err := bucket(t, b).Delete(t.Context(), "current"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Current(t.Context()); !errors.Is(err, catalog.ErrEmpty) {
		t.Errorf("got %v, want ErrEmpty", err)
	}
	again := apply(t, s, sample())
	if history, err := s.History(t.Context()); err != nil || len(history) != 2 || history[0].Number != again.Number {
		t.Errorf("got %+v, %v", history, err)
	}
}

func TestAnExportedStoreCanBeAppliedAgain(t *testing.T) {
	t.Parallel()
	b := startBus(t)
	s := open(t, b)
	c := sample()
	if err := errors.Join(c.DeleteInstance("fabrikam"), c.RemoveEntity("contoso", "lead")); err != nil {
		t.Fatal(err) // the inactive rule "praise" now leads nowhere
	}
	before := apply(t, s, c)
	var out bytes.Buffer
	if err := before.Catalog.Export(&out); err != nil {
		t.Fatal(err)
	}
	again, err := catalog.LoadFS(oneFile(out.String()))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, &out)
	}
	after, plan, err := s.Apply(t.Context(), again, anna)
	if err != nil || !plan.Empty() || after.Number != before.Number {
		t.Errorf("got %v, plan\n%s", err, plan)
	}
}

func TestALiveCatalogNeedsAStore(t *testing.T) {
	t.Parallel()
	if _, err := catalog.NewLive(catalog.LiveOptions{}); err == nil {
		t.Error("a live catalog without a store was made")
	}
}

func TestChangesStopWithTheirContext(t *testing.T) {
	t.Parallel()
	s := open(t, startBus(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Apply(ctx, sample(), anna); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// pack makes a blob as the store does.
func pack(t *testing.T, document string) (id string, packed []byte) {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(document)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(document))), out.Bytes()
}
