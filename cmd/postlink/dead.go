package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/client"
	"postlink/worker/console"
)

func newDead() *cobra.Command {
	var (
		r     remote
		pages paging
		kind  string
		sure  confirmation
	)
	listing := r.answers(pages.register(&cobra.Command{
		Use: "list", Short: "List posts and links that a person has to look at, the newest first", Args: cobra.NoArgs,
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			return listPages(cmd, c, r.json, pages, console.PathDead, url.Values{"kind": {kind}}, deadTable)
		}),
	}))
	listing.Flags().StringVar(&kind, "kind", "", "only dead letters of `KIND` post or link")
	complete(listing, "kind", cobra.FixedCompletions([]string{"post", "link"}, cobra.ShellCompDirectiveNoFileComp))
	return r.noun("dead", "Look after dead letters: posts and links that a person has to look at",
		listing,
		r.answers(&cobra.Command{
			Use: "show N", Short: "Show a dead letter with the post that it holds", Args: cobra.ExactArgs(1), ValidArgsFunction: r.complete(letterNumbers),
			RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
				if err := numbers(args); err != nil {
					return err
				}
				d, _, err := client.Get[console.DeadLetterContent](cmd.Context(), c, client.Path(console.PathDeadLetter, args[0]))
				if err != nil {
					return err
				}
				return show(cmd, r.json, d, deadFacts(d)...)
			}),
		}),
		&cobra.Command{
			Use: "redrive N...", Short: "Send dead letters on their way again", Args: cobra.MinimumNArgs(1), ValidArgsFunction: r.complete(letterNumbers),
			Long: "Sends dead letters on their way again: a post into the stream, a link to its instance. Correct the reason first.",
			RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
				return each(args, func(n string) error {
					sent, _, err := client.Send[console.Redriven](cmd.Context(), c, client.Request{Method: http.MethodPost, Path: client.Path(console.PathRedriveLetter, n)})
					if err != nil {
						return err
					}
					what := "its post is in the stream again"
					if sent.Link != nil {
						what = "post " + postOf(*sent.Link) + " is " + linkState(*sent.Link)
					}
					_, err = fmt.Fprintf(cmd.ErrOrStderr(), "dead letter %s: %s\n", n, harmless(what))
					return err
				})
			}),
		},
		sure.register(&cobra.Command{
			Use: "drop N...", Short: "Delete dead letters for good", Args: cobra.MinimumNArgs(1), ValidArgsFunction: r.complete(letterNumbers),
			RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
				if err := numbers(args); err != nil {
					return err
				}
				if err := sure.ask(cmd, fmt.Sprintf("Delete for good, with the posts they hold: dead letters %s?", strings.Join(args, ", "))); err != nil {
					return err
				}
				return each(args, func(n string) error {
					if _, err := c.Do(cmd.Context(), client.Request{Method: http.MethodDelete, Path: client.Path(console.PathDeadLetter, n)}); err != nil {
						return err
					}
					_, err := fmt.Fprintf(cmd.ErrOrStderr(), "dead letter %s is deleted\n", n)
					return err
				})
			}),
		}),
	)
}

var deadTable = table[console.DeadLetter]{
	head: []string{"N", "KIND", "AT", "INSTANCE", "POST", "REASON"},
	row: func(d console.DeadLetter) []string {
		return []string{strconv.FormatUint(d.Sequence, 10), d.Kind, when(d.At), d.Instance, short(postName(d.Network, d.PostID)), short(d.Reason)}
	},
	none: "there are no dead letters",
}

func deadFacts(d console.DeadLetterContent) []fact {
	cut := ""
	if d.Cut {
		cut = "the post was too large to be kept whole, and cannot be sent again"
	}
	return []fact{
		{"Dead letter", strconv.FormatUint(d.Sequence, 10)},
		{"Kind", d.Kind},
		{"At", when(d.At)},
		{"Instance", d.Instance},
		{"Post", postName(d.Network, d.PostID)},
		{"Reason", d.Reason},
		{"Cut", cut},
		{"Event", cmp.Or(d.Event, "(empty)")},
	}
}

// numbers checks that arguments are numbers of dead letters.
func numbers(args []string) error {
	for _, a := range args {
		if n, err := strconv.ParseUint(a, 10, 64); err != nil || n == 0 {
			return usageError(fmt.Errorf("%q is not the number of a dead letter; see them with: postlink dead list", a))
		}
	}
	return nil
}

// each does the same with every dead letter, and goes on after one that is refused.
func each(args []string, do func(n string) error) error {
	if err := numbers(args); err != nil {
		return err
	}
	var refused []error
	for _, n := range args {
		err := do(n)
		var problem *console.Problem
		if err != nil && !errors.As(err, &problem) {
			return err // none of the others would fare better
		}
		if err != nil {
			refused = append(refused, fmt.Errorf("dead letter %s: %w", n, err))
		}
	}
	return errors.Join(refused...)
}

// letterNumbers completes with the newest dead letters.
func letterNumbers(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	var offered []string
	for page, err := range client.Pages[console.DeadLetter](ctx, c, console.PathDead, nil, 20) {
		if err != nil {
			return nil, err
		}
		for _, d := range page.Items {
			offered = append(offered, cobra.CompletionWithDesc(strconv.FormatUint(d.Sequence, 10), short(d.Reason)))
		}
	}
	return offered, nil
}
