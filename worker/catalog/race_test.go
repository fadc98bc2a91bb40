package catalog_test

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"postlink/dynamics"
	"postlink/rules"
	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
)

// Two administrators, one taking an entity or an instance away, one activating a rule on it, over several catalogs on one
// NATS, each catalog seen through one to five stores: never do both succeed, and never neither.
func TestRemovingAnEntityAndActivatingARuleOnItNeverBothSucceed(t *testing.T) {
	t.Parallel()
	rounds := 120
	if testing.Short() || raceDetector {
		rounds = 30
	}
	server := bustest.Server(t)
	takes := []func(*catalog.Catalog) error{
		func(c *catalog.Catalog) error { return c.RemoveEntity("contoso", "incident") },
		func(c *catalog.Catalog) error { return c.DisableInstance("contoso") },
		func(c *catalog.Catalog) error { return c.DeleteInstance("contoso") },
	}
	for stores := 1; stores <= 5; stores++ {
		t.Run(fmt.Sprintf("%d stores", stores), func(t *testing.T) {
			t.Parallel()
			var ss []*catalog.Store
			for range stores {
				ss = append(ss, open(t, connect(t, bus.Options{Server: server, Namespace: fmt.Sprintf("r%d-", stores)})))
			}
			start := contested()
			var removed, activated int
			for round := range rounds {
				apply(t, ss[round%stores], start)
				took, acted := false, false
				remove := func() error {
					_, _, err := ss[round%stores].Change(t.Context(), anna, takes[round%len(takes)])
					took = err == nil
					return unless[*catalog.InUseError](err)
				}
				activate := func() error {
					_, _, err := ss[(round+1)%stores].Change(t.Context(), anna, func(c *catalog.Catalog) error { return c.ActivateRule("flights") })
					acted = err == nil
					return unless[*catalog.UnconfiguredError](err)
				}
				duel := []func() error{remove, activate}
				var g errgroup.Group
				g.Go(duel[round%2]) // who is started last tends to be first
				g.Go(duel[1-round%2])
				// The others change something else meanwhile, to lose and win races with both.
				for i := 2; i < stores; i++ {
					g.Go(func() error {
						_, _, err := ss[(round+i)%stores].Change(t.Context(), anna, func(c *catalog.Catalog) error {
							return c.SetFields("fabrikam", "lead", []string{fmt.Sprintf("f%d_%d", round, i)})
						})
						return err
					})
				}
				if err := g.Wait(); err != nil {
					t.Fatal(err)
				}
				if took == acted {
					t.Fatalf("round %d: removed %t, activated %t", round, took, acted)
				}
				cur, err := ss[0].Current(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := cur.Catalog.Compile(); err != nil || cur.Catalog.Rules[0].Active != acted {
					t.Fatalf("round %d ended with %+v, %v", round, cur.Catalog, err)
				}
				if took {
					removed++
				} else {
					activated++
				}
			}
			t.Logf("%d times the removal won, %d times the activation", removed, activated)
		})
	}
}

// contested has an inactive rule on the only entity of contoso, and an instance that nobody fights for.
func contested() *catalog.Catalog {
	return &catalog.Catalog{
		Instances: []dynamics.Instance{
			{Name: "contoso", URL: "https://contoso.crm.dynamics.com", Auth: static(), Entities: []dynamics.Entity{{Name: "incident"}}},
			{Name: "fabrikam", URL: "https://fabrikam.crm.dynamics.com", Auth: static(), Entities: []dynamics.Entity{{Name: "lead"}}},
		},
		Rules: []rules.Rule{{Name: "flights", When: "post.isReply", Link: rules.Link{Instance: "contoso", Entity: "incident"}}},
	}
}

// unless returns an error that is not a refusal.
func unless[Refusal error](err error) error {
	if _, refused := errors.AsType[Refusal](err); refused {
		return nil
	}
	return err
}
