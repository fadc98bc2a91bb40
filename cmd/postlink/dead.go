package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/console/api"
)

// newDead makes the commands for dead letters. redrive and drop share newLetterWork. Only drop asks for single letters too: what it
// deletes is gone, while a letter that was sent on its way comes back when it fails again.
func newDead() *cobra.Command {
	r := newRemote()
	return r.Register(cli.Noun("dead", "Look after dead letters: posts and links that a person has to look at",
		"  postlink dead list --instance contoso\n  postlink dead redrive --code 0x80044331 --dry-run",
		newListDead(r), newShowDead(r),
		newLetterWork(r, letterWork{
			use: "redrive", short: "Send dead letters on their way again",
			long: "Sends dead letters on their way again: a post into the stream, a link to its instance. Correct the reason first.",
			ask:  "Send %s on their way again?", done: "sent on their way again", do: redrive,
		}),
		newLetterWork(r, letterWork{
			use: "drop", short: "Delete dead letters for good",
			long: "Deletes dead letters for good, with the posts that they hold. A post that is still in the stream stays there.",
			ask:  "Delete %s for good, with the posts that they hold?", done: "deleted", do: drop, destroys: true,
		}),
	))
}

// letterFilters choose dead letters. All that are set have to hold. The server filters, so that lists, counts and bulk work agree.
type letterFilters struct {
	kind           cli.Choice
	instance, rule filter
	code           string
	since          moment
}

// register adds the filters as flags, with completion.
func (f *letterFilters) register(cmd *cobra.Command, r *cli.Remote) {
	f.kind.Of = []string{"post", "link"}
	f.instance, f.rule = instanceFilter(), ruleFilter()
	f.kind.Register(cmd, "kind", "only dead letters of `KIND` post or link")
	f.instance.register(cmd, r, "only links of the instance `NAME`")
	f.rule.register(cmd, r, "only links of the rule `NAME`")
	cmd.Flags().StringVar(&f.code, "code", "", "only those of the error `CODE`, as lists show it")
	cmd.Flags().Var(&f.since, "since", "only those that died since `TIME`: 2h or 7d ago, or a date as in 2026-11-24 or 2026-11-24T10:00:00Z")
}

// given reports whether any filter is set.
func (f *letterFilters) given() bool {
	return f.kind.Value != "" || f.instance.name != "" || f.rule.name != "" || f.code != "" || !f.since.IsZero()
}

// query is the filters as parameters of the API, without those that are not set.
func (f *letterFilters) query() url.Values {
	query := url.Values{"kind": {f.kind.Value}, "instance": {f.instance.name}, "rule": {f.rule.name}, "code": {f.code}}
	for name, values := range query {
		if values[0] == "" {
			query.Del(name)
		}
	}
	if !f.since.IsZero() {
		query.Set("since", f.since.UTC().Format(time.RFC3339Nano))
	}
	return query
}

// moment is a flag for a time in the past: how long ago, or when. It is fixed when the command line is read, so a command that runs
// long chooses the same letters to its end.
type moment struct{ time.Time }

// Type names the value in help texts.
func (m *moment) Type() string { return "time" }

// String is the time; empty for none.
func (m *moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339)
}

// Set reads a time. A date without a zone is one of this machine. 7d goes back by days of the calendar, which may not be 24 hours.
func (m *moment) Set(text string) error {
	now := time.Now()
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			m.Time = now.AddDate(0, 0, -int(n))
			return nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		m.Time = now.Add(-ago)
		return nil
	}
	for _, layout := range []string{time.DateOnly, time.DateTime, "2006-01-02T15:04", time.RFC3339} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			m.Time = at
			return nil
		}
	}
	return fmt.Errorf("write how long ago, as in 90m or 7d, or a date, as in 2026-11-24 or 2026-11-24T10:00:00Z")
}

// newListDead makes the command that lists dead letters. The cause is never cut: code and reason are what people look for.
func newListDead(r *cli.Remote) *cobra.Command {
	var (
		pages   cli.Paging
		filters letterFilters
	)
	cmd := r.Answers(pages.Register(&cobra.Command{
		Use: "list", Short: "List posts and links that a person has to look at, the newest first",
		Example: "  postlink dead list --instance contoso --since 2h\n  postlink dead list --code 0x80044331 --all --json",
		Args:    cobra.NoArgs,
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, _ []string) error {
			n, err := cli.ListPages(cmd, c, r.JSON, pages, api.PathDead, filters.query(), deadTable)
			if err != nil || n > 0 {
				return err
			}
			return firstUnknown(cmd.Context(), c, &filters.instance, &filters.rule)
		}),
	}))
	filters.register(cmd, r)
	return cmd
}

