package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/rules/source"
	"postlink/worker/bus"
	"postlink/worker/console/api"
)

// serve answers the requests of a command.
func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

func refuse(w http.ResponseWriter, status int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Problem{Type: api.ProblemType + kind, Status: status, Detail: detail})
}

// run executes a command line of the only command, which asks a server.
func run(t *testing.T, r *cli.Remote, do cli.Ask, args ...string) error {
	t.Helper()
	cmd := r.Register(&cobra.Command{Use: "ask", SilenceErrors: true, SilenceUsage: true, RunE: r.Run(do)})
	cmd.SetArgs(args)
	return cmd.ExecuteContext(t.Context())
}

func TestARefusedNameIsFollowedByTheOneThatWasMeant(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, api.KindRuleUnknown, "there is no rule "+r.URL.Path)
	})
	ask := func(r *cli.Remote) cli.Ask {
		return func(cmd *cobra.Command, c *api.Client, args []string) error {
			return r.Each(cmd, c, nil, args, func(name string) error {
				_, err := c.Do(cmd.Context(), api.Request{Method: http.MethodPost, Path: "/" + name})
				return err
			})
		}
	}
	for name, test := range map[string]struct {
		args []string
		want []string
		not  string
	}{
		"one name":               {[]string{"rude-staf"}, []string{"there is no rule /rude-staf; did you mean rude-staff?"}, ": there"},
		"each of several":        {[]string{"rude-staf", "lugage"}, []string{"rude-staf: there is no rule /rude-staf; did you mean rude-staff?", "lugage: there is no rule /lugage; did you mean luggage?"}, "mean luggage?; did"},
		"a name that is far off": {[]string{"weather"}, []string{"there is no rule /weather"}, "did you mean"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &cli.Remote{Server: server, Names: map[string]cli.NamesFunc{
				api.KindRuleUnknown: func(context.Context, *api.Client, []string) ([]string, error) {
					return []string{"rude-staff", "luggage"}, nil
				},
			}}
			err := run(t, r, ask(r), append(test.args, "--server", server)...)
			if cli.ExitCode(err) != cli.ExitFindings {
				t.Errorf("code %d", cli.ExitCode(err))
			}
			for _, want := range test.want {
				if !strings.Contains(cli.Message(err), want) {
					t.Errorf("%q lacks %q", cli.Message(err), want)
				}
			}
			if strings.Contains(cli.Message(err), test.not) {
				t.Errorf("%q has %q", cli.Message(err), test.not)
			}
		})
	}
}

func TestAServerThatDoesNotAnswerEndsTheWork(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	asked := 0
	r := &cli.Remote{}
	err := run(t, r, func(cmd *cobra.Command, c *api.Client, args []string) error {
		return r.Each(cmd, c, nil, args, func(string) error {
			asked++
			_, err := c.Do(cmd.Context(), api.Request{Method: http.MethodGet, Path: "/"})
			return err
		})
	}, "a", "b", "--server", gone.URL)
	if asked != 1 || cli.ExitCode(err) != cli.ExitUnavailable {
		t.Errorf("asked %d times, code %d: %v", asked, cli.ExitCode(err), err)
	}
}

func TestAnAddressThatIsWrongIsBlamedOnWhereItStands(t *testing.T) {
	t.Parallel()
	never := func(*cobra.Command, *api.Client, []string) error { return errors.New("was asked") }
	if err := run(t, &cli.Remote{Default: "http://127.0.0.1:1"}, never, "--server", "nowhere"); cli.ExitCode(err) != cli.ExitUsage {
		t.Errorf("in a flag: %v", err)
	}
	if err := run(t, &cli.Remote{Default: "nowhere"}, never); cli.ExitCode(err) != cli.ExitConfig {
		t.Errorf("elsewhere: %v", err)
	}
	if err := run(t, &cli.Remote{Default: "http://127.0.0.1:1"}, never, ""); cli.ExitCode(err) != cli.ExitUsage || err.Error() == "was asked" {
		t.Errorf("an empty argument: %v", err)
	}
}

// listOf serves a list of numbers in pages, with cursors.
func listOf(t *testing.T, n int) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		from, limit := 0, 0
		_, _ = fmt.Sscan(r.URL.Query().Get("cursor"), &from)
		_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &limit)
		page := api.Page[int]{Items: []int{}}
		for i := from; i < min(n, from+limit); i++ {
			page.Items = append(page.Items, i)
		}
		if from+limit < n {
			page.NextCursor = fmt.Sprint(from + limit)
		}
		_ = json.NewEncoder(w).Encode(page)
	})
}

