package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postlink/rules/source"
)

// listed is how many names a message lists.
const listed = 12

// Nearest is the name that was most likely meant, empty when none is near. Letters count without their case. Of names that are
// equally near the first one is taken. A beginning counts only when no name is near as a whole.
func Nearest(wrong string, names []string) string {
	best, least := "", len([]rune(wrong))/3+2 // a name may differ in a third of its letters, and one more
	for _, name := range names {
		if d := source.Distance(strings.ToLower(wrong), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	if best == "" && wrong != "" {
		for _, name := range names {
			if strings.HasPrefix(name, wrong) {
				return name
			}
		}
	}
	return best
}

// DidYouMean ends a message about a wrong name: the name that was meant, or what the names are. It is empty when there are none.
func DidYouMean(wrong string, names []string) string {
	if near := Nearest(wrong, names); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	return Known(names)
}

// Known ends a message with the names that there are.
func Known(names []string) string {
	switch {
	case len(names) == 0:
		return ""
	case len(names) > listed:
		return fmt.Sprintf("; there are: %s and %d more", strings.Join(names[:listed], ", "), len(names)-listed)
	}
	return "; there are: " + strings.Join(names, ", ")
}

// Choice is the value of a flag that takes one of a few words. Another one is a usage error that names them.
type Choice struct {
	Value string
	Of    []string
}

// String is the word chosen; empty for none.
func (c *Choice) String() string { return c.Value }

// Type names the value in help texts.
func (c *Choice) Type() string { return strings.Join(c.Of, "|") }

// Set takes a word.
func (c *Choice) Set(word string) error {
	if !slices.Contains(c.Of, word) {
		near := Nearest(word, c.Of)
		if near != "" {
			near = fmt.Sprintf("did you mean %s? ", near)
		}
		return fmt.Errorf("%schoose one of %s", near, strings.Join(c.Of, ", "))
	}
	c.Value = word
	return nil
}

// Register adds the flag, with completion, to a command.
func (c *Choice) Register(cmd *cobra.Command, name, usage string) {
	cmd.Flags().Var(c, name, usage)
	Complete(cmd, name, cobra.FixedCompletions(c.Of, cobra.ShellCompDirectiveNoFileComp))
}

// Complete lets the shell complete a flag of cmd, which has to exist.
func Complete(cmd *cobra.Command, flag string, by cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, by); err != nil {
		panic(err)
	}
}
