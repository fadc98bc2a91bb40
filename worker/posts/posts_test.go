package posts_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/posts"
)

func TestMain(m *testing.M) { bustest.Main(m) }

func serve(t *testing.T, dir string) *bus.Server {
	t.Helper()
	server, err := bus.StartServer(t.Context(), bus.ServerOptions{Dir: dir, SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	return server
}

func connect(t *testing.T, server *bus.Server) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// ingestion is the connection of the pipeline that owns a stream.
func ingestion(t *testing.T, server *bus.Server) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func open(t *testing.T, server *bus.Server, opts posts.Options) *posts.Posts {
	t.Helper()
	if opts.Remembered == 0 {
		opts.Remembered = 400 * bus.Day
	}
	p, err := posts.Open(t.Context(), connect(t, server), opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func publish(t *testing.T, p *posts.Posts, network string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if err := p.Publish(t.Context(), network, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
}

// backlog waits until the backlog is as wanted: the server counts posts a moment after it acknowledged them. It is never zero before.
func backlog(t *testing.T, p *posts.Posts, want uint64) {
	t.Helper()
	bustest.Eventually(t, 20*time.Second, fmt.Sprintf("a backlog of %d", want), func() (bool, error) {
		n, err := p.Backlog(t.Context())
		if err != nil || n == 0 && want != 0 {
			t.Fatalf("backlog %d, want %d; error %v", n, want, err)
		}
		return n == want, fmt.Errorf("it is %d", n)
	})
}

// take settles posts until there are n, and returns them.
func take(t *testing.T, p *posts.Posts, n int) (bodies []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var mu sync.Mutex
	p.Take(ctx, bus.Consumption{Slots: 1, Confirm: true, Drain: time.Minute}, func(_ context.Context, d bus.Delivery) bus.Settlement {
		mu.Lock()
		defer mu.Unlock()
		if len(bodies) == n {
			return bus.Again(0)
		}
		bodies = append(bodies, string(d.Data))
		if len(bodies) == n {
			cancel()
		}
		return bus.Ack()
	})
	return bodies
}

func TestOurStreamIsMadeAsAsked(t *testing.T) {
	t.Parallel()
	server := serve(t, t.TempDir())
	p := open(t, server, posts.Options{Age: 3 * bus.Day, Bytes: 1 << 30})
	stream, err := ingestion(t, server).Stream(t.Context(), "POSTS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if cfg.MaxAge != 3*bus.Day || cfg.MaxBytes != 1<<30 || cfg.Metadata["postlink"] == "" || cfg.Discard != jetstream.DiscardOld {
		t.Errorf("stream %+v", cfg)
	}
	if diff := cmp.Diff([]string{"posts.>"}, cfg.Subjects); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	backlog(t, p, 0)
}

func TestTheIngestionsOwnStreamKeepsItsSettings(t *testing.T) {
	t.Parallel()
	server := serve(t, t.TempDir())
	js := ingestion(t, server)
	theirs, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "SOCIAL", Subjects: []string{"ingest.social.*", "ingest.other"}, MaxAge: time.Hour, MaxMsgs: 10, Description: "theirs",
	})
	if err != nil {
		t.Fatal(err)
	}
	before := theirs.CachedInfo().Config
	p := open(t, server, posts.Options{Stream: "SOCIAL", Subjects: []string{"ingest.social.*"}})
	after, err := js.Stream(t.Context(), "SOCIAL")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after.CachedInfo().Config); diff != "" {
		t.Errorf("the stream was changed (-before +after):\n%s", diff)
	}
	if _, err := js.Publish(t.Context(), "ingest.other", []byte("no post")); err != nil {
		t.Fatal(err)
	}
	backlog(t, p, 0)
	publish(t, p, "a b.c>", "x")
	if post, err := p.Read(t.Context(), 2); err != nil || post.Subject != "ingest.social.a-b-c-" {
		t.Errorf("post under %q, error %v", post.Subject, err)
	}
	backlog(t, p, 1)
}

func TestAStreamThatOutlivesTheLedgersMemoryIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		theirs *jetstream.StreamConfig
		opts   posts.Options
		want   string
	}{
		"ours, for as long":    {nil, posts.Options{Age: bus.Day, Remembered: bus.Day}, "set ledger.max_age above posts.max_age"},
		"ours, by default":     {nil, posts.Options{Remembered: 7 * bus.Day}, "set ledger.max_age above posts.max_age"},
		"theirs, for ever":     {&jetstream.StreamConfig{}, posts.Options{Remembered: 400 * bus.Day}, "set a max_age on the stream"},
		"theirs, for too long": {&jetstream.StreamConfig{MaxAge: 400 * bus.Day}, posts.Options{Remembered: 400 * bus.Day}, "below ledger.max_age"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, t.TempDir())
			if test.theirs != nil {
				test.theirs.Name, test.theirs.Subjects = "POSTS", []string{"posts.>"}
				if _, err := ingestion(t, server).CreateStream(t.Context(), *test.theirs); err != nil {
					t.Fatal(err)
				}
			}
			_, err := posts.Open(t.Context(), connect(t, server), test.opts)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
		})
	}
}

