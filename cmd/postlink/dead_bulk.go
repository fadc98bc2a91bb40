package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/console/api"
)

const (
	atOnce   = 4 // requests for dead letters under way
	reported = 5 // refusals that are named
)

// letterWork is what can be done with many dead letters: those of given numbers, or all that filters choose. do works on one letter
// with one request; it is called by several goroutines at once.
type letterWork struct {
	use, short, long string
	ask              string // a question about "3 dead letters"
	done             string // "3 dead letters " and then
	destroys         bool   // also single letters are asked for
	do               func(ctx context.Context, c *api.Client, n string) (said string, err error)
}

// letterFlags are those of a command that works on many dead letters.
type letterFlags struct {
	filters letterFilters
	sure    cli.Confirmation
	all     bool
	dryRun  bool
	rate    float64
}

// newLetterWork makes a command that works on many dead letters. Single numbers are worked on in their order, with a line for each;
// what filters choose is counted, asked for, and only summed up: there may be a hundred thousand. The API has no request for many
// letters: each is one request, so that each is refused, or written to the audit log, by itself.
func newLetterWork(r *cli.Remote, work letterWork) *cobra.Command {
	var flags letterFlags
	cmd := flags.sure.Register(&cobra.Command{
		Use: work.use + " N... | --all | FILTERS", Short: work.short,
		Long: work.long + "\n\nName dead letters by their numbers, or choose them with filters, which have to be true all at once; --all takes all.\n" +
			"Those that filters choose are counted and asked for first. Stop with Ctrl-C; the same command then goes on with the rest.",
		Example: fmt.Sprintf("  postlink dead %[1]s 3 4 7\n  postlink dead %[1]s --instance contoso --code 0x80044331 --dry-run\n"+
			"  postlink dead %[1]s --rule rude-staff --since 2h --rate 20 --yes", work.use),
		ValidArgsFunction: r.Complete(ofEach(letterNumbers)),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			if err := flags.check(cmd, args); err != nil {
				return err
			}
			if len(args) > 0 {
				return work.named(cmd, c, r, &flags, args)
			}
			return work.chosen(cmd, c, &flags)
		}),
	})
	flags.filters.register(cmd, r)
	cmd.Flags().BoolVar(&flags.all, "all", false, "all dead letters")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "only count them")
	cmd.Flags().Float64Var(&flags.rate, "rate", 0, "dead letters a second (default as fast as it goes)")
	return cmd
}

// check refuses a command line that names dead letters in two ways, or in none: --all has to be written.
func (f *letterFlags) check(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 0 && (f.all || f.filters.given()):
		return cli.Usage("numbers and filters contradict each other; give one of them")
	case len(args) == 0 && !f.all && !f.filters.given():
		return cli.Usage("which dead letters? name their numbers, choose them with filters, or give --all; see %s --help", cmd.CommandPath())
	}
	if err := cli.CheckRate(f.rate, "dead letters"); err != nil {
		return err
	}
	return checkNumbers(args)
}

// limiter spreads the work over time, one limiter for all goroutines. It allows no burst: people ask for a rate because an instance
// has just recovered.
func (f *letterFlags) limiter() *rate.Limiter {
	if f.rate == 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(f.rate), 1)
}

// named works on the dead letters of the numbers given, one after the other, and says what became of each. A letter that is refused
// does not stop the others; the refusals are the error, and the exit code is 1.
func (w *letterWork) named(cmd *cobra.Command, c *api.Client, r *cli.Remote, flags *letterFlags, numbers []string) error {
	if flags.dryRun {
		return printCount(cmd, len(numbers))
	}
	if w.destroys {
		if err := flags.sure.Ask(cmd, fmt.Sprintf(w.ask, many(len(numbers), "dead letter"))); err != nil {
			return err
		}
	}
	limit := flags.limiter()
	return r.Each(cmd, c, nil, numbers, func(n string) error {
		if err := limit.Wait(cmd.Context()); err != nil {
			return err
		}
		said, err := w.do(cmd.Context(), c, n)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.ErrOrStderr(), cli.Harmless(said))
		return err
	})
}

