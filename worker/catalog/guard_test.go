package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/rules"
	"postlink/worker/catalog"
)

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
		want catalog.UnconfiguredError
		text string
	}{
		"activating a rule whose entity was removed": {
			func(c *catalog.Catalog) error { return c.ActivateRule("praise") },
			catalog.UnconfiguredError{Rule: "praise", Instance: "contoso", Entity: "lead", Missing: "entity", Known: []string{"incident"}},
			`rule "praise" cannot be active: entity "lead" is not configured for instance "contoso"; add it, or link to one of: incident`,
		},
		"adding an active rule on an unknown instance": {
			func(c *catalog.Catalog) error {
				c.Rules = append(c.Rules, rules.Rule{Name: "n", Active: true, When: "true", Link: rules.Link{Instance: "x", Entity: "lead"}})
				return nil
			},
			catalog.UnconfiguredError{Rule: "n", Instance: "x", Entity: "lead", Missing: "instance", Known: []string{"contoso", "fabrikam"}},
			`rule "n" cannot be active: there is no instance "x"; add it, or link to one of: contoso, fabrikam`,
		},
		"adding an active rule on a disabled instance": {
			func(c *catalog.Catalog) error {
				c.Rules = append(c.Rules, rules.Rule{Name: "n", Active: true, When: "true", Link: rules.Link{Instance: "fabrikam", Entity: "new_complaint"}})
				return nil
			},
			catalog.UnconfiguredError{Rule: "n", Instance: "fabrikam", Entity: "new_complaint", Disabled: true},
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
			var got *catalog.UnconfiguredError
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
