package catalog_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postlink/dynamics"
	"postlink/rules"
	"postlink/worker/catalog"
)

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// roundTrip exports a catalog as Load returns it, and loads it again.
func roundTrip(t failer, c *catalog.Catalog) {
	t.Helper()
	var out bytes.Buffer
	if err := c.Export(&out); err != nil {
		t.Fatalf("%v", err)
	}
	again, err := catalog.LoadFS(oneFile(out.String()))
	if err != nil {
		t.Fatalf("load what was exported: %v\n%s", err, &out)
	}
	if diff := cmp.Diff(c, again, ignorePositions); diff != "" {
		t.Fatalf("(-exported +loaded)\n%s\n%s", diff, &out)
	}
}

func TestWhatIsExportedLoadsAsTheSameCatalog(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCatalog(t)
		if _, err := c.Compile(); err != nil {
			t.Fatalf("the drawn catalog is not valid: %v", err)
		}
		roundTrip(t, c)
	})
}

// drawCatalog draws a valid catalog in the order that Load returns.
func drawCatalog(t *rapid.T) *catalog.Catalog {
	text := rapid.StringMatching(`[a-zA-ZäöüΩ漢🙂 :#'"{}\[\],&*!|>%@\\-]{0,20}`)
	logical := rapid.StringMatching(`[a-z][a-z0-9_]{0,5}`)
	c := &catalog.Catalog{}
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,5}`), 1, 4, rapid.ID[string]).Draw(t, "instances")
	slices.Sort(names)
	for i, name := range names {
		in := dynamics.Instance{Name: name, URL: fmt.Sprintf("https://i%d.crm.dynamics.com", i), Disabled: rapid.Bool().Draw(t, "disabled"), Default: i == 0 && rapid.Bool().Draw(t, "default")}
		secret := rapid.SampledFrom([]dynamics.Secret{{Env: "NAME_1"}, {File: "/run/secrets/x y"}, {File: `C:\secret: #1`}}).Draw(t, "secret")
		if rapid.Bool().Draw(t, "static") {
			in.Auth = dynamics.Auth{Kind: dynamics.AuthStatic, Token: secret}
		} else {
			in.Auth = dynamics.Auth{Kind: dynamics.AuthClientCredentials, Tenant: "0123", ClientID: "1e3", ClientSecret: secret,
				Authority: rapid.SampledFrom([]string{"", "https://login.microsoftonline.us"}).Draw(t, "authority")}
		}
		entities := rapid.SliceOfNDistinct(logical, 0, 4, rapid.ID[string]).Draw(t, "entities")
		slices.Sort(entities)
		for _, e := range entities {
			fields := rapid.SliceOfNDistinct(logical, 0, 4, rapid.ID[string]).Draw(t, "fields")
			if len(fields) == 0 {
				fields = nil
			}
			in.Entities = append(in.Entities, dynamics.Entity{Name: e, Fields: fields})
		}
		c.Instances = append(c.Instances, in)
	}
	conditions := []string{"true", "post.isReply", "post.sentiment == \"negative\" &&\n  post.reach > 3\n", "post.text contains 'no: #1'", "  true  "}
	for i, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9~][a-zA-Z0-9 _.:#-]{0,8}[a-z0-9]`), 0, 6, rapid.ID[string]).Draw(t, "rules") {
		in := rapid.SampledFrom(c.Instances).Draw(t, "instance")
		r := rules.Rule{Name: name, Age: uint64(i + 1), When: rapid.SampledFrom(conditions).Draw(t, "when"),
			Link: rules.Link{Instance: in.Name, Entity: "gone", Notes: text.Draw(t, "notes")}}
		if len(in.Entities) > 0 {
			r.Link.Entity = rapid.SampledFrom(in.Entities).Draw(t, "entity").Name
			r.Active = !in.Disabled && rapid.Bool().Draw(t, "active")
		}
		c.Rules = append(c.Rules, r)
	}
	return c
}
