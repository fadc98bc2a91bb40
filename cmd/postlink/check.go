package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/catalog"
)

// aCatalog says what a path of a catalog has to be.
const aCatalog = "a folder of YAML files with instances and rules, or one such file"

// newCheck makes the command that validates a catalog without a server. The exit code is 78 when it has errors, which go to standard
// error, all of them at once. It knows the files only: whether an instance answers, whether the server finds its secret, and what
// the guard says about the catalog in force comes out when the catalog is applied.
func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:     "check [PATH...]",
		Short:   "Validate a catalog and report all errors at once",
		Long:    "Validates the catalog in the files and folders given (this folder by default), without changing anything.",
		Example: "  postlink check deploy/catalog\n  postlink check instances.yaml rules.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			c, err := loadCatalog(args...)
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

// loadCatalog reads the catalog in files and folders; one that is not there is a usage error. Mistakes in them are source.Problems.
func loadCatalog(paths ...string) (*catalog.Catalog, error) {
	if err := cli.Exists(aCatalog, paths...); err != nil {
		return nil, err
	}
	return catalog.Load(paths...)
}
