package catalog_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
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
	"postlink/worker/catalog"
)

// startBus runs a NATS of its own for one test.
func startBus(t testing.TB) *bus.Bus {
	t.Helper()
	server, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
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

func open(t testing.TB, b *bus.Bus) *catalog.Store {
	t.Helper()
	s, err := catalog.New(catalog.Options{KV: b.Catalog(), Blobs: b.CatalogBlobs()})
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
	s, err := catalog.New(catalog.Options{KV: b.Catalog(), Blobs: b.CatalogBlobs(), Now: func() time.Time { return at }})
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

func TestTheGuardRefusesToTakeAwayWhatActiveRulesUse(t *testing.T) {
	t.Parallel()
	users := []string{"delays", "flights"}
	cases := map[string]struct {
		edit func(*catalog.Catalog) error
		want *catalog.InUseError // nil: it is allowed
		text string
	}{
		"removing an entity in use": {
			func(c *catalog.Catalog) error { return c.RemoveEntity("contoso", "incident") },
			&catalog.InUseError{Instance: "contoso", Entity: "incident", Rules: users},
			`entity "incident" of instance "contoso" is in use: the active rules "delays", "flights" use it; deactivate or delete those rules first`,
		},
		"disabling an instance in use": {
			func(c *catalog.Catalog) error { return c.DisableInstance("contoso") },
			&catalog.InUseError{Instance: "contoso", Rules: users}, "",
		},
		"deleting an instance in use": {
			func(c *catalog.Catalog) error { return c.DeleteInstance("contoso") },
			&catalog.InUseError{Instance: "contoso", Rules: users}, "",
		},
		"one of two rules is not enough": {
			func(c *catalog.Catalog) error {
				return errors.Join(c.DeactivateRule("flights"), c.RemoveEntity("contoso", "incident"))
			},
			&catalog.InUseError{Instance: "contoso", Entity: "incident", Rules: []string{"delays"}},
			`entity "incident" of instance "contoso" is in use: the active rule "delays" uses it; deactivate or delete that rule first`,
		},
		"inactive rules do not block":        {func(c *catalog.Catalog) error { return c.RemoveEntity("contoso", "lead") }, nil, ""},
		"an instance without rules can go":   {func(c *catalog.Catalog) error { return c.DeleteInstance("fabrikam") }, nil, ""},
		"an entity goes together with rules": {func(c *catalog.Catalog) error { c.Rules = nil; return c.RemoveEntity("contoso", "incident") }, nil, ""},
		"an entity goes once all are inactive": {
			func(c *catalog.Catalog) error {
				return errors.Join(c.DeactivateRule("flights"), c.DeactivateRule("delays"), c.RemoveEntity("contoso", "incident"))
			}, nil, "",
		},
	}
	s := open(t, startBus(t))
	before := apply(t, s, sample())
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, _, err := s.Change(t.Context(), anna, tc.edit)
			if tc.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				before = apply(t, s, sample())
				return
			}
			var got *catalog.InUseError
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if tc.text != "" && got.Error() != tc.text {
				t.Errorf("got  %s\nwant %s", got, tc.text)
			}
			if after, err := s.Current(t.Context()); err != nil || after.Number != before.Number {
				t.Errorf("the store moved to %v, %v", after, err)
			}
		})
	}
}

func TestTheGuardNamesEverythingThatIsTakenAway(t *testing.T) {
	t.Parallel()
	s := open(t, startBus(t))
	c := sample()
	c.Rules[1].Active = true
	apply(t, s, c)
	_, _, err := s.Change(t.Context(), anna, func(c *catalog.Catalog) error {
		return errors.Join(c.RemoveEntity("contoso", "incident"), c.RemoveEntity("contoso", "lead"))
	})
	if err == nil || strings.Count(err.Error(), "is in use") != 2 || strings.Count(err.Error(), `"flights"`) != 1 {
		t.Errorf("got %v", err)
	}
}

