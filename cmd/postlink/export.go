package main

import (
	"net/http"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/client"
	"postlink/worker/console"
)

func newExport() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the catalog in force as YAML",
		Long:  "Writes the catalog in force to standard output as one YAML file, which postlink check and postlink apply take.",
		Args:  cobra.NoArgs,
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			answer, err := c.Do(cmd.Context(), client.Request{Method: http.MethodGet, Path: console.PathCatalogExport})
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(answer.Body)
			return err
		}),
	}
	r.register(cmd)
	return cmd
}
