package feed_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"postlink/cmd/postlink/internal/feed"
	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	stream "postlink/worker/posts"
)

func TestMain(m *testing.M) { bustest.Main(m) }

// post is a post as a line of a file.
func post(id int) string {
	return fmt.Sprintf(`{"post":{"id":%d,"source":{"param":"Twitter"},"content":{"text":"late"}}}`, id)
}

func posts(n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(post(i+1) + "\n")
	}
	return text.String()
}

func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, name, text string) *feed.File {
	t.Helper()
	f, err := feed.Open(write(t, name, text), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestWhatIsNoFileOfPostsIsRefusedAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, text, want string }{
		"gzip under a wrong name": {"posts.ndjson", packed(t, posts(2)), "its name does not end in .gz; rename it"},
		"text that is named gzip": {"posts.gz", posts(2), "it is not packed with gzip"},
		"gzip that is cut off":    {"posts.gz", packed(t, posts(2))[:40], "damaged or cut off"},
		"an array":                {"posts.json", "[" + post(1) + ",\n" + post(2) + "]", "jq -c '.[]'"},
		"an array over lines":     {"posts.json", "[\n" + post(1) + "\n]", "jq -c '.[]'"},
		"pretty-printed":          {"posts.json", "{\n  \"post\": {\n    \"id\": 1\n  }\n}\n", "jq -c . FILE"},
		"pretty, but started":     {"posts.json", "{ \"post\": {\n    \"id\": 1\n  }\n}\n", "jq -c . FILE"},
		"in UTF-16":               {"posts.json", "\xff\xfe{\x00", "save it as UTF-8"},
		"empty":                   {"posts.json", "\n \n", "it holds no posts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := feed.Open(write(t, test.file, test.text), nil)
			var format *feed.FormatError
			if !errors.As(err, &format) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	if _, err := feed.Open(t.TempDir(), nil); err == nil {
		t.Error("a folder was opened")
	}
	if _, err := feed.Open(feed.Stdin, strings.NewReader(packed(t, posts(1)))); err == nil || !strings.Contains(err.Error(), "zcat") {
		t.Errorf("gzip on standard input: %v", err)
	}
	if _, err := feed.Open(feed.Stdin, iotest.ErrReader(errors.New("broken pipe"))); err == nil {
		t.Error("an input that breaks was taken")
	}
}

func TestEveryLineIsCheckedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text  string
		from  int
		posts int
		want  []string // in the error; none for a good file
	}{
		"good posts":                 {posts(3), 0, 3, nil},
		"blank lines between":        {post(1) + "\n\n  \n" + post(2), 0, 2, nil},
		"a mark of the byte order":   {"\ufeff" + post(1), 0, 1, nil},
		"only lines from one on":     {"nonsense\n" + post(2), 2, 1, nil},
		"a line that is no JSON":     {post(1) + "\n{\"post\":\n" + post(3), 0, 2, []string{"1 line is no post, 2 are; nothing was sent", "f.ndjson:2: "}},
		"an object that is no post":  {post(1) + "\n{\"name\":\"x\"}", 0, 1, []string{"f.ndjson:2: "}},
		"more than can be listed":    {post(1) + strings.Repeat("\nno", 7), 0, 1, []string{"7 lines are no posts", "f.ndjson:6: ", "and 2 more"}},
		"numbers count blank lines":  {post(1) + "\n\nno", 0, 1, []string{"f.ndjson:3: "}},
		"a line that is far too big": {post(1) + "\n" + strings.Repeat("x", 2<<20), 0, 1, []string{"f.ndjson:2: the line is longer than"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := open(t, "f.ndjson", test.text).Check(test.from)
			if n != test.posts || (err != nil) != (test.want != nil) {
				t.Fatalf("%d posts, %v; want %d, and errors: %q", n, err, test.posts, test.want)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %q", err, want)
				}
			}
		})
	}
}

// newStream is a stream of posts, and a context that ends when its NATS is lost; stop shuts that down.
func newStream(t *testing.T) (ctx context.Context, p *stream.Posts, stop func()) {
	t.Helper()
	server := bustest.Server(t)
	b := bustest.Connect(t, server)
	p, err := stream.Open(t.Context(), b, stream.Options{Remembered: 400 * bus.Day})
	if err != nil {
		t.Fatal(err)
	}
	ctx, release := b.Attached(t.Context())
	t.Cleanup(release)
	return ctx, p, server.Shutdown
}

