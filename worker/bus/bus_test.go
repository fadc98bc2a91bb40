package bus_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"postlink/worker/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, opts bus.ServerOptions) *bus.Server {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	s, err := bus.StartServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func connect(t *testing.T, opts bus.Options) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func TestAFullOutboxRefusesNewEntriesAndLosesNone(t *testing.T) {
	t.Parallel()
	b := connect(t, bus.Options{Server: start(t, bus.ServerOptions{}), OutboxEntries: 2})
	outbox, err := b.Outbox(t.Context(), "contoso")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2"} {
		if err := b.Enqueue(t.Context(), "contoso", id, nats.Header{}, []byte(id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Enqueue(t.Context(), "contoso", "3", nats.Header{}, []byte("3")); !errors.Is(err, bus.ErrOutboxFull) {
		t.Errorf("third entry of two: %v", err)
	}
	msg, err := outbox.Consumer().Next()
	if err != nil {
		t.Fatal(err)
	}
	if string(msg.Data()) != "1" {
		t.Errorf("first entry is %q", msg.Data())
	}
	if err := msg.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Enqueue(t.Context(), "contoso", "3", nats.Header{}, []byte("3")); err != nil {
		t.Errorf("third entry after one was delivered: %v", err)
	}
	if n, err := outbox.Waiting(t.Context()); err != nil || n != 2 {
		t.Errorf("%d waiting, error %v", n, err)
	}
}

func TestPostsSurviveARestartOnTheSameFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := bus.StartServer(bus.ServerOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.Connect(t.Context(), bus.Options{Server: first})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.PublishPost(t.Context(), "twitter", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	b.Close()
	first.Shutdown()

	again := connect(t, bus.Options{Server: start(t, bus.ServerOptions{Dir: dir})})
	if n, err := again.Backlog(t.Context()); err != nil || n != 1 {
		t.Errorf("backlog %d after the restart, error %v", n, err)
	}
	post, err := again.Post(t.Context(), 1)
	if err != nil || string(post.Data) != "hello" || post.Subject != "posts.twitter" {
		t.Errorf("post %+v, error %v", post, err)
	}
	if _, err := again.Post(t.Context(), 2); !errors.Is(err, bus.ErrNoPost) {
		t.Errorf("a post that was never there: %v", err)
	}
}

func TestTheIngestionsOwnStreamKeepsItsSettings(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{Listen: "127.0.0.1:0"})
	nc, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	want := jetstream.StreamConfig{Name: "SOCIAL", Subjects: []string{"ingest.social.*"}, MaxAge: time.Hour, MaxMsgs: 10}
	if _, err := js.CreateStream(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	b := connect(t, bus.Options{URL: server.URL(), Posts: bus.Posts{Stream: "SOCIAL", Subjects: []string{"ingest.social.*"}}})
	stream, err := js.Stream(t.Context(), "SOCIAL")
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().Config; got.MaxAge != want.MaxAge || got.MaxMsgs != want.MaxMsgs {
		t.Errorf("the stream's limits became %s and %d", got.MaxAge, got.MaxMsgs)
	}
	if err := b.PublishPost(t.Context(), "a b.c>", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if post, err := b.Post(t.Context(), 1); err != nil || post.Subject != "ingest.social.a-b-c-" {
		t.Errorf("post under %q, error %v", post.Subject, err)
	}
}

func TestADeadLetterLargerThanAMessageIsCutAndSaysSo(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{Listen: "127.0.0.1:0"})
	b := connect(t, bus.Options{Server: server})
	header := nats.Header{"Reason": {strings.Repeat("r", 1000)}}
	if err := b.PublishDead(t.Context(), "post", "1", header, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if got := header.Get(bus.DeadCut); got != "1048576" {
		t.Errorf("header %s is %q", bus.DeadCut, got)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	tests := map[string]struct {
		opts bus.Options
		want string
	}{
		"neither a server nor a url": {bus.Options{}, "needed"},
		"a ledger that forgets before the posts do": {
			bus.Options{Server: server, LedgerAge: 7 * bus.Day, Posts: bus.Posts{Age: 7 * bus.Day}}, "set ledger.max_age above posts.max_age",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bus.Connect(t.Context(), test.opts)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
		})
	}
}

func TestAnUnreachableNATSIsTold(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	server := start(t, bus.ServerOptions{Listen: "127.0.0.1:0"})
	url := server.URL()
	server.Shutdown()
	if _, err := bus.Connect(ctx, bus.Options{URL: url}); !errors.Is(err, bus.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

func TestTwoPostlinksShareAnAccountByPrefix(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	a := connect(t, bus.Options{Server: server, Prefix: "a-", Posts: bus.Posts{Stream: "A", Subjects: []string{"a.posts.>"}}})
	z := connect(t, bus.Options{Server: server, Prefix: "z-", Posts: bus.Posts{Stream: "Z", Subjects: []string{"z.posts.>"}}})
	if err := a.PublishPost(t.Context(), "twitter", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Backlog(t.Context()); err != nil || n != 1 {
		t.Errorf("backlog of a: %d, error %v", n, err)
	}
	if n, err := z.Backlog(t.Context()); err != nil || n != 0 {
		t.Errorf("backlog of z: %d, error %v", n, err)
	}
	if _, err := a.Ledger().Create(t.Context(), "k", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := z.Ledger().Get(t.Context(), "k"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("the ledgers are one: %v", err)
	}
}

func TestPostsAreReadBackwards(t *testing.T) {
	t.Parallel()
	b := connect(t, bus.Options{Server: start(t, bus.ServerOptions{})})
	const posts = 1300 // more than two windows
	for i := range posts {
		if _, err := b.PublishPostAsync("twitter", []byte(strconv.Itoa(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.PublishPost(t.Context(), "twitter", []byte(strconv.Itoa(posts+1))); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ below, stop, first, count uint64 }{
		"all of them":             {0, 0, posts + 1, posts + 1},
		"those before one":        {1000, 0, 999, 999},
		"until the reader stops":  {0, 3, posts + 1, 3},
		"those before the first":  {1, 0, 0, 0},
		"those before the future": {1 << 40, 5, posts + 1, 5},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var first, last, count uint64
			err := b.PostsBefore(t.Context(), test.below, func(m bus.Message) bool {
				if first == 0 {
					first = m.Sequence
				} else if m.Sequence != last-1 {
					t.Errorf("%d after %d", m.Sequence, last)
				}
				last = m.Sequence
				if string(m.Data) != strconv.FormatUint(m.Sequence, 10) {
					t.Errorf("post %d holds %s", m.Sequence, m.Data)
				}
				count++
				return count != test.stop
			})
			if err != nil || first != test.first || count != test.count {
				t.Errorf("%d posts from %d on, error %v; want %d from %d on", count, first, err, test.count, test.first)
			}
		})
	}
}

func TestWhoWaitsForNATSIsToldAtOnceThatItIsLost(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	b := connect(t, bus.Options{Server: server})
	before, cancel := b.Attached(t.Context())
	defer cancel()
	if err := before.Err(); err != nil {
		t.Fatalf("ended while NATS is there: %v", err)
	}
	server.Shutdown()
	select {
	case <-before.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the loss of NATS was not noticed")
	}
	after, cancel := b.Attached(t.Context())
	defer cancel()
	for name, ctx := range map[string]context.Context{"under way": before, "begun afterwards": after} {
		if !errors.Is(context.Cause(ctx), bus.ErrUnreachable) {
			t.Errorf("%s: the context ended because of %v", name, context.Cause(ctx))
		}
	}
}
