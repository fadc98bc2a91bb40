package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"postlink/deploy"
	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/ledger"
)

// sandboxToken is what the demo's instances accept; they listen on loopback only.
const sandboxToken = "demo"

// DemoOptions say what a demo plays.
type DemoOptions struct {
	Posts    string                                 // file of posts; the sample posts when empty
	Catalog  *catalog.Catalog                       // the sample catalog when nil
	Rate     float64                                // posts a second; 0 for as fast as it goes
	Records  string                                 // file that gets every record of the sandbox at the end; none when empty
	Exit     bool                                   // stop when all is settled, instead of when ctx ends
	Listen   string                                 // address of the console; empty: the usual one if it is free, else any
	Ready    func(console string)                   // told when posts begin to flow
	OnLinked func(event worker.Event, where string) // told of each link, with the URL of its record
	Log      *zap.Logger
}

// Summary says what became of the posts of a demo. Records and Duplicates are counted by the sandbox, the rest by the worker.
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

// Demo runs the whole road in one process: an embedded NATS in a temporary folder, a sandbox for every instance of the
// catalog, whatever its url, and the worker between them.
func Demo(ctx context.Context, opts DemoOptions) (summary Summary, err error) {
	began := time.Now()
	if opts.Catalog == nil {
		if opts.Catalog, err = catalog.LoadFS(deploy.Catalog()); err != nil {
			return Summary{}, err
		}
	}
	posts, err := demoPosts(opts.Posts)
	if err != nil {
		return Summary{}, err
	}
	defer posts.Close()

	dir, err := os.MkdirTemp("", "postlink-demo-")
	if err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := bus.StartServer(bus.ServerOptions{Dir: dir, SyncInterval: time.Minute, Log: opts.Log.Named("nats")})
	if err != nil {
		return Summary{}, err
	}
	defer server.Shutdown()
	stage, err := newStage(ctx, opts.Catalog)
	if err != nil {
		return Summary{}, err
	}
	if opts.Listen == "" {
		opts.Listen = usualListen(ctx)
	}
	a, err := New(ctx, Options{
		Bus: bus.Options{Server: server, Log: opts.Log.Named("nats")}, Dial: stage.dial, Listen: opts.Listen, Log: opts.Log,
		OnLinked: func(e worker.Event) { opts.OnLinked(e, e.URL) },
	})
	if err != nil {
		stage.close()
		return Summary{}, err
	}
	defer a.Close()
	if _, _, err := a.Catalog.Apply(ctx, opts.Catalog, catalog.Commit{Author: "postlink demo"}); err != nil {
		stage.close()
		return Summary{}, err
	}
	opts.Ready(a.URL())

	work, stop := context.WithCancel(ctx)
	defer stop()
	g, work := errgroup.WithContext(work)
	g.Go(func() error { return stage.run(work) })
	g.Go(func() error { return a.Run(work) })
	g.Go(func() error {
		n, err := Publish(work, a.Bus, posts, opts.Rate, func(int) {})
		summary.Posts = n
		if work.Err() != nil {
			return nil // stopped by hand in the middle of the posts
		}
		if err == nil && opts.Exit {
			err = settled(work, a.Bus, opts.Catalog)
			stop()
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return Summary{}, err
	}
	summary.Seconds = float64(time.Since(began).Milliseconds()) / 1000
	err = a.sum(context.WithoutCancel(ctx), stage, opts, &summary)
	return summary, err
}

// usualListen is where the commands look for a console, or, if somebody is there already, any port.
func usualListen(ctx context.Context) string {
	usual := DefaultConfig().Listen
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", usual)
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = l.Close()
	return usual
}

func demoPosts(path string) (io.ReadCloser, error) {
	if path == "" {
		return io.NopCloser(bytes.NewReader(deploy.SamplePosts())), nil
	}
	return OpenPosts(path)
}

// settled returns when every post and every link has reached its last place.
func settled(ctx context.Context, b *bus.Bus, c *catalog.Catalog) error {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		waiting, err := b.Backlog(ctx)
		for _, i := range c.Instances {
			if err != nil || waiting > 0 {
				break
			}
			var outbox *bus.Outbox
			if outbox, err = b.Outbox(ctx, i.Name); err == nil {
				waiting, err = outbox.Waiting(ctx)
			}
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

// sum counts what became of the posts.
func (a *App) sum(ctx context.Context, stage *stage, opts DemoOptions, s *Summary) error {
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
	undecodable, err := a.Bus.DeadPosts(ctx)
	if err != nil {
		return err
	}
	s.Undecodable = int(undecodable)
	if s.Unmatched, err = a.counted("postlink_posts_total", "unmatched"); err != nil {
		return err
	}
	for _, sb := range stage.sandboxes {
		s.Records += sb.Count("socialactivity")
		s.Duplicates += sb.Duplicates()
	}
	if opts.Records == "" {
		return nil
	}
	return stage.writeRecords(opts.Records)
}

// counted reads one of our own counters.
func (a *App) counted(name, label string) (int, error) {
	families, err := a.registry.Gather()
	if err != nil {
		return 0, err
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == label {
				return int(m.GetCounter().GetValue()), nil
			}
		}
	}
	return 0, nil
}

// stage is where the instances of a catalog are played: a sandbox for each, behind one address.
type stage struct {
	base      string
	listener  net.Listener
	handler   http.Handler
	sandboxes []*sandbox.Sandbox
}

func newStage(ctx context.Context, c *catalog.Catalog) (*stage, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &stage{base: "http://" + listener.Addr().String(), listener: listener}
	for _, i := range c.Instances {
		sb, err := sandbox.New(sandbox.Options{Name: i.Name, Tokens: []string{sandboxToken}})
		if err != nil {
			s.close()
			return nil, err
		}
		s.sandboxes = append(s.sandboxes, sb)
	}
	if s.handler, err = sandbox.NewMux(s.sandboxes...); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// dial connects an instance to its sandbox, whatever its url.
func (s *stage) dial(i dynamics.Instance) (*dynamics.Client, error) {
	i.URL = s.base + "/" + i.Name
	return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken(sandboxToken)})
}

// run plays until ctx ends.
func (s *stage) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, sb := range s.sandboxes {
		g.Go(func() error { return sb.Run(ctx) })
	}
	g.Go(func() error { return Serve(ctx, s.listener, s.handler) })
	return g.Wait()
}

func (s *stage) close() { _ = s.listener.Close() }

// writeRecords writes every record of every sandbox, one JSON object a line.
func (s *stage) writeRecords(path string) (err error) {
	f, err := os.Create(filepath.Clean(path))
	if err != nil {
		return fmt.Errorf("write the records: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	enc := json.NewEncoder(f)
	enc.SetEscapeHTML(false)
	for _, sb := range s.sandboxes {
		for r := range sb.Snapshot() {
			if err := enc.Encode(r); err != nil {
				return fmt.Errorf("write the records: %w", err)
			}
		}
	}
	return nil
}
