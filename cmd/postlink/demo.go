package main

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/app"
	"postlink/worker"
	"postlink/worker/catalog"
)

// watchable is a rate of posts that a person can follow, a second.
const watchable = 4

func newDemo() *cobra.Command {
	var (
		opts     app.DemoOptions
		dir      string
		logLevel string
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play the whole road on this machine: posts in, records out",
		Long: "Streams posts through an embedded NATS and the worker into simulated Dynamics 365 instances, and prints each link made.\n" +
			"Nothing else is needed. Every instance of the catalog is played by the sandbox, whatever its url.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if dir != "" {
				if opts.Catalog, err = catalog.Load(dir); err != nil {
					return err
				}
			}
			if opts.Log, err = newLogger(logLevel); err != nil {
				return err
			}
			if opts.Exit && opts.Listen == "" {
				opts.Listen = "127.0.0.1:0"
			}
			if !cmd.Flags().Changed("rate") && !opts.Exit {
				opts.Rate = watchable
			}
			out, talk := cmd.OutOrStdout(), cmd.ErrOrStderr()
			opts.Ready = func(console string) {
				fmt.Fprintf(talk, "posts flow; try the other commands from a second terminal, as in\n"+
					"  postlink links list --server %s\nstop with Ctrl-C\n\n", console)
			}
			var mu sync.Mutex
			opts.OnLinked = func(e worker.Event, where string) {
				if opts.Exit {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintf(out, "linked  %-22s %-24s -> %s %-14s %s\n", e.Post, e.Rule, e.Instance, e.Entity, where)
			}
			summary, err := app.Demo(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return json.NewEncoder(out).Encode(summary)
		},
	}
	cmd.Flags().StringVar(&opts.Posts, "posts", "", "`FILE` of posts, one JSON document a line, or .gz of it (default the sample posts)")
	cmd.Flags().StringVar(&dir, "catalog", "", "catalog in `DIR` (default the sample catalog)")
	cmd.Flags().Float64Var(&opts.Rate, "rate", 0, "posts a second, 0 for as fast as it goes (default 4, with --exit 0)")
	cmd.Flags().StringVar(&opts.Records, "records", "", "write every record of the sandbox to `FILE` at the end")
	cmd.Flags().BoolVar(&opts.Exit, "exit", false, "stop when all is settled and print one JSON summary")
	cmd.Flags().StringVar(&opts.Listen, "listen", "", "`ADDR` of the console (default 127.0.0.1:8080, or any port when that is taken)")
	cmd.Flags().StringVar(&logLevel, "log-level", "error", "debug, info, warn or error")
	return cmd
}
