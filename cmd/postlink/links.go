package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/client"
	"postlink/worker/console"
)

// States of a link.
const (
	stateQueued = "queued"
	stateLinked = "linked"
)

func newLinks() *cobra.Command {
	var (
		r                     remote
		pages                 paging
		state, instance, rule string
	)
	listing := r.answers(pages.register(&cobra.Command{
		Use: "list", Short: "List the newest link of each post, the last changed first", Args: cobra.NoArgs,
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			query := url.Values{"state": {state}, "instance": {instance}, "rule": {rule}}
			return listPages(cmd, c, r.json, pages, console.PathLinks, query, linkTable)
		}),
	}))
	listing.Flags().StringVar(&state, "state", "", "only links that are `STATE`: queued, linked, dead, removed or broken")
	listing.Flags().StringVar(&instance, "instance", "", "only links of the instance `NAME`")
	listing.Flags().StringVar(&rule, "rule", "", "only links of the rule `NAME`")
	complete(listing, "state", cobra.FixedCompletions([]string{"queued", "linked", "dead", "removed", "broken"}, cobra.ShellCompDirectiveNoFileComp))
	complete(listing, "instance", r.complete(instanceFlag))
	complete(listing, "rule", r.complete(ruleFlag))
	return r.noun("links", "Link posts to Dynamics 365 by hand, look at their records, remove links",
		listing, newCreateLink(&r),
		r.answers(&cobra.Command{
			Use: "show POST", Short: "Show the present values of the record of a post's link",
			Long: "Reads the record from Dynamics and shows the fields that are configured for its entity, in their order. " + postArgument,
			Args: cobra.ExactArgs(1), ValidArgsFunction: r.complete(postNames),
			RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
				details, _, err := client.Get[console.LinkDetails](cmd.Context(), c, client.Path(console.PathPostLink, args[0]))
				if err != nil {
					return err
				}
				if details.Comment != "" && !r.json {
					fmt.Fprintln(cmd.ErrOrStderr(), harmless(details.Comment))
				}
				return show(cmd, r.json, details, detailFacts(details)...)
			}),
		}),
		newOpenLink(&r), newRemoveLink(&r),
	)
}

var linkTable = table[console.Link]{
	head: []string{"POST", "STATE", "INSTANCE", "ENTITY", "RULE", "CHANGED", "REASON"},
	row: func(l console.Link) []string {
		instance := l.Instance
		if l.Gone {
			instance += " (deleted)"
		}
		return []string{short(postOf(l)), l.State, instance, l.Entity, l.Rule, when(l.ChangedAt), short(linkReason(l))}
	},
	none: "there are no such links",
}

// linkState says what a link's state is and where it leads.
func linkState(l console.Link) string { return l.State + " " + l.Instance }

// linkReason says why a link is where it is.
func linkReason(l console.Link) string {
	if l.State == stateQueued {
		return l.LastError
	}
	return l.Reason
}

func linkFacts(l console.Link) []fact {
	record := ""
	if l.Record != nil {
		record = l.Record.Entity + " " + l.Record.ID
	}
	return []fact{
		{"Post", postOf(l)},
		{"State", l.State},
		{"Instance", l.Instance},
		{"Entity", l.Entity},
		{"Rule", l.Rule},
		{"Notes", l.Notes},
		{"Activity", l.ID},
		{"Record", record},
		{"Reason", linkReason(l)},
	}
}

func detailFacts(d console.LinkDetails) []fact {
	facts := []fact{{"Post", postOf(d.Link)}, {"Instance", d.Link.Instance}, {"Record", d.Label + " (" + d.Record.Entity + ")"}, {"URL", d.URL}}
	for _, f := range d.Fields {
		value := f.Value
		switch {
		case f.Missing:
			value = "(there is no such field, or it cannot be read)"
		case value == "":
			value = "-"
		}
		facts = append(facts, fact{f.Label, value})
	}
	return facts
}

