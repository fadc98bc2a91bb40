package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Noun makes the command that holds the commands of one thing, such as postlink links.
func Noun(name, short, example string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Example: example, Args: OfCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// OfCommands takes no arguments: one that reaches it is the name of a command that does not exist.
func OfCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			names = append(names, append(below.Aliases, below.Name())...)
		}
	}
	return fmt.Errorf("%s has no command %q%s", cmd.CommandPath(), args[0], DidYouMean(args[0], names))
}

// Prepare makes every mistake on the command line of root, or of a command below it, a usage error that says what was meant. It is
// called once, when all commands are there: those added later keep the plain errors of cobra.
func Prepare(root *cobra.Command) {
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		hint := ""
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
			var names []string
			cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
			if near := Nearest(unknown.GetSpecifiedName(), names); near != "" {
				hint = "; did you mean --" + near + "?"
			}
		}
		return Usage("%w%s; see %s --help", err, hint, cmd.CommandPath())
	})
	checkArguments(root)
}

// checkArguments makes a wrong number of arguments a usage error, for a command and all below it.
func checkArguments(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil {
		check = cobra.ArbitraryArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		switch {
		case err == nil:
			return nil
		case cmd.HasAvailableSubCommands():
			return Usage("%w; see %s --help", err, cmd.CommandPath())
		}
		return Usage("%w; write it as: %s (see %s --help)", err, cmd.UseLine(), cmd.CommandPath())
	}
	for _, below := range cmd.Commands() {
		checkArguments(below)
	}
}
