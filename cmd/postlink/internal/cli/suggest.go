package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// listed is how many names a message lists.
const listed = 12

// Nearest is the name that was most likely meant, empty when none is near.
func Nearest(wrong string, names []string) string {
	best, least := "", len([]rune(wrong))/3+2 // a name may differ in a third of its letters, and one more
	for _, name := range names {
		if d := distance(strings.ToLower(wrong), strings.ToLower(name)); d < least {
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

// distance counts the letters to insert, delete, replace or swap with their neighbour to make b of a.
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	rows := make([][]int, len(from)+1)
	for i := range rows {
		rows[i] = make([]int, len(to)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(from); i++ {
		for j := 1; j <= len(to); j++ {
			replaced := rows[i-1][j-1]
			if from[i-1] != to[j-1] {
				replaced++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replaced)
			if i > 1 && j > 1 && from[i-1] == to[j-2] && from[i-2] == to[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(from)][len(to)]
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
