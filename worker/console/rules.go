package console

import (
	"context"
	"net/http"
	"slices"

	"postlink/rules"
	"postlink/worker/catalog"
)

func (a *api) rules() {
	register(a, operation{
		id: "list-rules", method: http.MethodGet, path: PathRules, role: Reader,
		summary: "List the rules, the newest first: of several that match a post, the first active one acts",
	}, func(ctx context.Context, _ caller, in *struct{ Paging }) (*tagged[Page[Rule]], error) {
		revision, err := a.current(ctx)
		if err != nil {
			return nil, err
		}
		var shown []Rule
		var next uint64
		oldestFirst := revision.Catalog.Rules
		for _, r := range slices.Backward(oldestFirst) {

			if in.Cursor != 0 && r.Age >= in.Cursor {
				continue
			}
			if len(shown) == in.Limit {
				next = shown[len(shown)-1].Age
				break
			}
			shown = append(shown, a.rule(r))
		}
		return &tagged[Page[Rule]]{etag(revision.Number), listed(shown, next).Body}, nil
	})
	register(a, operation{
		id: "show-rule", method: http.MethodGet, path: PathRule, role: Reader,
		summary: "Show a rule with what became of the posts that it took",
	}, func(ctx context.Context, _ caller, in *RuleName) (*tagged[Rule], error) {
		revision, err := a.current(ctx)
		if err != nil {
			return nil, err
		}
		return a.ruleOf(revision, in.Rule)
	})
	for _, s := range []struct {
		id, path, message, summary string
		edit                       func(c *catalog.Catalog, rule string) error
	}{
		{"activate-rule", PathActivateRule, "activate", "Let a rule act on posts that arrive from now on", (*catalog.Catalog).ActivateRule},
		{"deactivate-rule", PathDeactivateRule, "deactivate", "Stop a rule", (*catalog.Catalog).DeactivateRule},
	} {
		register(a, operation{
			id: s.id, method: http.MethodPost, path: s.path, role: Administrator, change: true, summary: s.summary,
		}, func(ctx context.Context, by caller, in *struct {
			RuleName
			Precondition
		}) (*tagged[Rule], error) {
			commit, err := a.commit(ctx, by, in.Precondition, s.message+" rule "+in.Rule)
			if err != nil {
				return nil, err
			}
			revision, _, err := a.opts.Catalog.Change(ctx, commit, func(c *catalog.Catalog) error { return s.edit(c, in.Rule) })
			if err != nil {
				return nil, err
			}
			return a.ruleOf(revision, in.Rule)
		})
	}
}

func (a *api) rule(r rules.Rule) Rule {
	return showRule(r, a.opts.Journal.Rule(r.Name))
}

func (a *api) ruleOf(revision *catalog.Revision, name string) (*tagged[Rule], error) {
	r, err := revision.Catalog.Rule(name)
	if err != nil {
		return nil, err
	}
	return &tagged[Rule]{etag(revision.Number), a.rule(r)}, nil
}
