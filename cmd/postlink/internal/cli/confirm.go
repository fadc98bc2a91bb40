package cli

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Confirmation asks before something is destroyed. Its zero value asks.
type Confirmation struct{ Yes bool }

// Register adds the flag that answers in advance.
func (c *Confirmation) Register(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVarP(&c.Yes, "yes", "y", false, "do it without asking")
	return cmd
}

// ErrDeclined is the answer no.
var ErrDeclined = errors.New("nothing was changed, as you answered")

// Ask returns nil when the person agrees, and ErrDeclined for any other answer, the end of input included. Where standard input is no
// terminal it is a usage error that holds the question: a yes that is piped in may be meant for something else. Only --yes agrees
// there. Ask blocks until there is an answer; reading a terminal cannot be interrupted, so the first Ctrl-C is noticed after it.
func (c *Confirmation) Ask(cmd *cobra.Command, question string) error {
	if c.Yes {
		return nil
	}
	in := cmd.InOrStdin()
	if !IsTerminal(in) {
		return Usage("%s\n%s: standard input is not a terminal, so nobody can be asked; add --yes to do it without asking",
			Harmless(question), cmd.CommandPath())
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", Harmless(question))
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr())
		return ErrDeclined
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return ErrDeclined
}
