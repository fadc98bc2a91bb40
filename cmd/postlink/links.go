package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/console/api"
)

// States of a link.
const (
	stateQueued = "queued"
	stateLinked = "linked"
)

// linkStates are the states of a link, as the API names them.
var linkStates = []string{stateQueued, stateLinked, "dead", "removed", "broken"}

// newLinks makes the commands for links.
func newLinks() *cobra.Command {
	var (
		r              = newRemote()
		pages          cli.Paging
		state          = cli.Choice{Of: linkStates}
		instance, rule = instanceFilter(), ruleFilter()
	)
	listing := r.Answers(pages.Register(&cobra.Command{
		Use: "list", Short: "List the newest link of each post, the last changed first",
		Example: "  postlink links list --state queued --instance contoso\n  postlink links list --rule rude-staff --all --json",
		Args:    cobra.NoArgs,
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, _ []string) error {
			query := url.Values{"state": {state.Value}, "instance": {instance.name}, "rule": {rule.name}}
			n, err := cli.ListPages(cmd, c, r.JSON, pages, api.PathLinks, query, linkTable)
			if err != nil || n > 0 {
				return err
			}
			return firstUnknown(cmd.Context(), c, &instance, &rule)
		}),
	}))
	state.Register(listing, "state", "only links that are `STATE`: queued, linked, dead, removed or broken")
	instance.register(listing, r, "only links of the instance `NAME`")
	rule.register(listing, r, "only links of the rule `NAME`")
	return r.Register(cli.Noun("links", "Link posts to Dynamics 365 by hand, look at their records, remove links",
		"  postlink links create @17 --entity incident --wait\n  postlink links show @17",
		listing, newCreateLink(r), newShowLink(r), newOpenLink(r), newRemoveLink(r)))
}

// linkTable shows the newest link of a post, under the name of the post.
var linkTable = cli.Table[api.Link]{
	Columns: []cli.Column{
		{Head: "POST", Shorten: 12},
		{Head: "STATE"},
		{Head: "INSTANCE", Shorten: 8},
		{Head: "ENTITY", Shorten: 8, Drop: 3},
		{Head: "RULE", Shorten: 8, Drop: 2},
		{Head: "CHANGED", Drop: 1},
		{Head: "REASON", Cause: true},
	},
	Row: func(l api.Link) []string {
		instance := l.Instance
		if l.Gone {
			instance += " (deleted)"
		}
		return []string{postOf(l), l.State, instance, l.Entity, l.Rule, when(l.ChangedAt), linkReason(l)}
	},
	None: "there are no such links",
}

// linkState says what a link's state is and where it leads.
func linkState(l api.Link) string { return l.State + " " + l.Instance }

// linkReason says why a link is where it is. A queued link has no reason yet, only the error of its last attempt, if there was one.
func linkReason(l api.Link) string {
	if l.State == stateQueued {
		return withCode(l.Code, l.LastError)
	}
	return withCode(l.Code, l.Reason)
}

// linkFacts are the parts of a link that was just made; its record is shown once there is one.
func linkFacts(l api.Link) []cli.Fact {
	record := ""
	if l.Record != nil {
		record = l.Record.Entity + " " + l.Record.ID
	}
	return []cli.Fact{
		{Name: "Post", Value: postOf(l)},
		{Name: "State", Value: l.State},
		{Name: "Instance", Value: l.Instance},
		{Name: "Entity", Value: l.Entity},
		{Name: "Rule", Value: l.Rule},
		{Name: "Notes", Value: l.Notes},
		{Name: "Activity", Value: l.ID},
		{Name: "Record", Value: record},
		{Name: "Reason", Value: linkReason(l)},
	}
}

// waitingFacts say why a queued link is not delivered yet: the state of its instance. They are empty when that is not known: this
// second request is a help for people, and what it cannot find out must not hide what the command was asked for.
func waitingFacts(ctx context.Context, c *api.Client, link api.Link) []cli.Fact {
	in, _, err := api.Get[api.Instance](ctx, c, api.Path(api.PathInstance, link.Instance))
	if err != nil {
		return nil
	}
	h := healthOf(in, time.Now())
	facts := []cli.Fact{{Name: "Instance state", Value: strings.TrimSuffix(h.state+": "+h.why, ": ")}}
	if in.Waiting > 1 {
		facts = append(facts, cli.Fact{Name: "Waiting there", Value: fmt.Sprintf("%s, the oldest since %s", many(int(in.Waiting), "link"), when(in.Oldest))})
	}
	return facts
}

// newShowLink reads the record from Dynamics at the time of asking. Of a link that is still queued it says why instead.
func newShowLink(r *cli.Remote) *cobra.Command {
	return r.Answers(&cobra.Command{
		Use: "show POST", Short: "Show the present values of the record of a post's link",
		Long:    "Reads the record from Dynamics and shows the fields that are configured for its entity, in their order.\n" + postArgument,
		Example: "  postlink links show @17\n  postlink links show twitter/570306133677760513 --json",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: r.Complete(ofFirst(postNames)),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			details, _, err := api.Get[api.LinkDetails](cmd.Context(), c, api.Path(api.PathPostLink, args[0]))
			if err != nil {
				return whyNotShown(cmd.Context(), c, args[0], err)
			}
			if details.Comment != "" && !r.JSON {
				fmt.Fprintln(cmd.ErrOrStderr(), cli.Harmless(details.Comment))
			}
			return cli.Show(cmd, r.JSON, details, detailFacts(details)...)
		}),
	})
}

