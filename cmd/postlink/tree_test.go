package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
)

// each calls visit with every command.
func each(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, below := range cmd.Commands() {
		each(below, visit)
	}
}

// The help of every command has examples, and they are true: each names the command, with flags and arguments that it takes.
func TestEveryCommandHasExamplesThatItTakes(t *testing.T) {
	t.Parallel()
	each(newRoot(), func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s: the help has no description, or no example", cmd.CommandPath())
		}
		own := false
		for line := range strings.Lines(strings.ReplaceAll(cmd.Example, "\\\n", " ")) {
			line, _, _ = strings.Cut(line, " #")
			for part := range strings.SplitSeq(line, " && ") {
				part, _, _ = strings.Cut(strings.TrimSpace(part), " > ")
				args := words(part)
				if len(args) == 0 || args[0] != "postlink" {
					continue
				}
				named := takes(t, part, args[1:])
				for c := named; c != nil; c = c.Parent() {
					own = own || c.CommandPath() == cmd.CommandPath()
				}
			}
		}
		if !own && cmd.Name() != "completion" && !strings.HasPrefix(cmd.CommandPath(), "postlink completion ") {
			t.Errorf("%s: no example is of this command:\n%s", cmd.CommandPath(), cmd.Example)
		}
	})
}

// takes parses a command line without running it, and returns its command.
func takes(t *testing.T, line string, args []string) *cobra.Command {
	t.Helper()
	cmd, rest, err := newRoot().Find(args)
	if err != nil {
		t.Errorf("%s: %v", line, err)
		return nil
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%s: %v", line, err)
		return cmd
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil && cmd.Name() != "help" {
		t.Errorf("%s: %v", line, err)
	}
	return cmd
}

// words splits a line as a shell does, as far as examples need it.
func words(line string) []string {
	var (
		all    []string
		word   strings.Builder
		quoted bool
	)
	for _, r := range line + " " {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ' ' && !quoted:
			if word.Len() > 0 {
				all = append(all, word.String())
			}
			word.Reset()
		default:
			word.WriteRune(r)
		}
	}
	return all
}

func TestHelpTextsFitATerminal(t *testing.T) {
	t.Parallel()
	each(newRoot(), func(cmd *cobra.Command) {
		for _, text := range []string{cmd.Short, cmd.Long, cmd.Example} {
			for line := range strings.Lines(text) {
				if w := cli.Width(strings.TrimSuffix(line, "\n")); w > 130 {
					t.Errorf("%s: a line of its help has %d columns: %s", cmd.CommandPath(), w, line)
				}
			}
		}
	})
}

func TestMistakesOnTheCommandLineAreUsageErrorsThatSayWhatWasMeant(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"postlink lnks":                                      "postlink has no command \"lnks\"; did you mean links?; see postlink --help",
		"postlink links crate":                               "postlink links has no command \"crate\"; did you mean create?",
		"postlink links xyzzy":                               "there are: create, list, open, remove, show",
		"postlink posts list --limt 3":                       "did you mean --limit?",
		"postlink posts list --link gone":                    "choose one of linked, unlinked, queued, dead",
		"postlink links list --state linkd":                  "did you mean linked?",
		"postlink dead list --kind letter":                   "choose one of post, link",
		"postlink dead list --since soon":                    "write how long ago, as in 90m or 7d, or a date",
		"postlink posts show":                                "write it as: postlink posts show POST",
		"postlink posts list all":                            "write it as: postlink posts list",
		"postlink token create --role king":                  "choose one of reader, responder, manager, administrator",
		"postlink token create --role reader":                "a token needs --role and --name",
		"postlink demo --log-level loud":                     "choose one of debug, info, warn, error",
		"postlink publish":                                   "write it as: postlink publish FILE",
		"postlink publish x --from 0":                        "lines are counted from 1",
		"postlink publish x --rate -1":                       "give the posts a second",
		"postlink publish nowhere.ndjson":                    "there is no file nowhere.ndjson",
		"postlink links create @1 --timeout 2h":              "wait for a time from 1s to 1m0s",
		"postlink links create":                              "which post?",
		"postlink instances add x":                           "give its address with --url",
		"postlink instances add x --auth-kind key":           "choose one of client_credentials, static",
		"postlink dead redrive":                              "which dead letters?",
		"postlink dead drop first":                           "is not the number of a dead letter",
		"postlink dead drop 1 --rule x":                      "numbers and filters contradict each other",
		"postlink rules list --server nowhere":               "is not a URL",
		"postlink apply . --server http://x --nats nats://y": "two ways to the catalog",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			root := newRoot()
			root.SetArgs(words(line)[1:])
			root.SetOut(io.Discard)
			root.SetErr(io.Discard)
			err := root.ExecuteContext(context.Background())
			if cli.ExitCode(err) != cli.ExitUsage || !strings.Contains(cli.Message(err), want) {
				t.Errorf("%v (code %d), want %q", err, cli.ExitCode(err), want)
			}
		})
	}
}
