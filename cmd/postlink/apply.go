package main

import (
	"fmt"
	"os/user"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/app"
	"postlink/worker/catalog"
)

func newApply() *cobra.Command {
	var (
		nats    natsFlags
		dryRun  bool
		message string
	)
	cmd := &cobra.Command{
		Use:   "apply DIR",
		Short: "Put a catalog in force, for all workers",
		Long: "Reads the catalog in DIR, prints what it changes, and puts it in force as one revision. Workers take it up at once.\n" +
			"A catalog that is not valid, or that removes an entity that an active rule uses, changes nothing.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			next, err := catalog.Load(args[0])
			if err != nil {
				return err
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
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only print what would change")
	cmd.Flags().StringVarP(&message, "message", "m", "", "why, for the history")
	return cmd
}

// userName is whom the history names for a change made from this account.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "unknown"
}
