package main

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/console/api"
)

// postArgument explains the argument POST.
const postArgument = "POST is its place in the stream, as lists show it (@17), its id, or network and id (twitter/17)."

// newPosts makes the commands for posts.
func newPosts() *cobra.Command {
	var (
		r     = newRemote()
		pages cli.Paging
		link  = cli.Choice{Of: []string{"linked", "unlinked", "queued", "dead"}}
		rule  = ruleFilter()
	)
	listing := r.Answers(pages.Register(&cobra.Command{
		Use: "list", Short: "List the posts of the stream, the newest first",
		Example: "  postlink posts list --link unlinked\n  postlink posts list --rule rude-staff --limit 200 --json",
		Args:    cobra.NoArgs,
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, _ []string) error {
			query := url.Values{"link": {link.Value}, "rule": {rule.name}}
			n, err := cli.ListPages(cmd, c, r.JSON, pages, api.PathPosts, query, postTable)
			if err != nil || n > 0 {
				return err
			}
			return firstUnknown(cmd.Context(), c, &rule)
		}),
	}))
	link.Register(listing, "link", "only posts that are `STATE`: linked, unlinked, queued or dead")
	rule.register(listing, r, "only posts whose newest link is of the rule `NAME`")
	return r.Register(cli.Noun("posts", "Look at posts and what was decided about them", "  postlink posts list\n  postlink posts show @17",
		listing,
		r.Answers(&cobra.Command{
			Use: "show POST", Short: "Show a post, who decided about it, and the history of its links",
			Long:    "Shows a post. " + postArgument,
			Example: "  postlink posts show @17\n  postlink posts show twitter/570306133677760513",
			Args:    cobra.ExactArgs(1), ValidArgsFunction: r.Complete(ofFirst(postNames)),
			RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
				post, _, err := api.Get[api.PostHistory](cmd.Context(), c, api.Path(api.PathPost, args[0]))
				if err != nil {
					return err
				}
				facts := postFacts(post)
				if !r.JSON && post.Link != nil && post.Link.State == stateQueued {
					facts = append(facts, waitingFacts(cmd.Context(), c, *post.Link)...)
				}
				return cli.Show(cmd, r.JSON, post, facts...)
			}),
		}),
	))
}

// postTable shows posts by their place in the stream, which other commands take as their name.
var postTable = cli.Table[api.Post]{
	Columns: []cli.Column{
		{Head: "POST"},
		{Head: "ID", Shorten: 10, Drop: 1},
		{Head: "ARRIVED", Drop: 2},
		{Head: "LINK", Shorten: 12},
		{Head: "TEXT", Shorten: 20},
	},
	Row: func(p api.Post) []string {
		return []string{atSequence(p.Sequence), postName(p.Network, p.ID), when(p.ArrivedAt), postState(p), postText(p)}
	},
	None: "there are no such posts",
}

// postState says whether a post is linked, and to which instance. Linked counts and not the state of the link: a link of an instance
// that was deleted is still linked or queued in the ledger, but the post can be linked again.
func postState(p api.Post) string {
	switch {
	case p.Dead && p.Link == nil:
		return "dead"
	case p.Link == nil:
		return "not linked"
	case p.Linked:
		return linkState(*p.Link)
	case p.Link.State == stateLinked, p.Link.State == stateQueued:
		return "not linked (its instance was deleted)"
	}
	return "not linked (" + p.Link.State + ")"
}

// postText is the text of a post, or why it cannot be read.
func postText(p api.Post) string {
	if p.Problem != "" {
		return "(" + p.Problem + ")"
	}
	return strings.TrimSpace(p.Title + " " + p.Text)
}

// postFacts are what is known of a post, from what it says to what was decided about it and why. Unknown parts are left out by Show.
func postFacts(p api.PostHistory) []cli.Fact {
	facts := []cli.Fact{
		{Name: "Post", Value: strings.TrimSpace(postName(p.Network, p.ID) + " " + atSequence(p.Sequence))},
		{Name: "Problem", Value: p.Problem},
		{Name: "External id", Value: p.ExternalID},
		{Name: "Type", Value: p.Type},
		{Name: "Arrived", Value: when(p.ArrivedAt)},
		{Name: "Published", Value: when(p.PublishedAt)},
		{Name: "Author", Value: authorText(p.Author)},
		{Name: "URL", Value: p.URL},
		{Name: "Language", Value: p.Language},
		{Name: "Sentiment", Value: p.Sentiment},
		{Name: "Tags", Value: strings.Join(p.Tags, ", ")},
		{Name: "Topics", Value: strings.Join(p.Topics, ", ")},
		{Name: "Title", Value: p.Title},
		{Name: "Text", Value: p.Text},
		{Name: "State", Value: postState(p.Post)},
		{Name: "Dead", Value: deadText(p.Post)},
	}
	if d := p.Decision; d != nil {
		who := cmp.Or(d.By, "postlink")
		if d.Rule != "" {
			who = "rule " + d.Rule
		}
		facts = append(facts, cli.Fact{Name: "Decided by", Value: fmt.Sprintf("%s, %s, catalog %.12s", who, when(d.At), d.Catalog)})
	}
	for _, l := range p.Links {
		facts = append(facts, cli.Fact{Name: fmt.Sprintf("Link %d", l.Generation), Value: linkHistory(l)})
	}
	return facts
}

// deadText says why a post is dead, and where to look.
func deadText(p api.Post) string {
	if !p.Dead {
		return ""
	}
	text := cmp.Or(p.Reason, "its link was given up")
	if p.DeadLetter > 0 {
		text += fmt.Sprintf("; look with: postlink dead show %d", p.DeadLetter)
	}
	return text
}

// authorText is the best name of an author, with the handle.
func authorText(a *api.Author) string {
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
func linkHistory(l api.Link) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s", l.Instance, l.Entity)
	if l.Notes != "" {
		fmt.Fprintf(&text, ", notes: %s", l.Notes)
	}
	for _, s := range l.Steps {
		fmt.Fprintf(&text, "\n%s  %-7s  by %s", when(s.At), s.State, s.By)
		if s.Reason != "" {
			fmt.Fprintf(&text, ": %s", withCode(s.Code, s.Reason))
		}
	}
	return text.String()
}

// withCode puts the code of a reason before its text, unless the text names it.
func withCode(code, reason string) string {
	if code == "" || strings.Contains(reason, code) {
		return reason
	}
	return strings.TrimSpace(code + " " + reason)
}
