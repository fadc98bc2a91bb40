package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/client"
	"postlink/worker/console"
)

func newPosts() *cobra.Command {
	var (
		r          remote
		pages      paging
		link, rule string
	)
	listing := r.answers(pages.register(&cobra.Command{
		Use: "list", Short: "List the posts of the stream, the newest first", Args: cobra.NoArgs,
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			return listPages(cmd, c, r.json, pages, console.PathPosts, url.Values{"link": {link}, "rule": {rule}}, postTable)
		}),
	}))
	listing.Flags().StringVar(&link, "link", "", "only posts that are `STATE`: linked, unlinked, queued or dead")
	listing.Flags().StringVar(&rule, "rule", "", "only posts whose newest link is of the rule `NAME`")
	complete(listing, "rule", r.complete(ruleFlag))
	complete(listing, "link", cobra.FixedCompletions([]string{"linked", "unlinked", "queued", "dead"}, cobra.ShellCompDirectiveNoFileComp))
	return r.noun("posts", "Look at posts and what was decided about them",
		listing,
		r.answers(&cobra.Command{
			Use: "show POST", Short: "Show a post, who decided about it, and the history of its links",
			Long: "Shows a post. " + postArgument,
			Args: cobra.ExactArgs(1), ValidArgsFunction: r.complete(postNames),
			RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
				post, _, err := client.Get[console.PostHistory](cmd.Context(), c, client.Path(console.PathPost, args[0]))
				if err != nil {
					return err
				}
				return show(cmd, r.json, post, postFacts(post)...)
			}),
		}),
	)
}

// postArgument explains the argument POST.
const postArgument = "POST is its place in the stream, as lists show it (@17), its id, or network and id (twitter/17)."

var postTable = table[console.Post]{
	head: []string{"POST", "ID", "ARRIVED", "LINK", "TEXT"},
	row: func(p console.Post) []string {
		return []string{atSequence(p.Sequence), short(postName(p.Network, p.ID)), when(p.ArrivedAt), short(postState(p)), short(postText(p))}
	},
	none: "there are no such posts",
}

func atSequence(sequence uint64) string {
	if sequence == 0 {
		return ""
	}
	return fmt.Sprintf("@%d", sequence)
}

// postState says whether a post is linked, and to which instance.
func postState(p console.Post) string {
	switch {
	case p.Link == nil:
		return "not linked"
	case p.Linked:
		return linkState(*p.Link)
	case p.Link.State == "linked", p.Link.State == "queued":
		return "not linked (its instance was deleted)"
	}
	return "not linked (" + p.Link.State + ")"
}

func postText(p console.Post) string {
	if p.Problem != "" {
		return "(" + p.Problem + ")"
	}
	return strings.TrimSpace(p.Title + " " + p.Text)
}

func postFacts(p console.PostHistory) []fact {
	facts := []fact{
		{"Post", strings.TrimSpace(postName(p.Network, p.ID) + " " + atSequence(p.Sequence))},
		{"Problem", p.Problem},
		{"External id", p.ExternalID},
		{"Type", p.Type},
		{"Arrived", when(p.ArrivedAt)},
		{"Published", when(p.PublishedAt)},
		{"Author", authorText(p.Author)},
		{"URL", p.URL},
		{"Language", p.Language},
		{"Sentiment", p.Sentiment},
		{"Tags", strings.Join(p.Tags, ", ")},
		{"Topics", strings.Join(p.Topics, ", ")},
		{"Title", p.Title},
		{"Text", p.Text},
		{"State", postState(p.Post)},
	}
	if d := p.Decision; d != nil {
		who := cmp.Or(d.By, "postlink")
		if d.Rule != "" {
			who = "rule " + d.Rule
		}
		facts = append(facts, fact{"Decided by", fmt.Sprintf("%s, %s, catalog %.12s", who, when(d.At), d.Catalog)})
	}
	for _, l := range p.Links {
		facts = append(facts, fact{fmt.Sprintf("Link %d", l.Generation), linkHistory(l)})
	}
	return facts
}

func authorText(a *console.Author) string {
	if a == nil {
		return ""
	}
	name := cmp.Or(a.FullName, a.Name, a.ID)
	if a.Handle != "" {
		name += " @" + a.Handle
	}
	return strings.TrimSpace(name)
}

// linkHistory is where a link leads, and a line for each change of its state.
func linkHistory(l console.Link) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s", l.Instance, l.Entity)
	if l.Notes != "" {
		fmt.Fprintf(&text, ", notes: %s", l.Notes)
	}
	for _, s := range l.Steps {
		fmt.Fprintf(&text, "\n%s  %-7s  by %s", when(s.At), s.State, s.By)
		if s.Reason != "" {
			fmt.Fprintf(&text, ": %s", s.Reason)
		}
	}
	return text.String()
}

// postNames completes the first argument with the newest posts.
func postNames(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	if len(args) > 0 {
		return nil, nil
	}
	var names []string
	for page, err := range client.Pages[console.Post](ctx, c, console.PathPosts, nil, 20) {
		if err != nil {
			return nil, err
		}
		for _, p := range page.Items {
			names = append(names, cobra.CompletionWithDesc(atSequence(p.Sequence), short(postText(p))))
		}
	}
	return names, nil
}

// ruleFlag completes a flag with the names of rules, whatever arguments there are.
func ruleFlag(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return ruleNames(ctx, c, nil)
}

// complete lets the shell complete a flag of cmd.
func complete(cmd *cobra.Command, flag string, by cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, by); err != nil {
		panic(err) // the flag was not made above
	}
}