// kept are the posts of a stream, the oldest first.
func kept(t *testing.T, p *stream.Posts) []bus.Message {
	t.Helper()
	var found []bus.Message
	err := p.Backwards(t.Context(), 0, func(m bus.Message) (bool, error) {
		found = append(found, m)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(found)
	return found
}

func TestAFileIsPublishedInItsOrder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, text string
		from       int
		want       feed.Result
		first      string
	}{
		"a file":             {"f.ndjson", posts(3), 0, feed.Result{Published: 3, Next: 4}, post(1)},
		"a packed file":      {"f.ndjson.gz", packed(t, posts(3)), 0, feed.Result{Published: 3, Next: 4}, post(1)},
		"from a line on":     {"f.ndjson", posts(3), 2, feed.Result{Published: 2, Next: 4}, post(2)},
		"with blank lines":   {"f.ndjson", "\n" + post(1) + "\n\n" + post(2) + "\n", 0, feed.Result{Published: 2, Next: 5}, post(1)},
		"more than one gulp": {"f.ndjson", posts(1500), 0, feed.Result{Published: 1500, Next: 1501}, post(1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, p, _ := newStream(t)
			seen := 0
			got, err := open(t, test.file, test.text).Publish(ctx, p, feed.Options{From: test.from, Progress: func(n int) { seen = n }})
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want || seen != got.Published {
				t.Errorf("%+v, want %+v; progress said %d", got, test.want, seen)
			}
			found := kept(t, p)
			if len(found) != got.Published || string(found[0].Data) != test.first || found[0].Subject != "posts.twitter" {
				t.Errorf("%d posts are kept, the first under %s: %s", len(found), found[0].Subject, found[0].Data)
			}
		})
	}
}

func TestStandardInputIsPublished(t *testing.T) {
	t.Parallel()
	f, err := feed.Open(feed.Stdin, strings.NewReader(posts(2)))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Check(0); n != 2 || err != nil {
		t.Errorf("%d posts, %v", n, err)
	}
	ctx, p, _ := newStream(t)
	if got, err := f.Publish(ctx, p, feed.Options{}); err != nil || got.Published != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhoIsInterruptedKnowsWhereToGoOn(t *testing.T) {
	t.Parallel()
	attached, p, _ := newStream(t)
	ctx, stop := context.WithCancel(attached)
	defer stop()
	f := open(t, "f.ndjson", posts(2000))
	got, err := f.Publish(ctx, p, feed.Options{Rate: 2000, Progress: func(n int) {
		if n >= 40 {
			stop()
		}
	}})
	if !errors.Is(err, context.Canceled) || got.Published < 40 || got.Published > 1900 || got.Next != got.Published+1 {
		t.Fatalf("%+v, %v", got, err)
	}
	rest, err := f.Publish(attached, p, feed.Options{From: got.Next})
	if err != nil || got.Published+rest.Published != 2000 {
		t.Fatalf("%+v and then %+v, %v", got, rest, err)
	}
	found := kept(t, p)
	if len(found) < 2000 || string(found[len(found)-1].Data) != post(2000) {
		t.Errorf("%d posts are kept", len(found))
	}
	seen := map[string]bool{}
	for _, m := range found {
		seen[string(m.Data)] = true
	}
	if len(seen) != 2000 {
		t.Errorf("%d of 2000 posts are kept", len(seen))
	}
}

func TestALostNATSIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	ctx, p, stop := newStream(t)
	stop()
	began := time.Now()
	got, err := open(t, "f.ndjson", posts(3)).Publish(ctx, p, feed.Options{})
	if !errors.Is(err, bus.ErrUnreachable) || got.Published != 0 || got.Next != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("that took %s", took)
	}
}

func TestTheRateIsKept(t *testing.T) {
	t.Parallel()
	const n, rate = 1500, 3000 // above what waiting for each acknowledgement or each tick of a timer would allow
	ctx, p, _ := newStream(t)
	f := open(t, "f.ndjson", posts(n))
	began := time.Now()
	if _, err := f.Publish(ctx, p, feed.Options{Rate: rate}); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began).Seconds()
	if least := (n - 0.01*rate - 1) / rate; took < least*0.98 {
		t.Errorf("%d posts took %.3f s, less than %.3f s: the rate was exceeded", n, took, least)
	}
	if took > 10*float64(n)/rate {
		t.Errorf("%d posts took %.3f s instead of %.3f s", n, took, float64(n)/rate)
	}
}
