package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strconv"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/app"
	"postlink/cmd/postlink/internal/client"
	"postlink/worker/catalog"
	"postlink/worker/console"
)

func newApply() *cobra.Command {
	var (
		nats    natsFlags
		r       remote
		dryRun  bool
		message string
	)
	cmd := &cobra.Command{
		Use:   "apply DIR",
		Short: "Put a catalog in force, for all workers",
		Long: "Reads the catalog in DIR, prints what it changes, and puts it in force as one revision. Workers take it up at once.\n" +
			"A catalog that is not valid, or that removes an entity that an active rule uses, changes nothing.\n" +
			"With --server or " + serverVariable + " it goes through the API of a running postlink, else through NATS.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			next, err := catalog.Load(args[0])
			if err != nil {
				return err
			}
			if r.server != "" || os.Getenv(serverVariable) != "" && nats == (natsFlags{}) {
				return r.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
					return applyThrough(cmd, c, next, dryRun, message)
				})(cmd, args)
			}
			b, err := nats.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer b.Close()
			store, err := app.OpenCatalog(b)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if dryRun {
				plan, err := store.Plan(cmd.Context(), next)
				if err != nil {
					return err
				}
				return printPlan(out, plan)
			}
			revision, plan, err := store.Apply(cmd.Context(), next, catalog.Commit{Author: userName(), Message: message})
			if err != nil {
				return err
			}
			if err := printPlan(out, plan); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "catalog %.12s is in force\n", revision.ID)
			return err
		},
	}
	nats.register(cmd)
	r.register(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only print what would change")
	cmd.Flags().StringVarP(&message, "message", "m", "", "why, for the history")
	return cmd
}

// applyThrough has a running postlink put a catalog in force.
func applyThrough(cmd *cobra.Command, c *client.Client, next *catalog.Catalog, dryRun bool, message string) error {
	var text bytes.Buffer
	if err := next.Export(&text); err != nil {
		return err
	}
	query := url.Values{"dry_run": {strconv.FormatBool(dryRun)}}
	if message != "" {
		query.Set("message", message)
	}
	plan, _, err := client.Send[console.Plan](cmd.Context(), c, client.Request{
		Method: http.MethodPut, Path: console.PathCatalog, Query: query, YAML: text.Bytes(),
	})
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if len(plan.Changes) == 0 {
		fmt.Fprintln(out, "nothing changes")
	}
	for _, change := range plan.Changes {
		if _, err := fmt.Fprintln(out, harmless(change.Text)); err != nil {
			return err
		}
	}
	if !dryRun && plan.Revision != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "catalog %.12s is in force\n", plan.Revision.ID)
	}
	return nil
}

// userName is whom the history names for a change made from this account.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "unknown"
}