func newCreateLink(r *remote) *cobra.Command {
	var (
		wanted console.NewLink
		event  string
		wait   bool
		most   time.Duration
	)
	cmd := r.answers(&cobra.Command{
		Use: "create POST | --event FILE", Short: "Link a post by hand",
		Long: "Links a post to an instance, as a rule would. " + postArgument + "\n" +
			"Or the post itself is in a file, as an event. Without --instance the default one is taken, without --entity the only one.",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: r.complete(postNames),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if (len(args) == 1) == (event != "") {
				return usageError(fmt.Errorf("which post? name it, or give it with --event FILE; see %s --help", cmd.CommandPath()))
			}
			if event != "" {
				var err error
				if wanted.Event, err = readEvent(cmd.InOrStdin(), event); err != nil {
					return err
				}
			} else {
				wanted.Post = args[0]
			}
			link, _, err := client.Send[console.Link](cmd.Context(), c, client.Request{Method: http.MethodPost, Path: console.PathLinks, Body: wanted})
			if err != nil {
				return err
			}
			if wait {
				var failed error
				link, failed = await(cmd.Context(), c, link, most, func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), harmless(text)) })
				if err := show(cmd, r.json, link, linkFacts(link)...); err != nil {
					return err
				}
				return failed
			}
			if err := show(cmd, r.json, link, linkFacts(link)...); err != nil {
				return err
			}
			if link.State == stateQueued {
				fmt.Fprintf(cmd.ErrOrStderr(), "the link is on its way; see what became of it with: postlink posts show %s\n", harmless(postOf(link)))
			}
			return nil
		}),
	})
	cmd.Flags().StringVar(&event, "event", "", "`FILE` with the post, as an event in JSON; - is standard input")
	cmd.Flags().StringVar(&wanted.Instance, "instance", "", "instance `NAME` (default the default one)")
	cmd.Flags().StringVar(&wanted.Entity, "entity", "", "logical `NAME` of the record type (default the only one configured)")
	cmd.Flags().StringVar(&wanted.Notes, "notes", "", "`TEXT` for who works on the record, 250 characters at most")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the post is linked, or cannot be")
	cmd.Flags().DurationVar(&most, "timeout", 2*time.Minute, "longest `TIME` to wait; the link is delivered all the same")
	complete(cmd, "instance", r.complete(instanceFlag))
	complete(cmd, "entity", r.complete(func(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
		if wanted.Instance == "" {
			return nil, nil
		}
		return entityNames(ctx, c, []string{wanted.Instance})
	}))
	return cmd
}

// readEvent reads a post from a file.
func readEvent(in io.Reader, path string) (json.RawMessage, error) {
	var (
		data []byte
		err  error
	)
	if path == "-" {
		path = "standard input"
		data, err = io.ReadAll(in)
	} else {
		data, err = os.ReadFile(path)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the post: %w; name a file with one event with --event", err)
	case !json.Valid(data):
		return nil, fmt.Errorf("read the post: %s is not one JSON document; write the event as it arrives in the posts stream", path)
	}
	return data, nil
}

// errWaited is why nobody waits for a link any longer.
var errWaited = errors.New("the time to wait is over")

// await waits until a link is settled, and says each change. The error says why it is not linked, or not yet.
func await(ctx context.Context, c *client.Client, link console.Link, most time.Duration, tell func(string)) (console.Link, error) {
	const pause = 250 * time.Millisecond
	bound, cancel := context.WithTimeoutCause(ctx, most, errWaited)
	defer cancel()
	look := time.NewTicker(pause)
	defer look.Stop()
	told := ""
	for {
		if now := progress(link); now != told {
			tell(now)
			told = now
		}
		switch link.State {
		case stateLinked:
			return link, nil
		case stateQueued:
		default:
			return link, fmt.Errorf("the link of post %s is %s: %s; correct that, then link the post again", postOf(link), link.State, linkReason(link))
		}
		next, err := nextState(bound, c, link, look.C)
		if bound.Err() != nil {
			err = context.Cause(bound)
		}
		if ctx.Err() != nil {
			err = errors.New("you stopped waiting")
		}
		if err != nil {
			return link, fmt.Errorf("%w; the link stays queued and is delivered as soon as it can be, look with: postlink posts show %s", err, postOf(link))
		}
		link = next
	}
}

