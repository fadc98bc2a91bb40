// Package demo plays the whole path of a post in one process: an embedded NATS in a temporary folder, a simulated Dynamics 365
// instance for every instance of a catalog, and the worker with its console between them.
//
// The worker is the one that postlink serve runs (package app); only its surroundings are played. Nothing outlives a demo but the
// file of its records, and no real instance is ever asked: every client is led to the sandbox, whatever the catalog says.
package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"postlink/cmd/postlink/internal/app"
	"postlink/cmd/postlink/internal/feed"
	"postlink/deploy"
	"postlink/payload"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/event"
	"postlink/worker/ledger"
	"postlink/worker/posts"
)

// Options say what a demo plays.
type Options struct {
	Posts    *feed.File       // the sample posts when nil
	Catalog  *catalog.Catalog // the sample catalog when nil
	Rate     float64          // posts a second; 0 for as fast as it goes
	Records  string           // file that gets every record of the sandbox at the end; none when empty
	Exit     bool             // stop when every post has reached its last place, instead of when ctx ends
	Listener net.Listener     // of the console; Run closes it
	NATS     string           // address on which other processes reach NATS, port 0 for any; empty: only this process does
	Ready    func(Addresses)  // called when posts begin to flow; may be nil
	Linked   func(Made)       // called for each link that is made; may be nil
	Log      *zap.Logger
}

// Addresses are where a running demo is reached.
type Addresses struct {
	Console string // URL
	NATS    string // URL; empty when only this process reaches it
}

// Made is a link that was made, with what a person wants to see of it.
type Made struct {
	event.Event
	Text  string // of the post: its title and text
	Label string // what people call the record's type, as in Case
}

// Summary says what became of the posts of a demo. Records and Duplicates are counted by the sandbox, the rest by the worker: two
// counts of the same thing by different means, so a program can compare them. With Exit, Linked equals Records and Duplicates
// is 0, unless somebody removes links by hand meanwhile.
//
// Posts are those that the demo itself published. Those that others published meanwhile are in all other numbers. Dead are links,
// Undecodable are posts with a dead letter of their own. Queued are links that a stop left in their outbox. Seconds is the time
// from the start of Run to the end of the worker.
type Summary struct {
	Posts       int     `json:"posts"`
	Matched     int     `json:"matched"`
	Linked      int     `json:"linked"`
	Unmatched   int     `json:"unmatched"`
	Dead        int     `json:"dead"`
	Undecodable int     `json:"undecodable"`
	Queued      int     `json:"queued"`
	Records     int     `json:"records"`
	Duplicates  int     `json:"duplicates"`
	Seconds     float64 `json:"seconds"`
}

// Run plays until ctx ends, or with Exit until all posts are through, and counts what became of them. It is one straight line:
// start the parts in their order, feed the posts, wait, count.
//
// An interruption is no error: the summary is then of what was done so far. Three contexts end one after the other: ctx, by the
// caller; work, with ctx or when all posts are through; around, which outlives work so that the sandbox answers the last
// deliveries. NATS is synced to disk rarely, since its folder is deleted at the end anyway.
func Run(ctx context.Context, opts Options) (summary Summary, err error) {
	began := time.Now()
	sample := opts.Posts == nil
	if err := opts.fill(); err != nil {
		return Summary{}, err
	}
	if sample {
		defer func() { err = errors.Join(err, opts.Posts.Close()) }()
	}
	dir, err := os.MkdirTemp("", "postlink-demo-")
	if err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := bus.StartServer(ctx, bus.ServerOptions{Dir: dir, Listen: opts.NATS, SyncInterval: time.Minute, Log: opts.Log.Named("nats")})
	if err != nil {
		return Summary{}, err
	}
	defer server.Shutdown()
	stage, err := newStage(ctx, opts.Catalog)
	if err != nil {
		return Summary{}, err
	}
	defer stage.close()
	work, stop := context.WithCancel(ctx)
	defer stop()
	a, err := app.New(ctx, app.Options{Listener: opts.Listener, Worker: worker.Options{
		NATS: bus.Options{Server: server}, Dial: stage.dial, Catalog: opts.Catalog, Author: "postlink demo", Log: opts.Log,
	}})
	if err != nil {
		return Summary{}, err
	}
	defer a.Close()
	if opts.Ready != nil {
		opts.Ready(Addresses{Console: a.URL(), NATS: server.URL()})
	}
	// What stands around the worker ends after it, so that the last links are shown as the others are.
	around, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	shown := &lines{app: a, stage: stage, show: opts.Linked}
	var surroundings errgroup.Group
	surroundings.Go(func() error {
		defer stop() // without instances there is nothing to play
		return stage.run(around)
	})
	surroundings.Go(func() error { return shown.run(around) })
	g, work := errgroup.WithContext(work)
	g.Go(func() error { return a.Run(work) })
	g.Go(func() error {
		result, err := opts.Posts.Publish(work, a.Posts, feed.Options{Rate: opts.Rate})
		summary.Posts = result.Published
		if work.Err() != nil {
			return nil // stopped by hand in the middle of the posts
		}
		if err == nil && opts.Exit {
			err = waitForAll(work, a.Worker, opts.Catalog)
			stop()
		}
		return err
	})
	err = g.Wait()
	summary.Seconds = float64(time.Since(began).Milliseconds()) / 1000
	if err == nil {
		err = count(around, a, stage, &summary)
	}
	if err == nil {
		shown.catchUp(around, summary.Linked)
	}
	leave()
	if err := errors.Join(err, surroundings.Wait()); err != nil {
		return Summary{}, err
	}
	if opts.Records == "" {
		return summary, nil
	}
	return summary, stage.writeRecords(opts.Records)
}

