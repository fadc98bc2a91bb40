// Command postlink turns social posts into Dynamics 365 records, by rules. See the README.
//
// serve and demo run a worker with its console (internal/app). Most other commands are clients: they ask the API of a running
// postlink, with the caller's token, so that roles and the audit log hold for them too. publish, and apply with --nats, speak to
// NATS itself. check, token, sandbox and version need no server.
//
// Data goes to standard output, all else to standard error. Before something is lost a command asks; --yes answers. cli.ExitCode
// gives each error its exit code.
//
// Each command has a function that makes it, in a file of its own or in that of its noun. What several commands share is in names.go
// and words.go when it depends on the resources of the API, else in internal/cli. A command that changes one thing by its
// name sends the change without looking first, since the server checks it anyway. One that asks a question, or that computes the
// change from what it read, sends along the ETag of what it read: then If-Match refuses the change if the catalog is another one.
//
// Ctrl-C ends the context of the command. serve, demo and sandbox stop in good order then and end with 0; other commands end with 1
// and say that they were stopped. What the server was asked for before that is done all the same.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:]))
}

// run executes one command line and returns its exit code. It is the one place that prints an error, on standard error and after the
// name of the program.
func run(ctx context.Context, args []string) int {
	cmd := newRoot()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) { // a command that has more to say says it itself
		err = errors.New("stopped")
	}
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, "postlink:", cli.Message(err))
	}
	return cli.ExitCode(err)
}

// newRoot makes the whole tree of commands. Each command has a function new... in the file of its noun. Flags are variables of that
// function, so each call makes a tree that shares nothing with another.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "postlink",
		Short: "Turns social posts into Dynamics 365 records, by rules",
		Long: "postlink watches a stream of social posts, matches them against rules, and turns every match into a social activity\n" +
			"in the right Dynamics 365 instance: once, whatever breaks on the way.",
		Example: "  postlink demo                                         # see it work, on this machine alone\n" +
			"  postlink check catalog && postlink apply catalog      # put rules in force\n" +
			"  postlink posts list --link unlinked                   # look at what no rule took",
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cli.OfCommands,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("postlink {{.Version}}\n")
	root.AddCommand(newDemo(), newServe(), newCheck(), newApply(), newExport(), newPublish(), newSandbox(), newHealth(), newToken(), newVersion(),
		newInstances(), newEntities(), newRules(), newPosts(), newLinks(), newDead())
	addGenerated(root)
	cli.Prepare(root)
	return root
}

// addGenerated adds the commands that cobra makes, which come without examples. Cobra itself would add them during Execute, too late
// for cli.Prepare.
func addGenerated(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example = "  postlink help links create"
		case "completion":
			cmd.Example = "  source <(postlink completion bash)"
			for _, shell := range cmd.Commands() {
				shell.Example = "  postlink completion " + shell.Name() + " > postlink." + shell.Name()
			}
		}
	}
}