// deadTable shows a dead letter under its number, which show, redrive and drop take.
var deadTable = cli.Table[api.DeadLetter]{
	Columns: []cli.Column{
		{Head: "N"},
		{Head: "KIND", Drop: 1},
		{Head: "AT", Drop: 2},
		{Head: "INSTANCE", Shorten: 8, Drop: 5},
		{Head: "RULE", Shorten: 8, Drop: 3},
		{Head: "POST", Shorten: 10, Drop: 4},
		{Head: "CODE"},
		{Head: "REASON", Cause: true},
	},
	Row: func(d api.DeadLetter) []string {
		post := postName(d.Network, d.PostID)
		if post == "" {
			post = atSequence(d.PostSequence)
		}
		return []string{strconv.FormatUint(d.Sequence, 10), d.Kind, when(d.At), d.Instance, d.Rule, post, d.Code, d.Reason}
	},
	None: "there are no such dead letters",
}

// newShowDead makes the command that shows one dead letter whole, with its post.
func newShowDead(r *cli.Remote) *cobra.Command {
	return r.Answers(&cobra.Command{
		Use: "show N", Short: "Show a dead letter with the post that it holds", Example: "  postlink dead show 3",
		Args: cobra.ExactArgs(1), ValidArgsFunction: r.Complete(ofFirst(letterNumbers)),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			if err := checkNumbers(args); err != nil {
				return err
			}
			d, _, err := api.Get[api.DeadLetterContent](cmd.Context(), c, api.Path(api.PathDeadLetter, args[0]))
			if err != nil {
				return err
			}
			return cli.Show(cmd, r.JSON, d, deadFacts(d)...)
		}),
	})
}

// deadFacts are all parts of a dead letter; Show leaves out the empty ones. Bytes of the post that are no UTF-8 come replaced from
// the API; the letter itself has them, and a redrive sends them.
func deadFacts(d api.DeadLetterContent) []cli.Fact {
	cut, attempts := "", ""
	if d.Cut {
		cut = "the post was too large to be kept whole, and cannot be sent again"
	}
	if d.Attempts > 0 {
		attempts = strconv.Itoa(d.Attempts)
		if !d.FirstFailedAt.IsZero() {
			attempts += ", the first at " + when(d.FirstFailedAt)
		}
	}
	return []cli.Fact{
		{Name: "Dead letter", Value: strconv.FormatUint(d.Sequence, 10)},
		{Name: "Kind", Value: d.Kind},
		{Name: "At", Value: when(d.At)},
		{Name: "Instance", Value: d.Instance},
		{Name: "Entity", Value: d.Entity},
		{Name: "Rule", Value: d.Rule},
		{Name: "Post", Value: strings.TrimSpace(postName(d.Network, d.PostID) + " " + atSequence(d.PostSequence))},
		{Name: "Code", Value: d.Code},
		{Name: "Reason", Value: d.Reason},
		{Name: "Attempts", Value: attempts},
		{Name: "Cut", Value: cut},
		{Name: "Event", Value: cmp.Or(d.Event, "(empty)")},
	}
}

// checkNumbers checks that arguments are numbers of dead letters. It comes before the first request: a mistake in one of several
// numbers leaves all letters as they are.
func checkNumbers(args []string) error {
	for _, a := range args {
		if n, err := strconv.ParseUint(a, 10, 64); err != nil || n == 0 {
			return cli.Usage("%q is not the number of a dead letter; see them with: postlink dead list", a)
		}
	}
	return nil
}

// redrive sends one dead letter on its way again, and says what became of it. The server drops a letter only when it is safely on its
// way, so a redrive can be repeated after an answer that was lost: a letter that is gone is then unknown, and one that is still
// there while its post was linked is refused.
func redrive(ctx context.Context, c *api.Client, n string) (string, error) {
	sent, _, err := api.Send[api.Redriven](ctx, c, api.Request{Method: http.MethodPost, Path: api.Path(api.PathRedriveLetter, n)})
	if err != nil {
		return "", err
	}
	if sent.Link != nil {
		return fmt.Sprintf("dead letter %s: post %s is %s", n, postOf(*sent.Link), linkState(*sent.Link)), nil
	}
	return fmt.Sprintf("dead letter %s: its post is in the stream again", n), nil
}

// drop deletes one dead letter.
func drop(ctx context.Context, c *api.Client, n string) (string, error) {
	_, err := c.Do(ctx, api.Request{Method: http.MethodDelete, Path: api.Path(api.PathDeadLetter, n)})
	return fmt.Sprintf("dead letter %s is deleted", n), err
}
