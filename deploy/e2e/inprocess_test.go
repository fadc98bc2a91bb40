package e2e

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/ledger"
)

const token = "sandbox"

// everywhere runs a scenario in one process and in containers.
func everywhere(t *testing.T, scenario func(*testing.T, world)) {
	t.Parallel()
	t.Run("in one process", func(t *testing.T) {
		t.Parallel()
		scenario(t, newProcess(t))
	})
	t.Run("in containers", func(t *testing.T) {
		t.Parallel()
		scenario(t, newContainers(t))
	})
}

// process is a world in this process; its parts talk over loopback.
type process struct {
	dir    string
	server *bus.Server
	web    *httptest.Server
	kill   func()
}

func newProcess(t *testing.T) *process {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{Name: "contoso", Tokens: []string{token}})
	must(t, err)
	p := &process{dir: t.TempDir(), web: httptest.NewServer(s)}
	t.Cleanup(p.web.Close)
	p.startNATS(t, "127.0.0.1:0")
	t.Cleanup(func() { p.server.Shutdown() })
	p.startWorker(t)
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *process) natsURL(*testing.T) string    { return p.server.URL() }
func (p *process) sandboxURL(*testing.T) string { return p.web.URL }
func (p *process) instanceURL() string          { return p.web.URL }

func (p *process) startNATS(t *testing.T, listen string) {
	t.Helper()
	var err error
	p.server, err = bus.StartServer(bus.ServerOptions{Dir: p.dir, Listen: listen, SyncInterval: time.Second})
	must(t, err)
}

func (p *process) restartNATS(t *testing.T) {
	t.Helper()
	listen := strings.TrimPrefix(p.server.URL(), "nats://")
	p.server.Shutdown()
	p.startNATS(t, listen)
}

func (p *process) startWorker(t *testing.T) {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{URL: p.server.URL()})
	must(t, err)
	metrics := worker.NewMetrics(prometheus.NewRegistry())
	links := ledger.New(b, nil)
	store, err := catalog.New(catalog.Options{KV: b.Catalog(), Blobs: b.CatalogBlobs()})
	must(t, err)
	deliverer, err := worker.NewDeliverer(worker.DelivererOptions{
		Bus: b, Ledger: links, Catalog: store, Metrics: metrics, Log: zap.NewNop(), Drain: time.Nanosecond,
		Dial: func(i dynamics.Instance) (*dynamics.Client, error) {
			return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken(token)})
		},
	})
	must(t, err)
	live, err := catalog.NewLive(catalog.LiveOptions{Store: store, OnChange: deliverer.Follow})
	must(t, err)
	matcher, err := worker.NewMatcher(worker.MatcherOptions{
		Bus: b, Ledger: links, Catalog: live, Metrics: metrics, Log: zap.NewNop(), Drain: time.Nanosecond,
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{live.Run, deliverer.Run, matcher.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("a stage ended: %v", err)
			}
		})
	}
	p.kill = sync.OnceFunc(func() {
		b.Close() // first, so that nothing more can be settled
		cancel()
		wg.Wait()
	})
}

func (p *process) killWorker(*testing.T) { p.kill() }
