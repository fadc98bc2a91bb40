package app_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"postlink/cmd/postlink/internal/app"
	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
	"postlink/worker/console"
	"postlink/worker/event"
	"postlink/worker/ledger"
)

func TestMain(m *testing.M) { bustest.Main(m) }

const rulesYAML = `
instances:
  - name: contoso
    url: https://contoso.crm.dynamics.com
    auth: {kind: static, token: {env: CONTOSO_TOKEN}}
    entities: [{name: incident}]
rules:
  - name: delays
    when: post.mentions("late")
    link: {instance: contoso, entity: incident}
`

// running is an App that runs, with a simulated instance.
type running struct {
	*app.App
	contoso *sandbox.Sandbox
	stop    context.CancelFunc
	ended   chan error // what Run returned
}

// start runs an App; change may change its options.
func start(t *testing.T, change ...func(*app.Options)) *running {
	t.Helper()
	server := bustest.Server(t)
	var err error
	r := &running{ended: make(chan error, 1)}
	r.contoso, err = sandbox.New(sandbox.Options{Name: "contoso", Tokens: []string{"t"}})
	must(t, err)
	web := httptest.NewServer(r.contoso)
	t.Cleanup(web.Close)
	file := filepath.Join(t.TempDir(), "catalog.yaml")
	must(t, os.WriteFile(file, []byte(rulesYAML), 0o600))
	rules, err := catalog.Load(file)
	must(t, err)
	opts := app.Options{Listener: listen(t), Worker: worker.Options{
		NATS: bus.Options{Server: server}, Catalog: rules, Log: zap.NewNop(),
		Dial: func(i dynamics.Instance) (*dynamics.Client, error) {
			i.URL = web.URL
			return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken("t")})
		},
	}}
	for _, c := range change {
		c(&opts)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	r.stop = stop
	r.App, err = app.New(ctx, opts)
	must(t, err)
	t.Cleanup(r.Close)
	go func() { r.ended <- r.Run(ctx) }()
	return r
}

// stopped stops the App and expects that Run ends without an error.
func (r *running) stopped(t *testing.T) {
	t.Helper()
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("a stop is no failure: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not stop")
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get asks the console, on a connection that does not outlive the answer.
func (r *running) get(t *testing.T, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+path, nil)
	must(t, err)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(body)
}

// link publishes a post that the rule takes, and waits until it is linked.
func (r *running) link(t *testing.T) {
	t.Helper()
	must(t, r.Posts.Publish(t.Context(), "twitter", []byte(`{"post":{"id":1,"source":{"param":"Twitter"},"content":{"text":"late"},"profile":{"externalHandle":"ann"}}}`)))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := r.Events.Follow(ctx, 0, func(e event.Event) error {
		if e.State == ledger.Linked {
			return io.EOF
		}
		return nil
	})
	if err != io.EOF { //nolint:errorlint // it is ours
		t.Fatalf("the post is not linked: %v", err)
	}
}

func TestWhatRunsIsServedCountedAndNamedInRecords(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ configured, want string }{
		"the console's own address":  {"", "{{console}}/"},
		"the address of the network": {"https://postlink.example", "https://postlink.example/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, func(o *app.Options) { o.Worker.ConsoleURL = test.configured })
			defer r.stopped(t)
			r.link(t)
			want := strings.ReplaceAll(test.want, "{{console}}", r.URL())
			found := 0
			for record := range r.contoso.Records("socialactivity") {
				found++
				if text := strings.ReplaceAll(string(record.Record), `\"`, `"`); !strings.Contains(text, `"MSEbacklinkPost":"`+want) {
					t.Errorf("the record does not lead to the post below %s: %s", want, text)
				}
			}
			if found != 1 {
				t.Errorf("%d records", found)
			}
			if status, body := r.get(t, "/healthz"); status != http.StatusOK {
				t.Errorf("/healthz: %d %s", status, body)
			}
			_, metrics := r.get(t, "/metrics")
			for _, family := range []string{"go_goroutines", "process_", "postlink_"} {
				if !strings.Contains(metrics, "\n"+family) {
					t.Errorf("/metrics lacks %s", family)
				}
			}
		})
	}
}

func TestOurOwnCountersCanBeRead(t *testing.T) {
	t.Parallel()
	r := start(t)
	defer r.stopped(t)
	r.link(t)
	for name, test := range map[string]struct {
		counter, label string
		want           int
	}{
		"a counter":             {"postlink_posts_total", "matched", 1},
		"a label that is none":  {"postlink_posts_total", "nonsense", 0},
		"a counter that is not": {"postlink_nonsense_total", "linked", 0},
	} {
		if got, err := r.Counted(test.counter, test.label); err != nil || got != test.want {
			t.Errorf("%s: %d, %v, want %d", name, got, err, test.want)
		}
	}
}

// A stream of events never ends by itself: without the signal that the process stops, it would hold the stop up.
func TestAStopEndsStreamsOfEvents(t *testing.T) {
	t.Parallel()
	r := start(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/api/v1/events", nil)
	must(t, err)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); err != nil {
		t.Fatalf("the stream says %q, %v", line, err)
	}
	began := time.Now()
	r.stopped(t)
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Errorf("the stream is cut, not ended: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if _, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.URL(), "http://")); err == nil {
		t.Error("the console still listens")
	}
}

func TestWhatCannotBePutTogetherIsRefusedAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	_, err := app.New(t.Context(), app.Options{Listener: listen(t), Worker: worker.Options{
		NATS: bus.Options{URL: "nats://" + listenedBriefly(t)}, Log: zap.NewNop(),
	}})
	if err == nil || !strings.Contains(err.Error(), "NATS") {
		t.Errorf("without NATS: %v", err)
	}
	server := bustest.Server(t)
	token, err := console.ParseToken("ann", "reader", fmt.Sprintf("%064d", 1))
	must(t, err)
	a, err := app.New(t.Context(), app.Options{
		Listener: listen(t), Tokens: []console.Token{token}, Worker: worker.Options{NATS: bus.Options{Server: server}, Log: zap.NewNop()},
	})
	must(t, err)
	a.Close() // without Run: goleak sees what is left
}

// listenedBriefly is an address that nobody listens on.
func listenedBriefly(t *testing.T) string {
	t.Helper()
	l := listen(t)
	address := l.Addr().String()
	must(t, l.Close())
	return address
}
