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
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/payload"
	"postlink/worker/console/api"
)

// longestWait is how long one request may wait for a link; the API allows no more.
const longestWait = time.Minute

// newCreateLink makes the command that links a post by hand. The exit code with --wait is 1 unless the post is linked in time;
// the link is delivered all the same. The server does the waiting, within the one request, so there is nothing to poll.
//
// Ctrl-C ends the waiting and not the link, and the command cannot know whether the server had the request already. To run it again
// is safe: a post that is linked is refused. The link is printed before the error that it is not delivered, so that a script that
// reads standard output has its id in any case.
func newCreateLink(r *cli.Remote) *cobra.Command {
	var (
		wanted  api.NewLink
		event   string
		wait    bool
		timeout time.Duration
	)
	cmd := r.Answers(&cobra.Command{
		Use: "create POST | --event FILE", Short: "Link a post by hand",
		Long: "Links a post to an instance, as a rule would.\n" + postArgument + "\n" +
			"Or the post itself is in a file, as an event. Without --instance the default one is taken, without --entity the only one.",
		Example: "  postlink links create @17 --entity incident --notes \"asked for a call\" --wait\n" +
			"  postlink links create --event post.json --instance contoso --entity lead",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: r.Complete(ofFirst(postNames)),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			if (len(args) == 1) == (event != "") {
				return cli.Usage("which post? name it, or give it with --event FILE; see %s --help", cmd.CommandPath())
			}
			if timeout < time.Second || timeout > longestWait {
				return cli.Usage("--timeout %s: wait for a time from 1s to %s", timeout, longestWait)
			}
			if event != "" {
				var err error
				if wanted.Event, err = readEvent(cmd.InOrStdin(), event); err != nil {
					return err
				}
			} else {
				wanted.Post = args[0]
			}
			request := api.Request{Method: http.MethodPost, Path: api.PathLinks, Body: wanted}
			if wait {
				request.Query = url.Values{"wait": {strconv.Itoa(int(timeout.Seconds()))}}
			}
			link, _, err := api.Send[api.Link](cmd.Context(), c, request)
			if errors.Is(err, context.Canceled) {
				return errors.New("stopped waiting; the post may be linked all the same, look with: postlink posts list")
			}
			if err != nil {
				return err
			}
			if err := cli.Show(cmd, r.JSON, link, linkFacts(link)...); err != nil {
				return err
			}
			switch {
			case wait && link.State != stateLinked:
				return notLinked(cmd.Context(), c, link, timeout)
			case link.State == stateQueued:
				fmt.Fprintf(cmd.ErrOrStderr(), "the link is on its way; see what became of it with: postlink posts show %s\n", cli.Harmless(postOf(link)))
			}
			return nil
		}),
	})
	cmd.Flags().StringVar(&event, "event", "", "`FILE` with the post, as an event in JSON; - is standard input")
	cmd.Flags().StringVar(&wanted.Instance, "instance", "", "instance `NAME` (default the default one)")
	cmd.Flags().StringVar(&wanted.Entity, "entity", "", "logical `NAME` of the record type (default the only one configured)")
	cmd.Flags().StringVar(&wanted.Notes, "notes", "", fmt.Sprintf("`TEXT` for who works on the record, %d characters at most", payload.MaxNotes))
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the post is linked, or cannot be")
	cmd.Flags().DurationVar(&timeout, "timeout", longestWait, "longest `TIME` to wait; the link is delivered all the same")
	cli.Complete(cmd, "instance", r.Complete(func(ctx context.Context, c *api.Client, _ []string) ([]string, error) { return instanceNames(ctx, c) }))
	cli.Complete(cmd, "entity", r.Complete(func(ctx context.Context, c *api.Client, _ []string) ([]string, error) {
		if wanted.Instance == "" {
			return nil, nil
		}
		return entityNames(ctx, c, []string{wanted.Instance})
	}))
	return cmd
}

// notLinked says why a link that was waited for is not linked, or not yet. For one that is still queued it asks for the state of the
// instance, where the reason usually is: a link knows only of its own attempts, and none is made while the instance is held back.
func notLinked(ctx context.Context, c *api.Client, link api.Link, waited time.Duration) error {
	if link.State != stateQueued {
		return fmt.Errorf("the link of post %s is %s: %s; correct that, then link the post again", postOf(link), link.State, linkReason(link))
	}
	why := linkReason(link)
	if facts := waitingFacts(ctx, c, link); len(facts) > 0 {
		why = strings.TrimPrefix(fmt.Sprintf("%s; instance %s is %s", why, link.Instance, facts[0].Value), "; ")
	}
	if why != "" {
		why = " (" + why + ")"
	}
	return fmt.Errorf("the link of post %s is not delivered after %s%s; the link stays queued and is delivered as soon as it can be, look with: postlink posts show %s",
		postOf(link), waited, why, postOf(link))
}

// readEvent reads a post from a file. It checks only that this is JSON; what a post has to have is for the server to say.
func readEvent(in io.Reader, path string) (json.RawMessage, error) {
	const anEvent = "a file with one post, as an event in JSON, or - for standard input"
	var (
		data []byte
		err  error
	)
	if path == "-" {
		path = "standard input"
		if data, err = io.ReadAll(in); err != nil {
			return nil, fmt.Errorf("read the post from %s: %w", path, err)
		}
	} else if data, err = os.ReadFile(path); err != nil {
		return nil, cli.FileError(path, anEvent, err)
	}
	if !json.Valid(data) {
		return nil, cli.Usage("%s is not one JSON document; write the event as it arrives in the posts stream", path)
	}
	return data, nil
}