// lines shows each link that is made. Links are read from the events, so they are shown a moment after they are made.
type lines struct {
	app   *app.App
	stage *stage
	show  func(Made) // nil shows nothing
	shown atomic.Int64
}

// run shows links until ctx ends. It reads the events from the first one on: links may be made before it begins.
func (l *lines) run(ctx context.Context) error {
	if l.show == nil {
		return nil
	}
	return l.app.Events.Follow(ctx, 0, func(e event.Event) error {
		if e.State == ledger.Linked {
			l.show(Made{e, textOf(ctx, l.app.Posts, e.PostSequence), l.stage.label(ctx, e.Instance, e.Entity)})
			l.shown.Add(1)
		}
		return nil
	})
}

// catchUp waits until as many links are shown, for lastLines at most. An event is published after the ledger has the link, and is
// only for people, so a demo neither waits for it longer nor fails without it.
func (l *lines) catchUp(ctx context.Context, links int) {
	for end := time.Now().Add(lastLines); l.show != nil && l.shown.Load() < int64(links) && time.Now().Before(end); {
		bus.Sleep(ctx, 10*time.Millisecond)
	}
}

// lastLines is how long the last links may take to be shown after a stop.
const lastLines = 2 * time.Second

// fill puts the samples where nothing is given.
func (o *Options) fill() (err error) {
	if o.Catalog == nil {
		if o.Catalog, err = catalog.LoadFS(deploy.Catalog()); err != nil {
			return fmt.Errorf("read the sample catalog: %w", err)
		}
	}
	if o.Posts == nil {
		o.Posts, err = feed.Text("the sample posts", deploy.SamplePosts())
	}
	return err
}

// textOf is the title and text of a post of the stream; empty when it cannot be read. An event does not carry the text of its
// post, so the stream is asked for it.
func textOf(ctx context.Context, p *posts.Posts, sequence uint64) string {
	m, err := p.Read(ctx, sequence)
	if err != nil {
		return ""
	}
	post, err := payload.DecodePost(m.Data)
	if err != nil {
		return ""
	}
	if post.Title == "" {
		return post.Text
	}
	return post.Title + " " + post.Text
}

// waitForAll returns when every post and every link has reached its last place, or ctx ends. The posts are looked at before the
// outboxes: a link is put into its outbox before its post is acked, so what has left the first is in the second already. In the
// other order a link could move between the two looks and be in neither.
func waitForAll(ctx context.Context, w *worker.Worker, c *catalog.Catalog) error {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		waiting, err := w.Posts.Backlog(ctx)
		for _, i := range c.Instances {
			if err != nil || waiting > 0 {
				break
			}
			var held bus.Held
			held, err = w.Outboxes.Waiting(ctx, i.Name)
			waiting = held.Messages
		}
		if ctx.Err() != nil || err == nil && waiting == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
}

// count counts what became of the posts, after the worker stopped and NATS is still there. Posts that no rule took leave no trace in
// NATS; only the worker's own counter knows them.
func count(ctx context.Context, a *app.App, stage *stage, s *Summary) error {
	err := a.Ledger.Scan(ctx, func(e ledger.Entry) error {
		s.Matched++
		switch e.Current().State {
		case ledger.Linked:
			s.Linked++
		case ledger.Dead:
			s.Dead++
		case ledger.Queued:
			s.Queued++
		}
		return nil
	})
	if err != nil {
		return err
	}
	undecodable, err := a.Letters.Count(ctx, deadletter.Filter{Kind: deadletter.Post})
	if err != nil {
		return err
	}
	s.Undecodable = int(undecodable)
	if s.Unmatched, err = a.Counted("postlink_posts_total", "unmatched"); err != nil {
		return err
	}
	for _, sb := range stage.sandboxes {
		s.Records += sb.Count("socialactivity")
		s.Duplicates += sb.Duplicates()
	}
	return nil
}