func TestTheGuardRefusesActiveRulesThatLeadNowhere(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		edit func(*catalog.Catalog) error
		want catalog.TargetError
		text string
	}{
		"activating a rule whose entity was removed": {
			func(c *catalog.Catalog) error { return c.ActivateRule("praise") },
			catalog.TargetError{Rule: "praise", Instance: "contoso", Entity: "lead", Missing: "entity", Known: []string{"incident"}},
			`rule "praise" cannot be active: entity "lead" is not configured for instance "contoso"; add it, or link to one of: incident`,
		},
		"adding an active rule on an unknown instance": {
			func(c *catalog.Catalog) error {
				c.Rules = append(c.Rules, rules.Rule{Name: "n", Active: true, When: "true", Link: rules.Link{Instance: "x", Entity: "lead"}})
				return nil
			},
			catalog.TargetError{Rule: "n", Instance: "x", Entity: "lead", Missing: "instance", Known: []string{"contoso", "fabrikam"}},
			`rule "n" cannot be active: there is no instance "x"; add it, or link to one of: contoso, fabrikam`,
		},
		"adding an active rule on a disabled instance": {
			func(c *catalog.Catalog) error {
				c.Rules = append(c.Rules, rules.Rule{Name: "n", Active: true, When: "true", Link: rules.Link{Instance: "fabrikam", Entity: "new_complaint"}})
				return nil
			},
			catalog.TargetError{Rule: "n", Instance: "fabrikam", Entity: "new_complaint", Disabled: true},
			`rule "n" cannot be active: instance "fabrikam" is disabled; enable it, or link to another one`,
		},
	}
	s := open(t, startBus(t))
	c := sample()
	if err := errors.Join(c.RemoveEntity("contoso", "lead"), c.DisableInstance("fabrikam")); err != nil {
		t.Fatal(err)
	}
	apply(t, s, c)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := s.Change(t.Context(), anna, tc.edit)
			var got *catalog.TargetError
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(tc.want, *got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got.Error() != tc.text {
				t.Errorf("got  %s\nwant %s", got, tc.text)
			}
		})
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
				t.Errorf("the password is told: %v", err)
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
	infos, err := b.CatalogBlobs().List(t.Context())
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
	s, err := catalog.New(catalog.Options{KV: b.Catalog(), Blobs: b.CatalogBlobs(), Tries: 3})
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

func TestHistoryIsKeptAndBounded(t *testing.T) {
	t.Parallel()
	b := startBus(t)
	s := open(t, b)
	const commits = jetstream.KeyValueMaxHistory + 10
	for i := range commits {
		c := sample()
		c.Instances[1].Entities[0].Fields = []string{fmt.Sprintf("f%d", i)}
		if _, _, err := s.Apply(t.Context(), c, catalog.Commit{Author: "anna", Message: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	history, err := s.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(history) != jetstream.KeyValueMaxHistory || history[0].Message != fmt.Sprint(commits-1) || history[0].Number != commits {
		t.Fatalf("got %d revisions, the newest %+v", len(history), history[0])
	}
	if blobs := blobsOf(t, b); len(blobs) != len(history) {
		t.Errorf("got %d blobs for %d revisions", len(blobs), len(history))
	}
	fresh := open(t, b)
	for _, h := range history {
		rev, err := fresh.Revision(t.Context(), h.Number)
		if err != nil {
			t.Fatal(err)
		}
		if got := "f" + h.Message; rev.ID != h.ID || rev.Catalog.Instances[1].Entities[0].Fields[0] != got {
			t.Errorf("revision %d is not what was committed as %q", h.Number, h.Message)
		}
	}
	var missing *catalog.NotFoundError
	if _, err := s.Revision(t.Context(), 1); !errors.As(err, &missing) {
		t.Errorf("got %v for a revision that is not kept", err)
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
	if err := b.Catalog().Delete(t.Context(), "current"); err != nil {
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

func TestDamagedContentIsRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		damage func(ctx context.Context, b *bus.Bus, pointer map[string]any) error
		want   string
	}{
		"a missing blob": {func(ctx context.Context, b *bus.Bus, p map[string]any) error {
			return b.CatalogBlobs().Delete(ctx, p["blob"].(string))
		}, "object not found"},
		"a blob of another revision": {func(ctx context.Context, b *bus.Bus, p map[string]any) error {
			return putPointer(ctx, b, p, "id", strings.Repeat("0", 64))
		}, "it is damaged"},
		"a blob that is not compressed": {func(ctx context.Context, b *bus.Bus, p map[string]any) error {
			_, err := b.CatalogBlobs().PutBytes(ctx, p["blob"].(string), []byte("{}"))
			return err
		}, "decompress the catalog"},
		"a pointer to nothing": {func(ctx context.Context, b *bus.Bus, p map[string]any) error {
			return putPointer(ctx, b, p, "blob", "")
		}, "id or blob is missing"},
		"a pointer of a newer postlink": {func(ctx context.Context, b *bus.Bus, p map[string]any) error {
			return putPointer(ctx, b, p, "signature", "x")
		}, `unknown field "signature"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBus(t)
			apply(t, open(t, b), sample())
			if err := tc.damage(t.Context(), b, readPointer(t, b)); err != nil {
				t.Fatal(err)
			}
			_, err := open(t, b).Current(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
}

func readPointer(t *testing.T, b *bus.Bus) map[string]any {
	t.Helper()
	e, err := b.Catalog().Get(t.Context(), "current")
	if err != nil {
		t.Fatal(err)
	}
	var pointer map[string]any
	if err := json.Unmarshal(e.Value(), &pointer); err != nil {
		t.Fatal(err)
	}
	return pointer
}

func putPointer(ctx context.Context, b *bus.Bus, pointer map[string]any, key string, value any) error {
	pointer[key] = value
	data, err := json.Marshal(pointer)
	if err != nil {
		return err
	}
	_, err = b.Catalog().Put(ctx, "current", data)
	return err
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

func TestStoresNeedBothBuckets(t *testing.T) {
	t.Parallel()
	if _, err := catalog.New(catalog.Options{}); err == nil {
		t.Error("a store without buckets was made")
	}
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