func progress(link console.Link) string {
	text := linkState(link) + " " + link.Entity
	if link.State == stateQueued && link.Attempts > 0 {
		text += fmt.Sprintf(", attempt %d: %s", link.Attempts, link.LastError)
	}
	return text
}

// nextState reads a queued link again at the next look; the error says why there is no use in waiting.
func nextState(ctx context.Context, c *client.Client, link console.Link, look <-chan time.Time) (console.Link, error) {
	in, _, err := client.Get[console.Instance](ctx, c, client.Path(console.PathInstance, link.Instance))
	if err != nil {
		return link, err
	}
	if in.Parked != "" {
		return link, fmt.Errorf("instance %s is parked: %s", in.Name, in.Parked)
	}
	select {
	case <-ctx.Done():
		return link, ctx.Err()
	case <-look:
	}
	return linkNow(ctx, c, link)
}

// linkNow reads a link again.
func linkNow(ctx context.Context, c *client.Client, link console.Link) (console.Link, error) {
	post, _, err := client.Get[console.PostHistory](ctx, c, client.Path(console.PathPost, link.Post))
	if err != nil {
		return link, err
	}
	for _, l := range post.Links {
		if l.ID == link.ID {
			return l, nil
		}
	}
	return link, errors.New("the link is not among those of its post")
}

func newOpenLink(r *remote) *cobra.Command {
	var browser bool
	cmd := r.answers(&cobra.Command{
		Use: "open POST", Short: "Print where the record of a post's link is opened",
		Long: "Prints the URL of the record in Dynamics. " + postArgument,
		Args: cobra.ExactArgs(1), ValidArgsFunction: r.complete(postNames),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			link, _, err := client.Get[console.LinkURL](cmd.Context(), c, client.Path(console.PathLinkURL, args[0]))
			if err != nil {
				return err
			}
			if r.json {
				err = show(cmd, true, link)
			} else {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), harmless(link.URL))
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

// browse opens a URL in the person's browser.
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

func newRemoveLink(r *remote) *cobra.Command {
	var sure confirmation
	return sure.register(&cobra.Command{
		Use: "remove POST", Short: "Remove the link of a post, for good; Dynamics is not touched",
		Long: "Removes the link of a post with its notes. The post can then be linked again, but never to the same record. " + postArgument,
		Args: cobra.ExactArgs(1), ValidArgsFunction: r.complete(postNames),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if !sure.yes {
				post, _, err := client.Get[console.PostHistory](cmd.Context(), c, client.Path(console.PathPost, args[0]))
				if err != nil {
					return err
				}
				if l := post.Link; post.Linked && l != nil {
					question := fmt.Sprintf("Remove the link of post %s to %s of instance %s, with its notes, for good? The record in Dynamics stays.", postOf(*l), l.Entity, l.Instance)
					if err := sure.ask(cmd, question); err != nil {
						return err
					}
				}
			}
			link, _, err := client.Send[console.Link](cmd.Context(), c, client.Request{Method: http.MethodDelete, Path: client.Path(console.PathPostLink, args[0])})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "the link of post %s to %s of instance %s is removed; the post can be linked again\n",
				harmless(postOf(link)), link.Entity, strings.TrimSpace(link.Instance))
			return err
		}),
	})
}

// instanceFlag completes a flag with the names of instances, whatever arguments there are.
func instanceFlag(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return instanceNames(ctx, c, nil)
}
