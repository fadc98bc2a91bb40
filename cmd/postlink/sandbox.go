package main

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"postlink/cmd/postlink/internal/cli"
	"postlink/dynamics/sandbox"
	"postlink/worker/console"
)

// newSandbox makes the command that plays one instance. Its control endpoints are open, so it listens on loopback by default. Its
// entry of a catalog goes to standard error when it listens, with the port that it got: a script that gives port 0 reads it there.
func newSandbox() *cobra.Command {
	var listen, name, token string
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Run a simulated Dynamics 365 instance",
		Long: "Runs a simulated Dynamics 365 instance, for trying rules and for tests. It keeps its records in memory.\n" +
			"What it holds and what it was asked is under /_sandbox/snapshot and /_sandbox/requests.",
		Example: "  postlink sandbox\n  postlink sandbox --name fabrikam --listen 127.0.0.1:8082",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			s, err := sandbox.New(sandbox.Options{Name: name, Tokens: []string{token}})
			if err != nil {
				return cli.Usage("%w", err)
			}
			listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
			if err != nil {
				return cli.ListenError(cli.ExitUsage, listen, "--listen", err)
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "sandbox %s is ready; in a catalog:\n"+
				"  - name: %s\n    url: http://%s\n    auth: {kind: static, token: {env: SANDBOX_TOKEN}}    # SANDBOX_TOKEN=%s\n",
				name, name, listener.Addr(), token)
			if err != nil {
				return err
			}
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return s.Run(ctx) })
			g.Go(func() error { return console.Serve(ctx, listener, s) })
			return g.Wait()
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8081", "`ADDR` to listen on")
	cmd.Flags().StringVar(&name, "name", "contoso", "name of the instance")
	cmd.Flags().StringVar(&token, "token", "sandbox", "bearer token that is always accepted")
	return cmd
}
