package catalog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/dynamics"
	"postlink/rules"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
)

func TestMain(m *testing.M) { bustest.Main(m) }

// sample has two instances; the rules "flights" and "delays" are active, "praise" is not.
func sample() *catalog.Catalog {
	return &catalog.Catalog{
		Instances: []dynamics.Instance{
			{
				Name: "contoso", URL: "https://contoso.crm.dynamics.com", Default: true,
				Auth: dynamics.Auth{Kind: dynamics.AuthClientCredentials, Tenant: "contoso.com", ClientID: "app", ClientSecret: dynamics.Secret{Env: "CONTOSO_SECRET"}},
				Entities: []dynamics.Entity{
					{Name: "incident", Fields: []string{"title", "ticketnumber"}},
					{Name: "lead"},
				},
			},
			{
				Name: "fabrikam", URL: "http://localhost:8080/fabrikam",
				Auth:     dynamics.Auth{Kind: dynamics.AuthStatic, Token: dynamics.Secret{File: "/run/token"}},
				Entities: []dynamics.Entity{{Name: "new_complaint", Fields: []string{"new_name"}}},
			},
		},
		Rules: []rules.Rule{
			{Name: "flights", Active: true, When: `post.sentiment == "negative"`, Link: rules.Link{Instance: "contoso", Entity: "incident", Notes: "Flight trouble"}},
			{Name: "praise", When: `post.sentiment == "positive"`, Link: rules.Link{Instance: "contoso", Entity: "lead"}},
			{Name: "delays", Active: true, When: `post.text contains "late"`, Link: rules.Link{Instance: "contoso", Entity: "incident"}},
		},
	}
}

var edits = map[string]struct {
	edit func(*catalog.Catalog) error
	want func(*catalog.Catalog)
}{
	"an added default instance takes the place of the old default": {
		func(c *catalog.Catalog) error {
			return c.AddInstance(dynamics.Instance{Name: "third", URL: "https://third.crm.dynamics.com", Default: true, Auth: static()})
		},
		func(c *catalog.Catalog) {
			c.Instances[0].Default = false
			c.Instances = append(c.Instances, dynamics.Instance{Name: "third", URL: "https://third.crm.dynamics.com", Default: true, Auth: static()})
		},
	},
	"editing an instance changes its address and how to log in": {
		func(c *catalog.Catalog) error {
			return c.EditInstance("contoso", "https://new.crm.dynamics.com", static())
		},
		func(c *catalog.Catalog) {
			c.Instances[0].URL, c.Instances[0].Auth = "https://new.crm.dynamics.com", static()
		},
	},
	"an instance is disabled": {
		func(c *catalog.Catalog) error { return c.DisableInstance("fabrikam") },
		func(c *catalog.Catalog) { c.Instances[1].Disabled = true },
	},
	"a disabled instance is enabled": {
		func(c *catalog.Catalog) error {
			return errors.Join(c.DisableInstance("fabrikam"), c.EnableInstance("fabrikam"))
		},
		func(*catalog.Catalog) {},
	},
	"the default moves": {
		func(c *catalog.Catalog) error { return c.SetDefault("fabrikam") },
		func(c *catalog.Catalog) { c.Instances[0].Default, c.Instances[1].Default = false, true },
	},
	"an instance is deleted with its entities": {
		func(c *catalog.Catalog) error { return c.DeleteInstance("fabrikam") },
		func(c *catalog.Catalog) { c.Instances = c.Instances[:1] },
	},
	"an entity is added": {
		func(c *catalog.Catalog) error {
			return c.AddEntity("fabrikam", dynamics.Entity{Name: "lead", Fields: []string{"subject"}})
		},
		func(c *catalog.Catalog) {
			c.Instances[1].Entities = append(c.Instances[1].Entities, dynamics.Entity{Name: "lead", Fields: []string{"subject"}})
		},
	},
	"an entity is removed": {
		func(c *catalog.Catalog) error { return c.RemoveEntity("contoso", "lead") },
		func(c *catalog.Catalog) { c.Instances[0].Entities = c.Instances[0].Entities[:1] },
	},
	"fields are put in order": {
		func(c *catalog.Catalog) error {
			return c.SetFields("contoso", "incident", []string{"ticketnumber", "title", "statuscode"})
		},
		func(c *catalog.Catalog) {
			c.Instances[0].Entities[0].Fields = []string{"ticketnumber", "title", "statuscode"}
		},
	},
	"a rule is activated": {
		func(c *catalog.Catalog) error { return c.ActivateRule("praise") },
		func(c *catalog.Catalog) { c.Rules[1].Active = true },
	},
	"a rule is deactivated": {
		func(c *catalog.Catalog) error { return c.DeactivateRule("flights") },
		func(c *catalog.Catalog) { c.Rules[0].Active = false },
	},
}

func TestEdits(t *testing.T) {
	t.Parallel()
	for name, tc := range edits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, want := sample(), sample()
			if err := tc.edit(got); err != nil {
				t.Fatal(err)
			}
			tc.want(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if _, err := got.Compile(); err != nil {
				t.Errorf("the result does not compile: %v", err)
			}
		})
	}
}

