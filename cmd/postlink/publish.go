package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/cmd/postlink/internal/config"
	"postlink/cmd/postlink/internal/feed"
	"postlink/worker/posts"
)

// aFileOfPosts says what a file of posts has to be.
const aFileOfPosts = "a file of posts, one JSON document a line, or - for standard input"

// newPublish makes the command that fills the posts stream from a file. It goes to NATS and not through the API: posts arrive there
// from the ingestion too, and the API takes single posts only.
//
// The file is checked before NATS is asked for, so that a mistake in it is named even where nothing runs. Standard output stays
// empty. Opening the stream makes it, with its consumer, where no postlink has run yet, so that posts can come before the first
// worker. An error of publishing, Ctrl-C included, ends with the line to continue from; posts that are sent twice because of that
// are linked once.
func newPublish() *cobra.Command {
	var (
		nats      natsFlags
		perSecond float64
		from      int
		asIs      bool
	)
	cmd := &cobra.Command{
		Use:   "publish FILE",
		Short: "Publish posts from a file to NATS",
		Long: "Publishes the posts in FILE, one JSON document a line; a name that ends in .gz is unpacked, - is standard input, which is\n" +
			"read to its end first. The whole file is checked before anything is sent. Where a post is sent twice, it is linked once.\n\n" +
			"Without --nats or --config the posts go to the NATS that $" + natsVariable + " names, else to nats://" + config.Default().Data.Listen + ": there\n" +
			"postlink serve runs its NATS server unless its configuration says otherwise, and postlink demo too, unless the port was\n" +
			"taken; the demo prints its address.\n\n" +
			"Ctrl-C stops at once, and says the line to continue from with --from.",
		Example: "  postlink publish posts.ndjson\n" +
			"  postlink publish posts.ndjson.gz --rate 50 --nats nats://127.0.0.1:4222\n" +
			"  postlink publish posts.ndjson --from 1201",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := cli.CheckRate(perSecond, "posts"); err != nil {
				return err
			}
			if from < 1 {
				return cli.Usage("--from %d: lines are counted from 1", from)
			}
			f, err := openPosts(cmd, args[0])
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			total := 0
			if !asIs {
				if total, err = f.Check(from); err != nil {
					return err
				}
				if total == 0 {
					return cli.Usage("%s has no posts from line %d on", args[0], from)
				}
			}
			b, cfg, err := nats.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer b.Close()
			stream, err := posts.Open(cmd.Context(), b, cfg.Stream())
			if err != nil {
				return err
			}
			ctx, release := b.Attached(cmd.Context())
			defer release()
			meter := cli.NewMeter(cmd.ErrOrStderr(), "posts published")
			result, err := f.Publish(ctx, stream, feed.Options{
				From: from, Rate: perSecond, Progress: func(n int) { meter.Show(n, total) },
			})
			meter.Done()
			if err != nil {
				if errors.Is(err, context.Canceled) {
					err = errors.New("stopped")
				}
				return fmt.Errorf("%w after %s; continue with: postlink publish %s --from %d", err, many(result.Published, "post"), args[0], result.Next)
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s published\n", many(result.Published, "post"))
			return err
		},
	}
	nats.register(cmd, "NATS `URL`; overrides the configuration (default $"+natsVariable+", else where postlink serve and postlink demo listen)")
	cmd.Flags().Float64Var(&perSecond, "rate", 0, "posts a second (default as fast as it goes)")
	cmd.Flags().IntVar(&from, "from", 1, "begin with the `LINE` of this number")
	cmd.Flags().BoolVar(&asIs, "as-is", false, "send lines that are no posts too; they become dead letters")
	return cmd
}

// openPosts opens a file of posts that the command line names. A file that cannot be opened is a usage error; one that holds
// something else than posts is a *feed.FormatError, which says what to do and ends with exit code 1. The caller closes the file.
func openPosts(cmd *cobra.Command, path string) (*feed.File, error) {
	f, err := feed.Open(path, cmd.InOrStdin())
	var format *feed.FormatError
	if err != nil && !errors.As(err, &format) && path != feed.Stdin {
		return nil, cli.FileError(path, aFileOfPosts, err)
	}
	return f, err
}
