package demo_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"postlink/cmd/postlink/internal/demo"
	"postlink/cmd/postlink/internal/feed"
	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
	"postlink/worker/posts"
)

func TestMain(m *testing.M) {
	bustest.Main(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// smallCatalog has one rule, which takes posts with the word late.
func smallCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.LoadFS(fstest.MapFS{"catalog.yaml": {Data: []byte(`
instances:
  - name: contoso
    url: https://contoso.crm.dynamics.com
    auth: {kind: client_credentials, tenant: t, client_id: c, client_secret: {env: CONTOSO_SECRET}}
    entities: [{name: incident}]
rules:
  - name: delays
    when: post.mentions("late")
    link: {instance: contoso, entity: incident}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func text(t *testing.T, lines ...string) *feed.File {
	t.Helper()
	f, err := feed.Text("posts", []byte(strings.Join(lines, "\n")))
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

func post(id int, text string) string {
	return fmt.Sprintf(`{"post":{"id":%d,"source":{"param":"Twitter"},"title":"Hello","content":{"text":%q}}}`, id, text)
}

func TestEveryPostOfADemoIsCountedOnce(t *testing.T) {
	t.Parallel()
	records := filepath.Join(t.TempDir(), "records.ndjson")
	got, err := demo.Run(t.Context(), demo.Options{
		Posts:   text(t, post(1, "late again"), post(1, "late again"), post(2, "all fine"), `{"post":`, post(3, "LATE")),
		Catalog: smallCatalog(t), Records: records, Exit: true, Listener: listen(t), Log: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	got.Seconds = 0
	want := demo.Summary{Posts: 5, Matched: 2, Linked: 2, Unmatched: 1, Undecodable: 1, Records: 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	activities := 0
	eachLine(t, records, func(line []byte) {
		if strings.Contains(string(line), `"table":"socialactivity"`) {
			activities++
		}
	})
	if activities != 2 {
		t.Errorf("%d social activities are written to the file of records, want 2", activities)
	}
}

func TestTheSamplesAreADemoOfTheirOwn(t *testing.T) {
	t.Parallel()
	got, err := demo.Run(t.Context(), demo.Options{Exit: true, Listener: listen(t), Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	if got.Posts < 100 || got.Linked < 50 || got.Linked != got.Matched || got.Records != got.Linked || got.Duplicates+got.Queued+got.Dead != 0 {
		t.Errorf("%+v", got)
	}
}

// A demo without Exit runs until it is stopped: others reach it, and each link is shown with what a person wants to see of it.
func TestARunningDemoIsReachedByOthers(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var (
		mu   sync.Mutex
		made []string
		at   = make(chan demo.Addresses, 1)
		all  = make(chan struct{})
	)
	run := make(chan error, 1)
	go func() { // ends with stop; its result is awaited below
		_, err := demo.Run(ctx, demo.Options{
			Posts: text(t, post(1, "late again")), Catalog: smallCatalog(t), Listener: listen(t), NATS: "127.0.0.1:0", Log: zap.NewNop(),
			Ready: func(a demo.Addresses) { at <- a },
			Linked: func(m demo.Made) {
				mu.Lock()
				defer mu.Unlock()
				made = append(made, fmt.Sprintf("@%d %s by %s: %s in %s", m.PostSequence, m.Text, m.Rule, m.Label, m.Instance))
				if len(made) == 2 {
					close(all)
				}
			},
		})
		run <- err
	}()
	addresses := <-at
	resp, err := http.Get(addresses.Console + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the console says %s, %v", resp.Status, err)
	}
	b, err := bus.Connect(ctx, bus.Options{URL: addresses.NATS})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := posts.Open(ctx, b, posts.Options{Remembered: 400 * bus.Day})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := text(t, post(2, "LATE")).Publish(ctx, stream, feed.Options{}); err != nil {
		t.Fatal(err)
	}
	b.Close()
	<-all
	stop()
	if err := <-run; err != nil {
		t.Fatal(err)
	}
	slices.Sort(made)
	want := []string{"@1 Hello late again by delays: Case in contoso", "@2 Hello LATE by delays: Case in contoso"}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
}
