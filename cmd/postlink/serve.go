package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"postlink/cmd/postlink/internal/app"
	"postlink/worker/bus"
	"postlink/worker/catalog"
)

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
			"files under data.dir. Stop it with SIGTERM: it finishes what is under way.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := nats.load()
			if err != nil {
				return err
			}
			if listen != "" {
				cfg.Listen = listen
			}
			var seed *catalog.Catalog
			if dir != "" {
				if seed, err = catalog.Load(dir); err != nil {
					return err
				}
			}
			log, err := newLogger(cfg.Log.Level)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, seed, log)
		},
	}
	nats.register(cmd)
	cmd.Flags().StringVar(&dir, "catalog", "", "put the catalog in `DIR` in force at the start, if the directory changed since it last was")
	cmd.Flags().StringVar(&listen, "listen", "", "`ADDR` of the console; overrides the configuration")
	return cmd
}

func serve(ctx context.Context, cfg app.Config, seed *catalog.Catalog, log *zap.Logger) error {
	tokens, err := cfg.Access()
	if err != nil {
		return configError(err)
	}
	if err := app.CheckListen(cfg.Listen, tokens); err != nil {
		return configError(err)
	}
	busOptions := cfg.Bus()
	busOptions.Log = log.Named("nats")
	if busOptions.URL == "" {
		opts := cfg.Server()
		opts.Log = log.Named("nats")
		server, err := bus.StartServer(opts)
		if err != nil {
			return configError(err)
		}
		defer server.Shutdown()
		busOptions.Server = server
		log.Info("our own NATS listens", zap.String("url", server.URL()), zap.String("dir", opts.Dir))
	}
	a, err := app.New(ctx, app.Options{
		Bus: busOptions, Listen: cfg.Listen, Public: strings.TrimRight(cfg.Console.URL, "/"), Tokens: tokens, Slots: cfg.Delivery.Slots, MaxAge: cfg.Delivery.MaxAge.Value(), Log: log,
	})
	if err != nil {
		return err
	}
	defer a.Close()
	if seed != nil {
		if err := seedCatalog(ctx, a, seed); err != nil {
			return err
		}
	}
	if _, err := a.Catalog.Current(ctx); errors.Is(err, catalog.ErrEmpty) {
		log.Warn("there is no catalog yet; nothing is linked until one is applied with: postlink apply DIR")
	}
	log.Info("ready", zap.String("console", a.URL()), zap.String("version", versionText()))
	err = a.Run(ctx)
	log.Info("stopped")
	return err
}

// seedCatalog puts a directory's catalog in force, unless it is the one that was put in force so last: then what people changed
// since then, through the API say, stays.
func seedCatalog(ctx context.Context, a *app.App, seed *catalog.Catalog) error {
	var content bytes.Buffer
	if err := seed.Export(&content); err != nil { // what counts is what it says, not where in which file
		return fmt.Errorf("apply the catalog: %w", err)
	}
	hash := fmt.Sprintf("%x", sha256.Sum256(content.Bytes()))
	last, err := a.Bus.Seed(ctx)
	if err != nil || last == hash {
		return err
	}
	if _, _, err := a.Catalog.Apply(ctx, seed, catalog.Commit{Author: userName(), Message: "postlink serve --catalog"}); err != nil {
		return err
	}
	return a.Bus.SetSeed(ctx, hash)
}
