package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/console/api"
)

// newRules makes the commands for rules. Rules are written in files; here they are only shown and switched.
func newRules() *cobra.Command {
	var (
		r     = newRemote()
		pages cli.Paging
	)
	return r.Register(cli.Noun("rules", "Look at the rules, switch them on and off", "  postlink rules list\n  postlink rules deactivate rude-staff",
		r.Answers(pages.Register(&cobra.Command{
			Use: "list", Short: "List the rules with what became of their posts, the newest first",
			Long:    "Lists the rules, the newest first: of several that match a post, the first active one acts. Counts are of the past 7 days.",
			Example: "  postlink rules list\n  postlink rules list --all --json",
			Args:    cobra.NoArgs,
			RunE: r.Run(func(cmd *cobra.Command, c *api.Client, _ []string) error {
				_, err := cli.ListPages(cmd, c, r.JSON, pages, api.PathRules, url.Values{}, ruleTable)
				return err
			}),
		})),
		r.Answers(&cobra.Command{
			Use: "show NAME", Short: "Show a rule with its condition", Example: "  postlink rules show rude-staff",
			Args: cobra.ExactArgs(1), ValidArgsFunction: r.Complete(ofFirst(ruleNames)),
			RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
				rule, _, err := api.Get[api.Rule](cmd.Context(), c, api.Path(api.PathRule, args[0]))
				if err != nil {
					return err
				}
				return cli.Show(cmd, r.JSON, rule, ruleFacts(rule)...)
			}),
		}),
		switchOver(r, "activate", "Let rules act on posts that arrive from now on", "rule", api.PathActivateRule,
			"acts on posts that arrive from now on", "rude-staff lost-luggage", ofEach(ruleNames)),
		switchOver(r, "deactivate", "Stop rules", "rule", api.PathDeactivateRule,
			"acts no more; its links stay", "rude-staff lost-luggage", ofEach(ruleNames)),
	))
}

// switchOver makes a command that changes the state of each thing that it is given by name, with one request each. There is no
// question and no If-Match: the change can be taken back, and is the same whatever the state was. One that is in the state already
// is no error.
func switchOver(r *cli.Remote, use, short, what, pattern, done, example string, names cli.NamesFunc) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME...", Short: short, Example: "  postlink " + what + "s " + use + " " + example,
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: r.Complete(names),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			return r.Each(cmd, c, nil, args, func(name string) error {
				if _, err := c.Do(cmd.Context(), api.Request{Method: http.MethodPost, Path: api.Path(pattern, name)}); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s %s %s\n", what, name, done)
				return err
			})
		}),
	}
}

// ruleTable shows the rules with their counts of the past 7 days.
var ruleTable = cli.Table[api.Rule]{
	Columns: []cli.Column{
		{Head: "NAME"},
		{Head: "STATE"},
		{Head: "INSTANCE", Shorten: 8, Drop: 4},
		{Head: "ENTITY", Shorten: 8, Drop: 3},
		{Head: "MATCHED"},
		{Head: "LINKED"},
		{Head: "DEAD"},
		{Head: "ERRORS", Drop: 2},
		{Head: "LAST MATCH", Drop: 1},
	},
	Row: func(r api.Rule) []string {
		n := r.Counts
		return []string{
			r.Name, ruleState(r), r.Instance, r.Entity,
			strconv.Itoa(n.Matched), strconv.Itoa(n.Linked), strconv.Itoa(n.Dead), strconv.Itoa(n.Errors), when(r.LastMatch),
		}
	},
	None: "there are no rules; write some into a catalog and put it in force with: postlink apply DIR",
}

// ruleState is active or inactive.
func ruleState(r api.Rule) string {
	if r.Active {
		return "active"
	}
	return "inactive"
}

// ruleFacts are all parts of a rule, with its condition as it was written. The age is a number that grows with each new rule, and no
// time: of several active rules that match a post, the one with the highest age acts.
func ruleFacts(r api.Rule) []cli.Fact {
	return []cli.Fact{
		{Name: "Name", Value: r.Name},
		{Name: "State", Value: ruleState(r)},
		{Name: "Instance", Value: r.Instance},
		{Name: "Entity", Value: r.Entity},
		{Name: "Notes", Value: r.Notes},
		{Name: "Age", Value: strconv.FormatUint(r.Age, 10)},
		{Name: "Last match", Value: when(r.LastMatch)},
		{Name: "Past 7 days", Value: fmt.Sprintf("%d matched, %d linked, %d dead, %d errors", r.Counts.Matched, r.Counts.Linked, r.Counts.Dead, r.Counts.Errors)},
		{Name: "Condition", Value: r.Condition},
	}
}
