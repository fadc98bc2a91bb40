package main

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"postlink/cmd/postlink/internal/app"
	"postlink/cmd/postlink/internal/cli"
	"postlink/cmd/postlink/internal/config"
	"postlink/worker/bus"
	"postlink/worker/catalog"
)

// newServe makes the command that runs a worker with its console. Flags override the configuration.
func newServe() *cobra.Command {
	var (
		nats   natsFlags
		dir    string
		listen string
	)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the worker",
		Long: "Runs the worker: posts from NATS, records in Dynamics 365. Without a NATS url it runs a NATS server of its own, with\n" +
			"files under data.dir. Stop it with SIGTERM: it finishes what is under way.\n\n" +
			"Every key of the configuration, with its default:\n\n" + indent(config.Reference),
		Example: "  postlink serve --catalog deploy/catalog\n" +
			"  postlink serve --config /etc/postlink.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := nats.load()
			if err != nil {
				return err
			}
			if listen != "" {
				cfg.Listen = listen
			}
			var initial *catalog.Catalog
			if dir != "" {
				if initial, err = loadCatalog(dir); err != nil {
					return err
				}
			}
			log, err := newLogger(cfg.LogLevel)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, initial, log)
		},
	}
	nats.register(cmd, "NATS `URL`; overrides the configuration (default: run a NATS server)")
	cmd.Flags().StringVar(&dir, "catalog", "", "put the catalog in `DIR` in force at the start, if the directory changed since it last was")
	cmd.Flags().StringVar(&listen, "listen", "", "`ADDR` of the console; overrides the configuration")
	return cmd
}

// indent sets a text in by two columns.
func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// serve is assembly: it starts the parts in their order and runs them. What can be refused is tried first: the address of the
// console is taken before the data directory is locked and recovered, which may take a while, and before a catalog is put in force.
// Parts end in the reverse order, the NATS server after the worker, which writes there until its end.
//
// It returns nil after a stop by signal, however long the stop took; a second signal ends the process at once, and NATS delivers
// again what was under way. initial may be nil.
func serve(ctx context.Context, cfg config.Config, initial *catalog.Catalog, log *zap.Logger) error {
	if err := app.CheckListen(cfg.Listen, cfg.Tokens); err != nil {
		return cli.Config("%w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return cli.ListenError(cli.ExitConfig, cfg.Listen, "listen in the configuration, or --listen", err)
	}
	defer listener.Close()
	opts := cfg.Worker()
	if opts.NATS.URL == "" {
		server, err := startNATS(ctx, cfg, log)
		if err != nil {
			return err
		}
		defer server.Shutdown()
		opts.NATS.Server = server
	}
	opts.Catalog, opts.Author, opts.Log = initial, userName(), log
	a, err := app.New(ctx, app.Options{Worker: opts, Listener: listener, Tokens: cfg.Tokens})
	if err != nil {
		return err
	}
	defer a.Close()
	if _, err := a.Catalog.Current(ctx); errors.Is(err, catalog.ErrEmpty) {
		log.Warn("there is no catalog yet; nothing is linked until one is applied with: postlink apply DIR")
	}
	log.Info("ready", zap.String("console", a.URL()), zap.String("version", versionText()))
	err = a.Run(ctx)
	log.Info("stopped")
	return err
}

// startNATS runs the NATS server of the configuration. What hinders it, as a port or a data directory that another process uses,
// counts as a mistake in the configuration, exit code 78: another try would not help. The caller shuts the server down.
func startNATS(ctx context.Context, cfg config.Config, log *zap.Logger) (*bus.Server, error) {
	opts := cfg.Server()
	opts.Log = log.Named("nats")
	server, err := bus.StartServer(ctx, opts)
	if err != nil {
		return nil, cli.Config("%w; if NATS runs there, name it with --nats", err)
	}
	log.Info("our own NATS listens", zap.String("url", server.URL()), zap.String("dir", opts.Dir))
	return server, nil
}
