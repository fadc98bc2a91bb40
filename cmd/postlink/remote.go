package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/app"
	"postlink/cmd/postlink/internal/client"
	"postlink/worker/console"
)

// Where commands find the server when no flag says so, and the token that they show it.
const (
	serverVariable = "POSTLINK_SERVER"
	tokenVariable  = "POSTLINK_TOKEN"
)

// remote is the running postlink that a command asks, and how the command answers.
type remote struct {
	server string
	json   bool
}

// register adds the flag that names the server, for cmd and the commands below it.
func (r *remote) register(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&r.server, "server", "",
		"`URL` of a running postlink (default $"+serverVariable+", else http://"+app.DefaultConfig().Listen+"); its token is taken from $"+tokenVariable)
}

// answers adds the flag of commands that list or show something.
func (r *remote) answers(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&r.json, "json", false, "print JSON, as the API has it")
	return cmd
}

// connect makes the client. Nothing is sent yet.
func (r *remote) connect() (*client.Client, error) {
	server, wrong := r.server, usageError
	if server == "" {
		server, wrong = os.Getenv(serverVariable), configError
	}
	if server == "" {
		server = "http://" + app.DefaultConfig().Listen
	}
	c, err := client.New(server, os.Getenv(tokenVariable))
	if err != nil {
		return nil, wrong(err)
	}
	return c, nil
}

// ask is what a command does with the server.
type ask func(cmd *cobra.Command, c *client.Client, args []string) error

// run makes a command's RunE of what it asks.
func (r *remote) run(do ask) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if slices.Contains(args, "") {
			return usageError(fmt.Errorf("an argument is empty; see %s --help", cmd.CommandPath()))
		}
		c, err := r.connect()
		if err != nil {
			return err
		}
		defer c.Close()
		return do(cmd, c, args)
	}
}

// noun makes the command that holds the commands of one thing.
func (r *remote) noun(name, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	r.register(cmd)
	cmd.AddCommand(commands...)
	return cmd
}

// said is an error with all that a refusal brings along, for people.
func said(err error) string {
	var problem *console.Problem
	if !errors.As(err, &problem) {
		return harmless(err.Error())
	}
	lines := []string{err.Error()}
	for _, e := range problem.Errors {
		lines = append(lines, "  "+strings.TrimPrefix(e.Location+": ", ": ")+e.Message)
	}
	for _, rule := range problem.Rules {
		lines = append(lines, "  rule "+rule)
	}
	for _, p := range problem.Catalog {
		where := ""
		if p.Line > 0 {
			where = fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
		}
		if p.Rule != "" {
			where += fmt.Sprintf("rule %q: ", p.Rule)
		}
		lines = append(lines, "  "+where+p.Message)
		if p.Snippet != "" {
			lines = append(lines, p.Snippet)
		}
	}
	if link := problem.Link; link != nil {
		lines = append(lines, "  post "+postOf(*link)+" is "+linkState(*link))
	}
	switch problem.Status {
	case http.StatusUnauthorized:
		lines = append(lines, "  put the token into "+tokenVariable)
	case http.StatusInternalServerError:
		lines = append(lines, "  request id "+problem.RequestID)
	}
	return harmless(strings.Join(lines, "\n"))
}

// refusedAs is the exit code of a refusal.
func refusedAs(p *console.Problem) int {
	switch {
	case p.Status == http.StatusServiceUnavailable: // what the server needs is away
		return exitUnavailable
	case len(p.Catalog) > 0:
		return exitConfig
	}
	return exitFindings
}

// complete makes shell completion of what names asks the server for; args are those before. A server that does not answer
// offers nothing.
func (r *remote) complete(names func(ctx context.Context, c *client.Client, args []string) ([]string, error)) cobra.CompletionFunc {
	const patience = 2 * time.Second
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := r.connect()
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
