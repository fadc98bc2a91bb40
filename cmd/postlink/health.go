package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
)

// healthTime is how long a server may take to answer before it counts as unhealthy.
const healthTime = 5 * time.Second

// newHealth makes the healthcheck of containers. It asks without a token, and never for the state of Dynamics. It does not use the
// client of the API, whose time limit is far too long here, and prints what the server said on one line.
//
// A server that does not answer is exit code 1 and not 69: of a healthcheck Docker takes 0 for healthy and 1 for unhealthy, and has
// no meaning for others.
func newHealth() *cobra.Command {
	var (
		r     = newRemote()
		ready bool
	)
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running postlink whether it is healthy; for the healthchecks of containers",
		Long: "Asks a running postlink for /healthz: whether the process works. Ends with 0 when it does and with 1 when it does not\n" +
			"answer or says no. It needs no token. With --ready it asks for /readyz: whether posts are being taken, which needs NATS\n" +
			"and a catalog; do not restart a container because of that.",
		Example: "  postlink health\n  postlink health --ready --server http://127.0.0.1:8080",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.Connect() // refuses a --server that is no URL
			if err != nil {
				return err
			}
			c.Close()
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, strings.TrimSuffix(r.URL(), "/")+path, nil)
			if err != nil {
				return cli.Usage("%w", err)
			}
			client := http.Client{Timeout: healthTime}
			resp, err := client.Do(req)
			if err != nil {
				return fmt.Errorf("%w; is postlink serve running there, or does --server (%s) name another?", err, cli.ServerVariable)
			}
			defer resp.Body.Close()
			said, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
			if err != nil || resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s%s says %s: %s", r.URL(), path, resp.Status, cli.Line(string(said)))
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), cli.Line(string(said)))
			return err
		},
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it takes posts, not only whether it works")
	return r.Register(cmd)
}
