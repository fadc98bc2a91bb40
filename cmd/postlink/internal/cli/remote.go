package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"postlink/worker/console/api"
)

// Where commands find the server when no flag says so, and the token that they send it.
const (
	ServerVariable = "POSTLINK_SERVER"
	TokenVariable  = "POSTLINK_TOKEN"
)

// patience is how long names are asked for, for completion and suggestions. Both can do without.
const patience = 2 * time.Second

// NamesFunc asks for names, given the arguments of a command.
type NamesFunc func(ctx context.Context, c *api.Client, args []string) ([]string, error)

// Remote is the running postlink that a command asks, and how the command answers. Commands of one noun share a Remote: only one of
// them runs in a process, and cobra fills Server and JSON before it does. The token comes from the environment alone, since other
// users of the machine see command lines.
type Remote struct {
	Default string               // URL of the server where neither flag nor environment name one
	Names   map[string]NamesFunc // names that a refusal of a kind can be about, for suggestions

	Server string // as the flag has it
	JSON   bool
}

// Register adds the flag that names the server, for cmd and the commands below it.
func (r *Remote) Register(cmd *cobra.Command) *cobra.Command {
	cmd.PersistentFlags().StringVar(&r.Server, "server", "",
		"`URL` of a running postlink (default $"+ServerVariable+", else "+r.Default+"); its token is taken from $"+TokenVariable)
	return cmd
}

// Answers adds the flag of commands that list or show something.
func (r *Remote) Answers(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&r.JSON, "json", false, "print JSON, as the API has it")
	return cmd
}

// URL is the address of the server.
func (r *Remote) URL() string {
	for _, url := range []string{r.Server, os.Getenv(ServerVariable)} {
		if url != "" {
			return url
		}
	}
	return r.Default
}

// Connect makes the client. Nothing is sent yet. A URL that is wrong is blamed on where it stands: a usage error for the flag, one of
// the configuration for the environment.
func (r *Remote) Connect() (*api.Client, error) {
	c, err := api.New(r.URL(), os.Getenv(TokenVariable))
	switch {
	case err != nil && r.Server != "":
		return nil, Usage("%w", err)
	case err != nil:
		return nil, Config("%w", err)
	}
	return c, nil
}

// Ask is what a command does with the server.
type Ask func(cmd *cobra.Command, c *api.Client, args []string) error

// Run makes a command's RunE of what it asks. An empty argument is refused first, as a script passes for a variable that is not set:
// in a path it would ask for another address.
func (r *Remote) Run(do Ask) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if slices.Contains(args, "") {
			return Usage("an argument is empty; see %s --help", cmd.CommandPath())
		}
		c, err := r.Connect()
		if err != nil {
			return err
		}
		defer c.Close()
		return r.suggest(cmd, c, args, do(cmd, c, args))
	}
}

// suggestion is a refusal with the name that was probably meant.
type suggestion struct {
	error
	near string
}

func (s *suggestion) Error() string { return fmt.Sprintf("%v; did you mean %s?", s.error, s.near) }
func (s *suggestion) Unwrap() error { return s.error }

// suggest adds the name that was probably meant to a refusal because of a name that does not exist. The server does not say which of
// the names given it was; it is one that is not among those there are. Without a near name, or when the names cannot be read within
// patience, the refusal stays as it is: help for one must never hide it. Each and Run may both call it for the same error.
func (r *Remote) suggest(cmd *cobra.Command, c *api.Client, args []string, err error) error {
	var (
		refusal *api.Problem
		made    *suggestion
	)
	if !errors.As(err, &refusal) || errors.As(err, &made) || r.Names[refusal.Kind()] == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	names, failed := r.Names[refusal.Kind()](ctx, c, args)
	if failed != nil {
		return err
	}
	given := slices.Clone(args)
	for _, flag := range []string{"instance", "entity", "rule"} {
		if f := cmd.Flags().Lookup(flag); f != nil {
			given = append(given, f.Value.String())
		}
	}
	slices.Reverse(given) // the last argument is the most likely one: the others say where it is looked for
	for _, name := range given {
		if slices.Contains(names, name) {
			continue
		}
		if near := Nearest(name, names); near != "" {
			return &suggestion{err, near}
		}
	}
	return err
}

// Each does the same for every argument, and goes on after one that is refused. The arguments before them are the same for all,
// such as an instance. The error joins the refusals, each with its argument when there are several; nil when all succeeded. What was
// done before a refusal stays done.
func (r *Remote) Each(cmd *cobra.Command, c *api.Client, before, args []string, do func(arg string) error) error {
	var refused []error
	for _, arg := range args {
		err := do(arg)
		var problem *api.Problem
		if err != nil && !errors.As(err, &problem) {
			return errors.Join(append(refused, err)...) // the others would fail in the same way
		}
		err = r.suggest(cmd, c, append(slices.Clone(before), arg), err)
		if err != nil && len(args) > 1 {
			err = fmt.Errorf("%s: %w", arg, err)
		}
		refused = append(refused, err)
	}
	return errors.Join(refused...)
}

// Complete makes shell completion of what names asks the server for. A server that does not answer offers nothing.
func (r *Remote) Complete(names NamesFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := r.Connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), patience)
		defer cancel()
		offered, err := names(ctx, c, args)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return offered, cobra.ShellCompDirectiveNoFileComp
	}
}

// Paging is which part of a long list is wanted.
type Paging struct {
	limit  int
	cursor string
	all    bool
}

// Register adds the flags of a command that lists.
func (p *Paging) Register(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().IntVar(&p.limit, "limit", 50, "list `N` at most")
	cmd.Flags().StringVar(&p.cursor, "cursor", "", "continue a list at the `CURSOR` that it ended with")
	cmd.Flags().BoolVar(&p.all, "all", false, "list all")
	return cmd
}

// ListPages prints a paged list; query are its filters, empty ones left out, and gets the cursor. It returns how many items were
// printed, also after an error. Pages are printed as they come. Where a list was cut at its limit, a line on standard
// error says how to go on, and programs find next_cursor.
func ListPages[T any](cmd *cobra.Command, c *api.Client, asJSON bool, p Paging, path string, query url.Values, t Table[T]) (int, error) {
	limit := p.limit
	switch {
	case p.all && cmd.Flags().Changed("limit"):
		return 0, Usage("--all and --limit contradict each other; give one of them")
	case p.all:
		limit = 0
	case limit < 1:
		return 0, Usage("--limit %d: list one at least, or give --all", limit)
	}
	query.Set("cursor", p.cursor)
	shown := NewPrinter(cmd, asJSON, t)
	next := ""
	for page, err := range api.Pages[T](cmd.Context(), c, path, query, limit) {
		if err != nil {
			return shown.Printed(), err
		}
		if err := shown.Page(page.Items); err != nil {
			return shown.Printed(), err
		}
		next = page.NextCursor
	}
	if err := shown.End(next); err != nil {
		return shown.Printed(), err
	}
	if next != "" && !asJSON {
		fmt.Fprintf(cmd.ErrOrStderr(), "there is more; continue with --cursor %s, or list --all\n", next)
	}
	return shown.Printed(), nil
}
