package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"postlink/worker/catalog"
)

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check [PATH...]",
		Short: "Validate a catalog, telling all errors at once",
		Long:  "Validates the catalog in the files and folders given (this folder by default), without changing anything.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			c, err := catalog.Load(args...)
			if err != nil {
				return err
			}
			active := 0
			for _, r := range c.Rules {
				if r.Active {
					active++
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "ok: %d instances, %d rules, %d of them active\n", len(c.Instances), len(c.Rules), active)
			return err
		},
	}
}
