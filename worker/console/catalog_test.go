package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/worker/console/api"
)

func TestTheCatalogIsAppliedPlannedAndExported(t *testing.T) {
	t.Parallel()
	w := newQuietWorld(t)
	plan := as[api.Plan](w.send(http.MethodPost, api.PathCatalogPlan, plainCatalog).is(200))
	if plan.Revision != nil || len(plan.Changes) != 7 {
		t.Errorf("plan of the first catalog: %+v", plan)
	}
	w.get(api.PathCatalogExport).problem(404, "no-catalog")
	a := w.send(http.MethodPut, api.PathCatalog+"?message=first+try", plainCatalog).is(200)
	plan = as[api.Plan](a)
	if plan.Revision == nil || plan.Revision.Message != "first try" || plan.Revision.Author != "administrator@example.com" {
		t.Errorf("applied: %+v", plan)
	}
	c := w.get(api.PathCatalog).is(200)
	if got := as[api.Catalog](c); got.Instances != 2 || got.Rules != 2 || got.Active != 1 || got.Number != plan.Revision.Number {
		t.Errorf("catalog %+v", got)
	}
	if c.header.Get("ETag") != a.header.Get("ETag") || c.header.Get("ETag") != fmt.Sprintf("%q", fmt.Sprint(plan.Revision.Number)) {
		t.Errorf("ETags %s and %s", c.header.Get("ETag"), a.header.Get("ETag"))
	}
	exported := w.get(api.PathCatalogExport).is(200)
	if exported.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("type %s", exported.header.Get("Content-Type"))
	}
	if again := as[api.Plan](w.do(ask{method: http.MethodPost, path: api.PathCatalogPlan, body: exported.body, header: http.Header{"Content-Type": {"application/yaml"}}})); len(again.Changes) != 0 {
		t.Errorf("what was exported changes %+v", again.Changes)
	}
	asJSON := `{"instances":[{"name":"contoso","url":"https://contoso.crm.dynamics.com","auth":{"kind":"static","token":{"env":"TOKEN"}}}]}`
	plan = as[api.Plan](w.send(http.MethodPost, api.PathCatalogPlan, asJSON).is(200))
	var texts []string
	for _, d := range plan.Changes {
		texts = append(texts, d.Text)
	}
	want := []string{"~ instance contoso: no longer default", "- entity incident of instance contoso", "- entity new_complaint of instance contoso",
		"- instance fabrikam", "- entity lead of instance fabrikam", `- rule "complaints"`, `- rule "sleeping / rule"`}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	w.send(http.MethodPut, api.PathCatalog, "").problem(400, "malformed-request")
	w.send(http.MethodPut, api.PathCatalog+"?dry_run=true", asJSON).problem(422, "invalid-request")
	w.do(ask{method: http.MethodPost, path: api.PathCatalogPlan, body: asJSON, header: http.Header{"If-Match": {`"7000"`}}}).problem(412, "catalog-changed")
}

func TestAChangeForAnOldRevisionIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tag := w.get(api.PathCatalog).header.Get("ETag")
	with := func(tag string) answer {
		return w.do(ask{method: http.MethodPost, path: to(api.PathDefaultInstance, "fabrikam"), header: http.Header{"If-Match": {tag}}})
	}
	next := with(tag).is(200).header.Get("ETag")
	if next == tag {
		t.Error("the ETag stays")
	}
	p := with(tag).problem(412, "catalog-changed")
	if !strings.Contains(p.Detail, "by administrator@example.com") {
		t.Errorf("detail %q", p.Detail)
	}
	with("W/" + next).is(200)
	with("*").is(200)
	with(`"abc"`).problem(412, "catalog-changed")
	with(`"0"`).problem(412, "catalog-changed")
	w.do(ask{method: http.MethodPost, path: api.PathCatalogPlan, body: plainCatalog, header: http.Header{"If-Match": {tag}}}).problem(412, "catalog-changed")
}

func TestOfTwoChangesForOneRevisionOneWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for round := range 20 {
		tag := w.get(api.PathCatalog).header.Get("ETag")
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				a := w.do(ask{
					method: http.MethodPatch, path: to(api.PathInstance, "fabrikam"), header: http.Header{"If-Match": {tag}},
					body: api.InstanceChange{URL: fmt.Sprintf("https://fabrikam-%d-%d.crm.dynamics.com", round, i)},
				})
				switch a.status {
				case http.StatusOK:
					won.Add(1)
				case http.StatusPreconditionFailed:
				default:
					t.Errorf("status %d: %s", a.status, a.body)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("round %d: %d changes won", round, won.Load())
		}
	}
}

func TestRemovingAnEntityAndActivatingItsRuleNeverBothSucceed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 20 {
		w.apply(plainCatalog)
		var removed, activated answer
		var wg sync.WaitGroup
		wg.Go(func() { removed = w.send(http.MethodDelete, to(api.PathEntity, "fabrikam", "lead"), nil) })
		wg.Go(func() { activated = w.send(http.MethodPost, to(api.PathActivateRule, "sleeping / rule"), nil) })
		wg.Wait()
		switch {
		case removed.status == http.StatusNoContent:
			activated.problem(409, "rule-unconfigured")
		case activated.status == http.StatusOK:
			removed.problem(409, "in-use")
		default:
			t.Errorf("both were refused: %s, %s", removed.body, activated.body)
		}
		current, err := w.Catalog.Current(w.ctx)
		must(t, err)
		for _, r := range current.Catalog.Rules {
			if _, err := current.Catalog.Entity(r.Link.Instance, r.Link.Entity); r.Active && err != nil {
				t.Errorf("rule %s leads nowhere", r.Name)
			}
		}
	}
}

func TestALargeCatalogFits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var b strings.Builder
	b.WriteString(plainCatalog)
	for i := range 8000 {
		fmt.Fprintf(&b, "  - name: rule %d\n    when: post.mentions(\"word%d\") && post.country == \"%060d\"\n    link: {instance: contoso, entity: incident}\n", i, i, i)
	}
	if b.Len() < 1<<20 {
		t.Fatalf("%d bytes are not many", b.Len())
	}
	plan := as[api.Plan](w.send(http.MethodPut, api.PathCatalog, b.String()).is(200))
	if len(plan.Changes) != 8000 {
		t.Errorf("%d changes", len(plan.Changes))
	}
	var names int
	for cursor := ""; ; {
		page := as[api.Page[api.Rule]](w.get(api.PathRules + "?limit=500&cursor=" + cursor).is(200))
		names += len(page.Items)
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if names != 8002 {
		t.Errorf("%d rules are listed", names)
	}
}