func TestEditsOfWhatIsNotThereSayWhatIs(t *testing.T) {
	t.Parallel()
	noInstance := catalog.NotFoundError{Kind: "instance", Name: "x", Known: []string{"contoso", "fabrikam"}}
	noEntity := catalog.NotFoundError{Kind: "entity", Name: "x", Instance: "contoso", Known: []string{"incident", "lead"}}
	noRule := catalog.NotFoundError{Kind: "rule", Name: "x", Known: []string{"delays", "flights", "praise"}}
	cases := map[string]struct {
		edit func(*catalog.Catalog) error
		want catalog.NotFoundError
		text string
	}{
		"edit an instance":    {func(c *catalog.Catalog) error { return c.EditInstance("x", "", dynamics.Auth{}) }, noInstance, `there is no instance "x"; configured: contoso, fabrikam`},
		"enable an instance":  {func(c *catalog.Catalog) error { return c.EnableInstance("x") }, noInstance, ""},
		"disable an instance": {func(c *catalog.Catalog) error { return c.DisableInstance("x") }, noInstance, ""},
		"choose the default":  {func(c *catalog.Catalog) error { return c.SetDefault("x") }, noInstance, ""},
		"delete an instance":  {func(c *catalog.Catalog) error { return c.DeleteInstance("x") }, noInstance, ""},
		"add an entity":       {func(c *catalog.Catalog) error { return c.AddEntity("x", dynamics.Entity{}) }, noInstance, ""},
		"remove an entity":    {func(c *catalog.Catalog) error { return c.RemoveEntity("contoso", "x") }, noEntity, `instance "contoso" has no entity "x"; configured: incident, lead`},
		"set fields":          {func(c *catalog.Catalog) error { return c.SetFields("contoso", "x", nil) }, noEntity, ""},
		"activate a rule":     {func(c *catalog.Catalog) error { return c.ActivateRule("x") }, noRule, `there is no rule "x"; configured: delays, flights, praise`},
		"deactivate a rule":   {func(c *catalog.Catalog) error { return c.DeactivateRule("x") }, noRule, ""},
		"look up an instance": {func(c *catalog.Catalog) error { _, err := c.Instance("x"); return err }, noInstance, ""},
		"look up an entity":   {func(c *catalog.Catalog) error { _, err := c.Entity("contoso", "x"); return err }, noEntity, ""},
		"look up a rule":      {func(c *catalog.Catalog) error { _, err := c.Rule("x"); return err }, noRule, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sample()
			err := tc.edit(c)
			var got *catalog.NotFoundError
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(tc.want, *got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if tc.text != "" && got.Error() != tc.text {
				t.Errorf("got text %q, want %q", got, tc.text)
			}
			if diff := cmp.Diff(sample(), c); diff != "" {
				t.Errorf("the catalog changed (-want +got)\n%s", diff)
			}
		})
	}
}

func TestTakenNamesAreRefused(t *testing.T) {
	t.Parallel()
	c := sample()
	var exists *catalog.ExistsError
	err := c.AddInstance(dynamics.Instance{Name: "contoso"})
	if want := `there is an instance "contoso" already; edit it or choose another name`; !errors.As(err, &exists) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	err = c.AddEntity("contoso", dynamics.Entity{Name: "lead"})
	if want := `instance "contoso" has entity "lead" already; change its fields instead`; !errors.As(err, &exists) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if diff := cmp.Diff(sample(), c); diff != "" {
		t.Errorf("the catalog changed (-want +got)\n%s", diff)
	}
}

func TestLongListsOfNamesAreCut(t *testing.T) {
	t.Parallel()
	c := &catalog.Catalog{Rules: make([]rules.Rule, 1000)}
	_, err := c.Rule("x")
	if text := err.Error(); !strings.HasSuffix(text, "and 980 more") {
		t.Errorf("got %q", text)
	}
	_, err = new(catalog.Catalog).Rule("x")
	if got, want := err.Error(), `there is no rule "x"; none is configured`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDefaultInstance(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		edit func(*catalog.Catalog)
		want string
	}{
		"the marked one":                           {func(*catalog.Catalog) {}, "contoso"},
		"a disabled one is not preselected":        {func(c *catalog.Catalog) { c.Instances[0].Disabled = true }, ""},
		"none of several":                          {func(c *catalog.Catalog) { c.Instances[0].Default = false }, ""},
		"the only one, marked or not":              {func(c *catalog.Catalog) { c.Instances = c.Instances[1:] }, "fabrikam"},
		"none when there is no instance":           {func(c *catalog.Catalog) { c.Instances = nil }, ""},
		"none when the only instance is disabled":  {func(c *catalog.Catalog) { c.Instances = c.Instances[1:]; c.Instances[0].Disabled = true }, ""},
		"the marked one, whichever stands earlier": {func(c *catalog.Catalog) { slices.Reverse(c.Instances) }, "contoso"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sample()
			tc.edit(c)
			got, ok := c.Default()
			if got.Name != tc.want || ok != (tc.want != "") {
				t.Errorf("got %q, %t, want %q", got.Name, ok, tc.want)
			}
		})
	}
}

func TestUsersAreTheActiveRulesOfAnEntity(t *testing.T) {
	t.Parallel()
	c := sample()
	if diff := cmp.Diff([]string{"delays", "flights"}, c.Users("contoso", "incident")); diff != "" {
		t.Errorf("incident (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"delays", "flights"}, c.Users("contoso", "")); diff != "" {
		t.Errorf("contoso (-want +got)\n%s", diff)
	}
	if got := c.Users("contoso", "lead"); len(got) != 0 {
		t.Errorf("lead is used by %q, though that rule is inactive", got)
	}
}

func TestACloneSharesNothing(t *testing.T) {
	t.Parallel()
	c := sample()
	d := c.Clone()
	d.Instances[0].Entities[0].Fields[0] = "changed"
	d.Instances[0].Entities[1].Name = "changed"
	d.Instances[1].Name = "changed"
	d.Rules[0].Name = "changed"
	if diff := cmp.Diff(sample(), c); diff != "" {
		t.Errorf("the original changed (-want +got)\n%s", diff)
	}
}

func static() dynamics.Auth {
	return dynamics.Auth{Kind: dynamics.AuthStatic, Token: dynamics.Secret{Env: "TOKEN"}}
}
