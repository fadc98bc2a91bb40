// Command postlink turns social posts into Dynamics 365 records, by rules. See the README.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/client"
	"postlink/rules"
	"postlink/worker/bus"
	"postlink/worker/console"
)

// Exit codes, as sysexits.h numbers the last two.
const (
	exitFine        = 0
	exitFindings    = 1
	exitUsage       = 2
	exitUnavailable = 69
	exitConfig      = 78
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:]))
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string) int {
	cmd := newRoot()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, "postlink:", said(err))
	}
	return exitCode(err)
}

// codedError is an error that knows its exit code.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// exitCode is the one place that says which error ends with which code.
func exitCode(err error) int {
	var (
		coded    *codedError
		problems rules.Problems
		refusal  *console.Problem
	)
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &problems):
		return exitConfig
	case errors.As(err, &refusal):
		return refusedAs(refusal)
	case errors.Is(err, bus.ErrUnreachable), errors.Is(err, client.ErrUnreachable):
		return exitUnavailable
	default:
		return exitFindings
	}
}

func usageError(err error) error { return &codedError{exitUsage, err} }

func configError(err error) error { return &codedError{exitConfig, err} }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "postlink",
		Short: "Turns social posts into Dynamics 365 records, by rules",
		Long: "postlink watches a stream of social posts, matches them against rules, and turns every match into a social activity\n" +
			"in the right Dynamics 365 instance: once, whatever breaks on the way.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
	})
	root.AddCommand(newDemo(), newServe(), newCheck(), newApply(), newPublish(), newSandbox(), newVersion(),
		newInstances(), newEntities(), newRules(), newPosts(), newLinks(), newDead(), newExport())
	reportUsage(root)
	return root
}

// reportUsage makes wrong arguments of a command, and of those below it, end with the code for usage.
func reportUsage(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil {
		check = cobra.ArbitraryArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError(fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
		}
		return nil
	}
	for _, below := range cmd.Commands() {
		reportUsage(below)
	}
}
