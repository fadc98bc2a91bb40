package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// confirmation asks before something is destroyed.
type confirmation struct{ yes bool }

func (c *confirmation) register(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVarP(&c.yes, "yes", "y", false, "do it without asking")
	return cmd
}

var errDeclined = errors.New("nothing was changed, as you answered")

// ask returns nil when the person agrees. Where nobody can be asked, only --yes agrees.
func (c *confirmation) ask(cmd *cobra.Command, question string) error {
	if c.yes {
		return nil
	}
	nobody := usageError(fmt.Errorf("%s: nobody is there to be asked; add --yes to do it without asking", cmd.CommandPath()))
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !isTerminal(in) {
		return nobody
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", harmless(question))
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil { // a device that is no terminal, such as /dev/null, ends at once
		fmt.Fprintln(cmd.ErrOrStderr())
		return nobody
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errDeclined
}