func TestAPostIsPublishedUnderItsNetwork(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		subjects []string
		network  string
		want     string
	}{
		"the default":       {nil, "twitter", "posts.twitter"},
		"no network":        {nil, "", "posts.other"},
		"a network of dots": {nil, "a.b *", "posts.a-b--"},
		"one token":         {[]string{"social.*.new"}, "facebook", "social.facebook.new"},
		"no wildcard":       {[]string{"social"}, "facebook", "social"},
		"the first of two":  {[]string{"first.*", "second.*"}, "facebook", "first.facebook"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, serve(t, t.TempDir()), posts.Options{Subjects: test.subjects})
			future, err := p.PublishAsync(test.network, []byte("1"))
			if err != nil {
				t.Fatal(err)
			}
			select {
			case <-future.Ok():
			case err := <-future.Err():
				t.Fatal(err)
			}
			publish(t, p, test.network, "2")
			for sequence := range uint64(2) {
				m, err := p.Read(t.Context(), sequence+1)
				if err != nil || m.Subject != test.want || string(m.Data) != strconv.FormatUint(sequence+1, 10) {
					t.Errorf("post %+v, error %v", m, err)
				}
			}
		})
	}
}

func TestTheBacklogCountsWhatIsNotSettled(t *testing.T) {
	t.Parallel()
	p := open(t, serve(t, t.TempDir()), posts.Options{Subjects: []string{"posts.a.*", "posts.b.*"}})
	backlog(t, p, 0)
	publish(t, p, "x", "1", "2", "3")
	backlog(t, p, 3)
	if diff := cmp.Diff([]string{"1", "2"}, take(t, p, 2)); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
	backlog(t, p, 1)
	take(t, p, 1)
	backlog(t, p, 0)
}

func TestPostsAreReadOneByOneAndBackwards(t *testing.T) {
	t.Parallel()
	p := open(t, serve(t, t.TempDir()), posts.Options{})
	publish(t, p, "twitter", "1", "2", "3")
	if _, err := p.Read(t.Context(), 4); !errors.Is(err, posts.ErrNotFound) || !strings.Contains(err.Error(), "read post 4") {
		t.Errorf("a post that never was there: %v", err)
	}
	for below, want := range map[uint64][]string{0: {"3", "2", "1"}, 3: {"2", "1"}, 1: nil} {
		var got []string
		err := p.Backwards(t.Context(), below, func(m bus.Message) (bool, error) {
			got = append(got, string(m.Data))
			return true, nil
		})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("below %d: error %v, posts (-want +got):\n%s", below, err, diff)
		}
	}
}

func TestPostsAndWhatIsSettledSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := serve(t, dir)
	p := open(t, first, posts.Options{})
	publish(t, p, "twitter", "1")
	take(t, p, 1)
	publish(t, p, "twitter", "2", "3")
	first.Shutdown()

	again := open(t, serve(t, dir), posts.Options{})
	backlog(t, again, 2)
	if post, err := again.Read(t.Context(), 1); err != nil || string(post.Data) != "1" {
		t.Errorf("post %+v, error %v", post, err)
	}
	if diff := cmp.Diff([]string{"2", "3"}, take(t, again, 2)); diff != "" {
		t.Errorf("taken after the restart (-want +got):\n%s", diff)
	}
}
