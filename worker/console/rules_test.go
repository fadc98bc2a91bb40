package console_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/worker/console/api"
)

func TestRulesAreListedNewestFirstWithWhatBecameOfTheirPosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.link(1)
	w.die(2)
	var complaints api.Rule
	w.eventually("the counts", func() bool {
		complaints = as[api.Rule](w.get(to(api.PathRule, "complaints")).is(200))
		return complaints.Counts == api.Counts{Matched: 2, Linked: 1, Dead: 1, Errors: 0}
	})
	if complaints.LastMatch.IsZero() {
		t.Error("no last match")
	}
	complaints.LastMatch, complaints.Counts = api.Rule{}.LastMatch, api.Counts{}
	want := api.Rule{Name: "complaints", Active: true, Condition: `post.sentiment == "negative"`, Instance: "contoso", Entity: "incident", Notes: "call back", Age: 1}
	if diff := cmp.Diff(want, complaints); diff != "" {
		t.Errorf("rule (-want +got):\n%s", diff)
	}
	first := as[api.Page[api.Rule]](w.get(api.PathRules + "?limit=1").is(200))
	second := as[api.Page[api.Rule]](w.get(api.PathRules + "?limit=1&cursor=" + first.NextCursor).is(200))
	if len(first.Items) != 1 || first.Items[0].Name != "sleeping / rule" || len(second.Items) != 1 || second.Items[0].Name != "complaints" || second.NextCursor != "" {
		t.Errorf("pages %+v, %+v", first, second)
	}
	active := as[api.Rule](w.send(http.MethodPost, to(api.PathActivateRule, "sleeping / rule"), nil).is(200))
	if !active.Active {
		t.Errorf("activated: %+v", active)
	}
}
