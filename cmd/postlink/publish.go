package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/app"
)

func newPublish() *cobra.Command {
	var (
		nats      natsFlags
		perSecond float64
	)
	cmd := &cobra.Command{
		Use:   "publish FILE",
		Short: "Publish posts from a file to NATS",
		Long:  "Publishes the posts in FILE, one JSON document a line (packed when it ends in .gz; - is standard input).",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			posts, err := app.OpenPosts(args[0])
			if err != nil {
				return err
			}
			defer posts.Close()
			b, err := nats.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer b.Close()
			meter := newMeter(cmd.ErrOrStderr(), "posts published")
			n, err := app.Publish(cmd.Context(), b, posts, perSecond, meter.show)
			meter.done()
			if err != nil {
				return fmt.Errorf("%d posts were published, then: %w", n, err)
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%d posts published\n", n)
			return err
		},
	}
	nats.register(cmd)
	cmd.Flags().Float64Var(&perSecond, "rate", 0, "posts a second (default as fast as it goes)")
	return cmd
}
