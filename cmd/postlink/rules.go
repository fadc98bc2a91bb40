package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/client"
	"postlink/worker/console"
)

func newRules() *cobra.Command {
	var (
		r     remote
		pages paging
	)
	complete := r.complete(ruleNames)
	switchTo := func(use, short, pattern, done string) *cobra.Command {
		return &cobra.Command{
			Use: use + " NAME", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: complete,
			RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
				_, err := c.Do(cmd.Context(), client.Request{Method: http.MethodPost, Path: client.Path(pattern, args[0])})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "rule %s %s\n", args[0], done)
				return err
			}),
		}
	}
	return r.noun("rules", "Look at the rules, switch them on and off",
		r.answers(pages.register(&cobra.Command{
			Use: "list", Short: "List the rules with what became of their posts, the newest first",
			Long: "Lists the rules, the newest first: of several that match a post, the first active one acts. Counts are of the past 7 days.",
			Args: cobra.NoArgs,
			RunE: r.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
				return listPages(cmd, c, r.json, pages, console.PathRules, url.Values{}, ruleTable)
			}),
		})),
		r.answers(&cobra.Command{
			Use: "show NAME", Short: "Show a rule with its condition", Args: cobra.ExactArgs(1), ValidArgsFunction: complete,
			RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
				rule, _, err := client.Get[console.Rule](cmd.Context(), c, client.Path(console.PathRule, args[0]))
				if err != nil {
					return err
				}
				return show(cmd, r.json, rule, ruleFacts(rule)...)
			}),
		}),
		switchTo("activate", "Let a rule act on posts that arrive from now on", console.PathActivateRule, "acts on posts that arrive from now on"),
		switchTo("deactivate", "Stop a rule", console.PathDeactivateRule, "acts no more; its links stay"),
	)
}

var ruleTable = table[console.Rule]{
	head: []string{"NAME", "STATE", "INSTANCE", "ENTITY", "MATCHED", "LINKED", "DEAD", "ERRORS", "LAST MATCH"},
	row: func(r console.Rule) []string {
		n := r.Counts
		return []string{
			r.Name, ruleState(r), r.Instance, r.Entity,
			strconv.Itoa(n.Matched), strconv.Itoa(n.Linked), strconv.Itoa(n.Dead), strconv.Itoa(n.Errors), when(r.LastMatch),
		}
	},
	none: "there are no rules; write some into a catalog and put it in force with: postlink apply DIR",
}

func ruleState(r console.Rule) string {
	if r.Active {
		return "active"
	}
	return "inactive"
}

func ruleFacts(r console.Rule) []fact {
	return []fact{
		{"Name", r.Name},
		{"State", ruleState(r)},
		{"Instance", r.Instance},
		{"Entity", r.Entity},
		{"Notes", r.Notes},
		{"Age", strconv.FormatUint(r.Age, 10)},
		{"Last match", when(r.LastMatch)},
		{"Past 7 days", fmt.Sprintf("%d matched, %d linked, %d dead, %d errors", r.Counts.Matched, r.Counts.Linked, r.Counts.Dead, r.Counts.Errors)},
		{"Condition", r.Condition},
	}
}

// ruleNames completes the first argument.
func ruleNames(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	if len(args) > 0 {
		return nil, nil
	}
	var names []string
	for page, err := range client.Pages[console.Rule](ctx, c, console.PathRules, nil, 1000) {
		if err != nil {
			return nil, err
		}
		for _, r := range page.Items {
			names = append(names, r.Name)
		}
	}
	return names, nil
}
