package main

import (
	"net/http"

	"github.com/spf13/cobra"

	"postlink/worker/console/api"
)

// newExport makes the counterpart of apply: what it writes, apply takes and calls unchanged. The bytes of the server are written as
// they are, and not passed through cli.Harmless: they are a file, in which nothing may be replaced.
func newExport() *cobra.Command {
	r := newRemote()
	return r.Register(&cobra.Command{
		Use:     "export",
		Short:   "Write the catalog in force as YAML",
		Long:    "Writes the catalog in force to standard output as one YAML file, which postlink check and postlink apply take.",
		Example: "  postlink export > catalog.yaml",
		Args:    cobra.NoArgs,
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, _ []string) error {
			answer, err := c.Do(cmd.Context(), api.Request{Method: http.MethodGet, Path: api.PathCatalogExport})
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(answer.Body)
			return err
		}),
	})
}
