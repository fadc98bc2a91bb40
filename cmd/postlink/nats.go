package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/cmd/postlink/internal/config"
	"postlink/worker/bus"
)

// natsVariable names the NATS to talk to when no flag does.
const natsVariable = "POSTLINK_NATS"

// natsFlags say which NATS a command talks to. With --nats alone all else is the default, also namespace, replicas and limits, and
// what a command opens in NATS is declared with these.
type natsFlags struct {
	config string
	url    string
}

// register adds the flags; usage explains --nats.
func (f *natsFlags) register(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&f.config, "config", "", "configuration `FILE`, the same as of postlink serve")
	cmd.Flags().StringVar(&f.url, "nats", "", usage)
}

// given reports whether a flag names a NATS.
func (f *natsFlags) given() bool { return f.config != "" || f.url != "" }

// load reads the configuration; the flag counts more than the file. Without --config it is the defaults: no file is looked for. The
// error is one of the configuration, exit code 78, also when the file is not there.
func (f *natsFlags) load() (config.Config, error) {
	cfg := config.Default()
	if f.config != "" {
		var err error
		if cfg, err = config.Load(f.config); err != nil {
			return cfg, cli.Config("%w", err)
		}
	}
	if f.url != "" {
		cfg.NATS.URL = f.url
	}
	return cfg, nil
}

// connect connects to the NATS of a running postlink: the one that a flag or the environment names, else the address where
// postlink serve and postlink demo listen by default. The environment counts only without --config: a file that names no NATS means
// the server that postlink serve runs with it, at its data.listen. The caller closes the connection.
func (f *natsFlags) connect(ctx context.Context) (*bus.Bus, config.Config, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, cfg, err
	}
	opts := cfg.Bus()
	if opts.URL == "" && f.config == "" {
		opts.URL = os.Getenv(natsVariable)
	}
	if opts.URL == "" {
		opts.URL = "nats://" + cfg.Data.Listen
	}
	opts.Guest = true // the settings of the running workers may be others than ours
	b, err := bus.Connect(ctx, opts)
	if err != nil {
		return nil, cfg, fmt.Errorf("%w; is postlink serve or postlink demo running, or does --nats (%s) name another server?", err, natsVariable)
	}
	return b, cfg, nil
}