// whyNotShown adds the state of the instance to the refusal of a link that is still queued. It takes two more requests, for the link
// and for its instance; when one of them fails, the refusal is returned as it was.
func whyNotShown(ctx context.Context, c *api.Client, post string, err error) error {
	history, _, failed := api.Get[api.PostHistory](ctx, c, api.Path(api.PathPost, post))
	if failed != nil || history.Link == nil || history.Link.State != stateQueued {
		return err
	}
	for _, f := range waitingFacts(ctx, c, *history.Link) {
		err = fmt.Errorf("%w\n  %s: %s", err, strings.ToLower(f.Name), f.Value)
	}
	return err
}

// detailFacts are the fields of a record in their configured order. An empty field is shown as a dash, and one that Dynamics
// lacks says so.
func detailFacts(d api.LinkDetails) []cli.Fact {
	facts := []cli.Fact{
		{Name: "Post", Value: postOf(d.Link)},
		{Name: "Instance", Value: d.Link.Instance},
		{Name: "Record", Value: d.Label + " (" + d.Record.Entity + ")"},
		{Name: "URL", Value: d.URL},
	}
	for _, f := range d.Fields {
		value := f.Value
		switch {
		case f.Missing:
			value = "(there is no such field, or it cannot be read)"
		case value == "":
			value = "-"
		}
		facts = append(facts, cli.Fact{Name: f.Label, Value: value})
	}
	return facts
}

// newOpenLink makes the command that prints the URL of a record. It starts a browser only when asked to.
func newOpenLink(r *cli.Remote) *cobra.Command {
	var browser bool
	cmd := r.Answers(&cobra.Command{
		Use: "open POST", Short: "Print where the record of a post's link is opened",
		Long:    "Prints the URL of the record in Dynamics.\n" + postArgument,
		Example: "  postlink links open @17\n  postlink links open @17 --browser",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: r.Complete(ofFirst(postNames)),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			link, _, err := api.Get[api.LinkURL](cmd.Context(), c, api.Path(api.PathLinkURL, args[0]))
			if err != nil {
				return err
			}
			if r.JSON {
				err = cli.Show(cmd, true, link)
			} else {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), cli.Harmless(link.URL))
			}
			if err != nil || !browser {
				return err
			}
			return browse(cmd.Context(), link.URL)
		}),
	})
	cmd.Flags().BoolVar(&browser, "browser", false, "also open it in the browser")
	return cmd
}

// browse opens a URL in the person's browser. The URL begins with what the catalog has for the instance. Openers of a desktop start
// other programs for other schemes, so only http and https are handed to them, as one argument and without a shell.
func browse(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("the record is at %q, which no browser opens; correct the url of its instance", address)
	}
	opener := []string{"xdg-open"}
	switch runtime.GOOS {
	case "darwin":
		opener = []string{"open"}
	case "windows":
		opener = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	if err := exec.CommandContext(ctx, opener[0], append(opener[1:], u.String())...).Run(); err != nil { //nolint:gosec // checked above
		return fmt.Errorf("open the browser with %s: %w; open the URL above yourself", opener[0], err)
	}
	return nil
}

// newRemoveLink makes the command that removes links, after a question, with one request for each. There is no ETag of a link: when
// somebody changes it between the question and the removal, the server removes what is linked then, or refuses.
func newRemoveLink(r *cli.Remote) *cobra.Command {
	var sure cli.Confirmation
	return sure.Register(&cobra.Command{
		Use: "remove POST...", Short: "Remove the links of posts, for good; Dynamics is not touched",
		Long:    "Removes the link of each post with its notes. The post can then be linked again, but never to the same record.\n" + postArgument,
		Example: "  postlink links remove @17\n  postlink links remove @17 @18 --yes",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: r.Complete(ofEach(postNames)),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			if err := askToRemove(cmd, c, &sure, args); err != nil {
				return err
			}
			return r.Each(cmd, c, nil, args, func(post string) error {
				link, _, err := api.Send[api.Link](cmd.Context(), c, api.Request{Method: http.MethodDelete, Path: api.Path(api.PathPostLink, post)})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "the link of post %s to %s of instance %s is removed; the post can be linked again\n",
					cli.Harmless(postOf(link)), link.Entity, strings.TrimSpace(link.Instance))
				return err
			})
		}),
	})
}

// askToRemove asks about the links that would be removed, once for all of them, after it has read each post. Posts without a link are
// left to the refusal of the server; when no post has one, nobody is asked.
func askToRemove(cmd *cobra.Command, c *api.Client, sure *cli.Confirmation, posts []string) error {
	if sure.Yes {
		return nil
	}
	var leads []string
	for _, name := range posts {
		post, _, err := api.Get[api.PostHistory](cmd.Context(), c, api.Path(api.PathPost, name))
		if err != nil {
			return err
		}
		if l := post.Link; post.Linked && l != nil {
			leads = append(leads, fmt.Sprintf("of post %s to %s of instance %s", postOf(*l), l.Entity, l.Instance))
		}
	}
	switch len(leads) {
	case 0:
		return nil
	case 1:
		return sure.Ask(cmd, fmt.Sprintf("Remove the link %s, with its notes, for good? The record in Dynamics stays.", leads[0]))
	}
	return sure.Ask(cmd, fmt.Sprintf("Remove %s, with their notes, for good? The records in Dynamics stay.\n  %s\n", many(len(leads), "link"), strings.Join(leads, "\n  ")))
}
