package console

import (
	"context"
	"slices"
	"strings"

	"postlink/rules"
	"postlink/worker/catalog"
	"postlink/worker/console/api"
	"postlink/worker/event"
)

// listRules pages by age, which is unique and stays with a rule while its name does. A catalog that is applied between two pages may
// add rules before the first page, and never repeats one.
func (h *handlers) listRules(ctx context.Context, _ caller, in *Paging) (*tagged[api.Page[api.Rule]], error) {
	below, err := listOfRules.below(in.Cursor)
	if err != nil {
		return nil, err
	}
	revision, err := h.current(ctx)
	if err != nil {
		return nil, err
	}
	var shown []api.Rule
	var next uint64
	for _, r := range slices.Backward(revision.Catalog.Rules) { // which are the oldest first
		if below != 0 && r.Age >= below {
			continue
		}
		if len(shown) == in.Limit {
			next = shown[len(shown)-1].Age
			break
		}
		shown = append(shown, h.rule(r))
	}
	return &tagged[api.Page[api.Rule]]{etag(revision.Number), paged(shown, listOfRules, next)}, nil
}

func (h *handlers) showRule(ctx context.Context, _ caller, in *RuleName) (*tagged[api.Rule], error) {
	revision, err := h.current(ctx)
	if err != nil {
		return nil, err
	}
	return h.ruleOf(revision, in.Rule)
}

// ruleRequest is about a rule of a revision.
type ruleRequest struct {
	RuleName
	Precondition
}

// switching answers operations that switch a rule on or off; what names the change in the history. Switching a rule that is in the
// wanted state already makes no revision. A rule acts on posts that arrive after the commit, by the clock of the NATS server.
func switching(what string, edit func(c *catalog.Catalog, rule string) error,
) func(*handlers, context.Context, caller, *ruleRequest) (*tagged[api.Rule], error) {
	return func(h *handlers, ctx context.Context, by caller, in *ruleRequest) (*tagged[api.Rule], error) {
		commit, err := commitOf(by, in.Precondition, what+" "+in.Rule)
		if err != nil {
			return nil, err
		}
		revision, _, err := h.Catalog.Change(ctx, commit, func(c *catalog.Catalog) error { return edit(c, in.Rule) })
		if err != nil {
			return nil, err
		}
		return h.ruleOf(revision, in.Rule)
	}
}

func (h *handlers) ruleOf(revision *catalog.Revision, name string) (*tagged[api.Rule], error) {
	r, err := revision.Catalog.Rule(name)
	if err != nil {
		return nil, err
	}
	return &tagged[api.Rule]{etag(revision.Number), h.rule(r)}, nil
}

// rule adds the counts that this process made from the events. They are those of the past 7 days, over all workers, and are 0 for a
// moment after a start.
func (h *handlers) rule(r rules.Rule) api.Rule {
	return showRule(r, h.Counts.Rule(r.Name))
}

func showRule(r rules.Rule, c event.Count) api.Rule {
	return api.Rule{
		Name: r.Name, Active: r.Active, Condition: strings.TrimSpace(r.When), Instance: r.Link.Instance, Entity: r.Link.Entity,
		Notes: r.Link.Notes, Age: r.Age, LastMatch: c.LastMatch,
		Counts: api.Counts{Matched: c.Matched, Linked: c.Linked, Dead: c.Dead, Errors: c.Failed},
	}
}
