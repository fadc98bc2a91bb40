package catalog_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postlink/dynamics"
	"postlink/rules"
	"postlink/worker/catalog"
)

func TestPlans(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		edit func(*catalog.Catalog) error
		want string
	}{
		"nothing": {func(*catalog.Catalog) error { return nil }, ""},
		"an instance with an entity comes": {func(c *catalog.Catalog) error {
			return c.AddInstance(dynamics.Instance{Name: "third", URL: "https://third.example", Auth: sample().Instances[1].Auth, Disabled: true, Entities: []dynamics.Entity{{Name: "lead"}}})
		}, "+ instance third: disabled\n+ entity lead of instance third\n"},
		"an instance goes with its entity": {func(c *catalog.Catalog) error { return c.DeleteInstance("fabrikam") },
			"- instance fabrikam\n- entity new_complaint of instance fabrikam\n"},
		"an instance changes": {func(c *catalog.Catalog) error {
			in := c.Instances[1]
			in.Auth.Token = dynamics.Secret{Env: "OTHER"}
			return errors.Join(c.EditInstance("fabrikam", "https://new.example", in.Auth), c.DisableInstance("fabrikam"), c.SetDefault("fabrikam"))
		}, "~ instance contoso: no longer default\n~ instance fabrikam: url http://localhost:8080/fabrikam -> https://new.example, auth, disabled, default\n"},
		"entities come, go and change": {func(c *catalog.Catalog) error {
			return errors.Join(c.RemoveEntity("contoso", "lead"), c.AddEntity("contoso", dynamics.Entity{Name: "account"}),
				c.SetFields("contoso", "incident", []string{"ticketnumber", "title"}), c.SetFields("fabrikam", "new_complaint", nil))
		}, "~ entity incident of instance contoso: fields ticketnumber title\n- entity lead of instance contoso\n+ entity account of instance contoso\n~ entity new_complaint of instance fabrikam: no fields\n"},
		"rules change": {func(c *catalog.Catalog) error {
			c.Rules[0].Active, c.Rules[0].When = false, "post.isReply"
			c.Rules[1].Active, c.Rules[1].Link = true, rules.Link{Instance: "fabrikam", Entity: "new_complaint", Notes: "thanks"}
			return nil
		}, "~ rule \"flights\": deactivated, condition\n~ rule \"praise\": activated, links to lead of contoso -> new_complaint of fabrikam, notes\n"},
		"rules come and go": {func(c *catalog.Catalog) error {
			c.Rules = append(c.Rules[1:], rules.Rule{Name: "new one", When: "true", Link: rules.Link{Instance: "x", Entity: "y"}})
			return nil
		}, "- rule \"flights\"\n+ rule \"new one\": inactive\n"},
	}
	s := open(t, startBus(t))
	apply(t, s, sample())
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := sample()
			if err := tc.edit(next); err != nil {
				t.Fatal(err)
			}
			plan, err := s.Plan(t.Context(), next)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, plan.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestAPlanAsJSON(t *testing.T) {
	t.Parallel()
	s := open(t, startBus(t))
	apply(t, s, sample())
	next, fewer := sample(), sample()
	next.Rules[1].Active = true
	if err := fewer.DeleteInstance("fabrikam"); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		next *catalog.Catalog
		want string
	}{
		"a change":           {next, `[{"op":"changed","kind":"rule","name":"praise","details":["activated"]}]`},
		"a removed instance": {fewer, `[{"op":"removed","kind":"instance","name":"fabrikam"},{"op":"removed","kind":"entity","name":"new_complaint","instance":"fabrikam"}]`},
		"no change":          {sample(), `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, err := s.Plan(t.Context(), tc.next)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(plan)
			if err != nil || string(got) != tc.want {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

// A commit whose plan is empty makes no revision, so a plan must be empty for equal catalogs and for no others.
func TestAPlanIsEmptyExactlyWhenTheContentIsTheSame(t *testing.T) {
	t.Parallel()
	b := startBus(t)
	s := open(t, b)
	rapid.Check(t, func(rt *rapid.T) {
		if err := bucket(t, b).Delete(t.Context(), "current"); err != nil {
			rt.Fatal(err)
		}
		from, to := drawCatalog(rt), drawCatalog(rt)
		for i := range from.Rules {
			from.Rules[i].Active = false // the guard is not what this is about
		}
		before := apply(t, s, from)
		after, plan, err := s.Apply(t.Context(), to, anna)
		if err != nil {
			rt.Fatal(err)
		}
		if plan.Empty() != (before.ID == after.ID) || plan.Empty() != (before.Number == after.Number) {
			rt.Fatalf("revision %d %s after %d %s with plan\n%s", after.Number, after.ID, before.Number, before.ID, plan)
		}
		same, plan, err := s.Apply(t.Context(), to, anna)
		if err != nil || !plan.Empty() || same.Number != after.Number {
			rt.Fatalf("applied twice: %v, plan\n%s", err, plan)
		}
	})
}