func TestAListIsCutWhereItsLimitSaysAndContinuedAtItsCursor(t *testing.T) {
	t.Parallel()
	numbers := cli.Table[int]{Columns: []cli.Column{{Head: "N"}}, Row: func(n int) []string { return []string{fmt.Sprint(n)} }, None: "there are none"}
	for name, test := range map[string]struct {
		of        int
		args      []string
		printed   int
		out, talk string
		code      int
	}{
		"up to the limit":    {9, []string{"--limit", "2"}, 2, "N\n0\n1\n", "there is more; continue with --cursor 2, or list --all\n", 0},
		"from a cursor on":   {9, []string{"--limit", "2", "--cursor", "7"}, 2, "N\n7\n8\n", "", 0},
		"in JSON":            {9, []string{"--limit", "1", "--json"}, 1, "{\n  \"items\": [\n    0\n  ],\n  \"next_cursor\": \"1\"\n}\n", "", 0},
		"an empty list":      {0, nil, 0, "", "there are none\n", 0},
		"no limit below one": {9, []string{"--limit", "0"}, 0, "", "", cli.ExitUsage},
		"all or so many":     {9, []string{"--all", "--limit", "3"}, 0, "", "", cli.ExitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var (
				r     = &cli.Remote{Default: listOf(t, test.of)}
				pages cli.Paging
				n     int
			)
			cmd, out, talk := command()
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			r.Answers(pages.Register(r.Register(cmd)))
			cmd.RunE = r.Run(func(cmd *cobra.Command, c *api.Client, _ []string) (err error) {
				n, err = cli.ListPages(cmd, c, r.JSON, pages, "/numbers", url.Values{"filter": {""}}, numbers)
				return err
			})
			cmd.SetArgs(test.args)
			if err := cmd.ExecuteContext(t.Context()); cli.ExitCode(err) != test.code {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]any{test.printed, test.out, test.talk}, []any{n, out.String(), talk.String()}); diff != "" {
				t.Error(diff)
			}
		})
	}
	cmd, out, _ := command()
	var pages cli.Paging
	r := &cli.Remote{Default: listOf(t, 1234)}
	pages.Register(cmd)
	cmd.RunE = r.Run(func(cmd *cobra.Command, c *api.Client, _ []string) error {
		_, err := cli.ListPages(cmd, c, false, pages, "/numbers", url.Values{}, numbers)
		return err
	})
	cmd.SetArgs([]string{"--all"})
	if err := cmd.ExecuteContext(t.Context()); err != nil || strings.Count(out.String(), "\n") != 1235 {
		t.Errorf("a list of three pages has %d lines: %v", strings.Count(out.String(), "\n"), err)
	}
}

func TestEachErrorHasItsExitCode(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"none":                      {nil, 0},
		"a wrong command line":      {cli.Usage("which?"), 2},
		"a wrong configuration":     {cli.Config("%w", errors.New("bad")), 78},
		"a wrong catalog":           {fmt.Errorf("load: %w", source.Problems{{Message: "bad"}}), 78},
		"one that a server refused": {&api.Problem{Status: 422, Catalog: []api.CatalogProblem{{Message: "bad"}}}, 78},
		"NATS away from the server": {&api.Problem{Status: 503}, 69},
		"a name that others have":   {fmt.Errorf("declare stream X: %w", bus.ErrForeign), 78},
		"subjects that others have": {fmt.Errorf("declare stream X: %w", bus.ErrOverlap), 78},
		"NATS away":                 {fmt.Errorf("connect: %w", bus.ErrUnreachable), 69},
		"no server":                 {fmt.Errorf("%w at x", api.ErrUnreachable), 69},
		"a refusal":                 {&api.Problem{Status: 409}, 1},
		"any other":                 {errors.New("odd"), 1},
		"several":                   {errors.Join(errors.New("odd"), cli.Usage("which?")), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := cli.ExitCode(test.err); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}

func TestAMessageHasAllThatARefusalBringsAlong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"a plain error":  {errors.New("bad\x1b[2J"), "bad [2J"},
		"wrong values":   {&api.Problem{Detail: "no", Errors: []api.InvalidValue{{Location: "body.notes", Message: "too long"}, {Message: "odd"}}}, "no\n  body.notes: too long\n  odd"},
		"rules":          {&api.Problem{Detail: "in use", Rules: []string{"delays"}}, "in use\n  rule delays"},
		"a catalog":      {&api.Problem{Detail: "no", Catalog: []api.CatalogProblem{{File: "a.yaml", Line: 2, Column: 3, Rule: "r", Message: "bad", Snippet: "  | ^"}}}, "no\n  a.yaml:2:3: rule \"r\": bad\n  | ^"},
		"a link":         {&api.Problem{Detail: "no", Link: &api.Link{Network: "twitter", PostID: "1", State: "linked", Instance: "contoso"}}, "no\n  post twitter/1 is linked contoso"},
		"a token":        {&api.Problem{Detail: "no", Status: 401}, "no\n  put the token into POSTLINK_TOKEN"},
		"a failure":      {&api.Problem{Detail: "no", Status: 500, RequestID: "X"}, "no\n  request id X"},
		"several errors": {errors.Join(&api.Problem{Detail: "a", Rules: []string{"x"}}, &api.Problem{Detail: "b", Rules: []string{"y"}}), "a\n  rule x\nb\n  rule y"},
		"two causes":     {fmt.Errorf("connect: %w: %w", bus.ErrUnreachable, errors.New("refused")), "connect: NATS cannot be reached: refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, cli.Message(test.err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCompletionOffersNothingWhereNoServerAnswers(t *testing.T) {
	t.Parallel()
	names := func(ctx context.Context, c *api.Client, _ []string) ([]string, error) {
		_, err := c.Do(ctx, api.Request{Method: http.MethodGet, Path: "/"})
		return []string{"a"}, err
	}
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for server, want := range map[string]int{gone.URL: 0, "nowhere": 0, serve(t, func(http.ResponseWriter, *http.Request) {}): 1} {
		r := &cli.Remote{Default: server}
		if offered, _ := r.Complete(names)(cmd, nil, ""); len(offered) != want {
			t.Errorf("%s: %q", server, offered)
		}
	}
}
