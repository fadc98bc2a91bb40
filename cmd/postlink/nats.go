package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/app"
	"postlink/worker/bus"
)

// natsFlags say which NATS a command talks to.
type natsFlags struct {
	config string
	url    string
}

func (f *natsFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "", "configuration `FILE`, the same as of postlink serve")
	cmd.Flags().StringVar(&f.url, "nats", "", "NATS `URL`; overrides the configuration (default: where postlink serve listens)")
}

// load reads the configuration; the flag counts more than the file.
func (f *natsFlags) load() (app.Config, error) {
	cfg := app.DefaultConfig()
	if f.config != "" {
		var err error
		if cfg, err = app.LoadConfig(f.config); err != nil {
			return cfg, configError(err)
		}
	}
	if f.url != "" {
		cfg.NATS.URL = f.url
	}
	return cfg, nil
}

// connect connects to the NATS of a running postlink.
func (f *natsFlags) connect(ctx context.Context) (*bus.Bus, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, err
	}
	opts := cfg.Bus()
	if opts.URL == "" {
		opts.URL = "nats://" + cfg.Data.Listen
	}
	b, err := bus.Connect(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("%w; is postlink serve running, or does --nats name another server?", err)
	}
	return b, nil
}
