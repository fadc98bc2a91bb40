package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/cmd/postlink/internal/config"
	"postlink/cmd/postlink/internal/demo"
)

const (
	watchable = 4 // posts a second that a person can follow
	anyPort   = "127.0.0.1:0"
)

// newDemo makes the command that a new user runs first. With --exit it is a tool for programs: one JSON object on standard output,
// no port that could be taken, and no advice. Without it Ctrl-C is the usual end, which prints the summary too and ends with 0.
//
// Everything that can be wrong with the command line is found before anything is started: rate, catalog, posts, the file for the
// records, then the ports. Only errors are logged unless more is asked for: a log would stand between the lines of the demo.
func newDemo() *cobra.Command {
	var (
		opts                  demo.Options
		dir, posts            string
		listen, nats          string
		logLevel              = cli.Choice{Of: logLevels, Value: "error"}
		usualListen, usualNAT = config.Default().Listen, config.Default().Data.Listen
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play the whole path of a post on this machine: posts in, records out",
		Long: "Streams posts through an embedded NATS and the worker into simulated Dynamics 365 instances, and prints each link made.\n" +
			"Nothing else is needed. Every instance of the catalog is played by the sandbox, whatever its url. The other commands reach\n" +
			"the demo as they reach postlink serve, and postlink publish sends it posts of yours.",
		Example: "  postlink demo\n" +
			"  postlink demo --posts posts.ndjson.gz --catalog deploy/catalog --exit",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := cli.CheckRate(opts.Rate, "posts"); err != nil {
				return err
			}
			if dir != "" {
				if opts.Catalog, err = loadCatalog(dir); err != nil {
					return err
				}
			}
			if posts != "" {
				if opts.Posts, err = openPosts(cmd, posts); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, opts.Posts.Close()) }()
			}
			if err := writable(opts.Records); err != nil {
				return err
			}
			if opts.Log, err = newLogger(logLevel.Value); err != nil {
				return err
			}
			if !cmd.Flags().Changed("rate") && !opts.Exit {
				opts.Rate = watchable
			}
			fallback := usualListen
			if opts.Exit {
				fallback = anyPort
			}
			if opts.Listener, err = listenOr(cmd.Context(), listen, fallback); err != nil {
				return err
			}
			out, talk := cmd.OutOrStdout(), cmd.ErrOrStderr()
			if !opts.Exit {
				if opts.NATS, err = freeOr(cmd.Context(), nats, usualNAT); err != nil {
					return err
				}
				opts.Ready = func(at demo.Addresses) { printAddresses(talk, at) }
				opts.Linked = newDemoLines(out).print
			}
			summary, err := demo.Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			if err := json.NewEncoder(out).Encode(summary); err != nil {
				return err
			}
			if opts.Exit && cmd.Context().Err() != nil {
				return errors.New("stopped before every post had reached its last place; the summary is of what was done so far")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&posts, "posts", "", "`FILE` of posts, one JSON document a line, or .gz of it (default the sample posts)")
	cmd.Flags().StringVar(&dir, "catalog", "", "catalog in `DIR` (default the sample catalog)")
	cmd.Flags().Float64Var(&opts.Rate, "rate", 0, "posts a second, 0 for as fast as it goes (default 4, with --exit 0)")
	cmd.Flags().StringVar(&opts.Records, "records", "", "write every record of the sandbox to `FILE` at the end")
	cmd.Flags().BoolVar(&opts.Exit, "exit", false, "stop when every post has reached its last place, and print one JSON summary")
	cmd.Flags().StringVar(&listen, "listen", "", "`ADDR` of the console (default "+usualListen+", or any port when that is taken)")
	cmd.Flags().StringVar(&nats, "nats-listen", "", "`ADDR` where postlink publish reaches NATS (default "+usualNAT+", or any port when that is taken)")
	logLevel.Register(cmd, "log-level", "what is logged")
	return cmd
}

// writable checks before a demo starts that the file of its records can be written at the end. It makes the file when it is not
// there, and leaves what one holds: a demo that fails must not cost the records of the last one.
func writable(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return cli.FileError(path, "a file in a folder that exists", err)
	}
	return f.Close()
}

// listenOr listens on the address that the command line names. Without one it takes the usual address, or any port when that is
// taken.
func listenOr(ctx context.Context, named, usual string) (net.Listener, error) {
	if named != "" {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", named)
		if err != nil {
			return nil, cli.ListenError(cli.ExitUsage, named, "--listen", err)
		}
		return l, nil
	}
	if l, err := new(net.ListenConfig).Listen(ctx, "tcp", usual); err == nil {
		return l, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", anyPort)
	if err != nil {
		return nil, cli.ListenError(cli.ExitUsage, anyPort, "--listen", err)
	}
	return l, nil
}

// freeOr is an address that listenOr can listen on; NATS listens there itself. Between the two the port is free for a moment: should
// another program take it, the demo does not start.
func freeOr(ctx context.Context, named, usual string) (string, error) {
	l, err := listenOr(ctx, named, usual)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// printAddresses says how to reach a demo from a second terminal. Flags that are not needed are left out.
func printAddresses(w io.Writer, at demo.Addresses) {
	server, nats := "", ""
	if at.Console != "http://"+config.Default().Listen {
		server = " --server " + at.Console
	}
	if at.NATS != "nats://"+config.Default().Data.Listen {
		nats = " --nats " + at.NATS
	}
	fmt.Fprintf(w, "The console is at %s, NATS at %s. From a second terminal:\n"+
		"  postlink posts list%s\n  postlink publish FILE%s\nStop with Ctrl-C.\n\n", at.Console, at.NATS, server, nats)
}

// demoLines prints a line for each link that a demo makes, in 100 columns. It is safe for concurrent use.
type demoLines struct {
	mu    sync.Mutex
	w     io.Writer
	begun bool
}

// newDemoLines prints to w; the heading comes before the first line.
func newDemoLines(w io.Writer) *demoLines { return &demoLines{w: w} }

// columns of a line, and the gaps between them: 100 in all.
const (
	postColumns = 7
	textColumns = 44
	ruleColumns = 19
	madeColumns = 24
)

// print prints the line of one link.
func (d *demoLines) print(made demo.Made) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.begun {
		d.begun = true
		d.line("POST", "TEXT", "RULE", "MADE")
	}
	d.line(atSequence(made.PostSequence), made.Text, made.Rule, strings.ToLower(made.Label)+" in "+made.Instance)
}

// line prints cells that are cut and padded to their columns.
func (d *demoLines) line(post, text, rule, made string) {
	cell := func(text string, columns int) string { return cli.Pad(cli.Cut(cli.Line(text), columns), columns) }
	line := strings.Join([]string{cell(post, postColumns), cell(text, textColumns), cell(rule, ruleColumns), cell(made, madeColumns)}, "  ")
	fmt.Fprintln(d.w, strings.TrimRight(line, " "))
}