// chosen works on all dead letters that the filters choose, up to the newest there is now: those that come while it runs, perhaps
// because of it, are left.
//
// The order is: newest, count, question, work. Letters that come after newest was read, as while the question waits for its answer,
// are not worked on, though a few may be in the count. With --dry-run the count alone goes to standard output, and nobody is asked.
func (w *letterWork) chosen(cmd *cobra.Command, c *api.Client, flags *letterFlags) error {
	ctx, query := cmd.Context(), flags.filters.query()
	newest, err := newestLetter(ctx, c, query)
	if err != nil {
		return err
	}
	if newest == 0 {
		if err := firstUnknown(ctx, c, &flags.filters.instance, &flags.filters.rule); err != nil {
			return err
		}
		return printCount(cmd, 0)
	}
	counted, _, err := api.Send[api.DeadCount](ctx, c, api.Request{Method: "GET", Path: api.PathDeadCount, Query: query})
	if err != nil {
		return err
	}
	if flags.dryRun {
		return printCount(cmd, counted.Count)
	}
	if err := flags.sure.Ask(cmd, fmt.Sprintf(w.ask, many(counted.Count, "dead letter"))); err != nil {
		return err
	}
	meter := cli.NewMeter(cmd.ErrOrStderr(), "dead letters")
	tally := tally{show: func(n int) { meter.Show(n, counted.Count) }}
	err = w.pages(ctx, c, query, newest, flags.limiter(), &tally)
	meter.Done()
	return tally.report(cmd, w.done, err)
}

// printCount prints to standard output how many dead letters there are, as --dry-run and an empty choice do.
func printCount(cmd *cobra.Command, n int) error {
	_, err := fmt.Fprintln(cmd.OutOrStdout(), many(n, "dead letter"))
	return err
}

// newestLetter is the number of the newest dead letter that a filter chooses; 0 when there is none.
func newestLetter(ctx context.Context, c *api.Client, query url.Values) (uint64, error) {
	for page, err := range api.Pages[api.DeadLetter](ctx, c, api.PathDead, query, 1) {
		if err != nil {
			return 0, err
		}
		if len(page.Items) > 0 {
			return page.Items[0].Sequence, nil
		}
	}
	return 0, nil
}

// pages goes through the list by its cursor, from the newest down, a few letters at a time. A letter that is refused does not
// stop the others; a server that does not answer does. Letters that are dropped meanwhile do not disturb the list, which goes down
// by sequence.
//
// Ctrl-C ends the requests under way. The server may have carried them out all the same, up to atOnce of them, and they are not
// in the tally. The same command run again finds only what is left.
func (w *letterWork) pages(ctx context.Context, c *api.Client, query url.Values, newest uint64, limit *rate.Limiter, t *tally) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	listed := func() error {
		for page, err := range api.Pages[api.DeadLetter](ctx, c, api.PathDead, query, 0) {
			if err != nil {
				return err
			}
			for _, letter := range page.Items {
				if letter.Sequence > newest {
					continue
				}
				if err := limit.Wait(ctx); err != nil {
					return err
				}
				g.Go(func() error {
					_, err := w.do(ctx, c, strconv.FormatUint(letter.Sequence, 10))
					return t.add(letter.Sequence, err)
				})
			}
		}
		return nil
	}()
	if err := g.Wait(); err != nil {
		return err
	}
	return listed
}

// tally counts what became of many dead letters. It is safe for concurrent use: mu guards the counts, and show is called under it, so
// that progress never runs backwards.
type tally struct {
	show func(done int) // progress

	mu      sync.Mutex
	done    int
	gone    int // somebody else was faster
	refused int
	first   []error
}

// add counts one letter. It returns the errors after which there is no use in going on: a server that cannot be reached or cannot
// reach NATS, a lack of token or role, and the end of the context. A letter that is unknown was on the list a moment ago, so
// somebody else, or an earlier run whose answer was lost, has done the work: that is counted and is no error.
func (t *tally) add(sequence uint64, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var problem *api.Problem
	switch {
	case err == nil:
		t.done++
	case !errors.As(err, &problem) || cli.ExitCode(err) == cli.ExitUnavailable:
		return err
	case problem.Kind() == api.KindLetterUnknown:
		t.gone++
	case problem.Kind() == api.KindForbidden, problem.Kind() == api.KindUnauthenticated:
		return err
	default:
		if t.refused++; len(t.first) < reported {
			t.first = append(t.first, fmt.Errorf("dead letter %d: %w", sequence, err))
		}
	}
	t.show(t.done + t.gone + t.refused)
	return nil
}

// report says how many letters were worked on, also after a stop, and returns why others were not; nil when all were, or were gone.
func (t *tally) report(cmd *cobra.Command, done string, stopped error) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "%s %s\n", many(t.done, "dead letter"), done)
	if t.gone > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s were gone already\n", many(t.gone, "dead letter"))
	}
	if errors.Is(stopped, context.Canceled) {
		stopped = errors.New("stopped; run the same command again to go on with the rest")
	}
	if t.refused == 0 {
		return stopped
	}
	errs := append([]error{fmt.Errorf("%s refused; correct the reason, then run the same command again", many(t.refused, "dead letter"))}, t.first...)
	return errors.Join(append(errs, stopped)...)
}
