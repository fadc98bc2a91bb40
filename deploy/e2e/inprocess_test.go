package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
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
	"postlink/worker/console"
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
	dir       string
	server    *bus.Server
	sandboxes map[string]*httptest.Server // by organization
	api       *httptest.Server
	kill      func() error // says which stages ended before
}

func newProcess(t *testing.T) *process {
	t.Helper()
	p, err := openProcess(t.Context())
	must(t, err)
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// openProcess makes a world that lives until it is closed.
func openProcess(ctx context.Context) (_ *process, err error) {
	p := &process{sandboxes: map[string]*httptest.Server{}, kill: func() error { return nil }}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.dir, err = os.MkdirTemp("", "postlink-e2e-"); err != nil {
		return p, err
	}
	for _, name := range []string{contoso, fabrikam} {
		s, err := sandbox.New(sandbox.Options{Name: name, Tokens: []string{token}})
		if err != nil {
			return p, err
		}
		p.sandboxes[name] = httptest.NewServer(s)
	}
	if err := p.openNATS("127.0.0.1:0"); err != nil {
		return p, err
	}
	err = p.openWorker(ctx)
	return p, err
}

func (p *process) close() error {
	err := p.kill()
	if p.server != nil {
		p.server.Shutdown()
	}
	for _, s := range p.sandboxes {
		s.Close()
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

func (p *process) natsURL(*testing.T) string                   { return p.server.URL() }
func (p *process) apiURL(*testing.T) string                    { return p.api.URL }
func (p *process) sandboxURL(_ *testing.T, name string) string { return p.sandboxes[name].URL }
func (p *process) instanceURL(name string) string              { return p.sandboxes[name].URL }

func (p *process) openNATS(listen string) (err error) {
	p.server, err = bus.StartServer(bus.ServerOptions{Dir: p.dir, Listen: listen, SyncInterval: time.Second})
	return err
}

func (p *process) restartNATS(t *testing.T) {
	t.Helper()
	listen := strings.TrimPrefix(p.server.URL(), "nats://")
	p.server.Shutdown()
	must(t, p.openNATS(listen))
}

func (p *process) startWorker(t *testing.T) {
	t.Helper()
	must(t, p.openWorker(t.Context()))
}

// openWorker puts a worker and its API together, one straight line, and runs them until they are killed.
func (p *process) openWorker(ctx context.Context) error {
	b, err := bus.Connect(ctx, bus.Options{URL: p.server.URL()})
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	metrics := worker.NewMetrics(registry)
	links := ledger.New(b, nil)
	store, err := catalog.New(catalog.Options{KV: b.Catalog(), Blobs: b.CatalogBlobs()})
	if err != nil {
		return err
	}
	clients := worker.NewClients(func(i dynamics.Instance) (*dynamics.Client, error) {
		return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken(token)})
	})
	deliverer, err := worker.NewDeliverer(worker.DelivererOptions{
		Bus: b, Ledger: links, Catalog: store, Metrics: metrics, Log: zap.NewNop(), Drain: time.Nanosecond,
		Dial: clients.Client, RetryFirst: 20 * time.Millisecond, ProbeEvery: 50 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	live, err := catalog.NewLive(catalog.LiveOptions{Store: store, OnChange: deliverer.Follow})
	if err != nil {
		return err
	}
	matcher, err := worker.NewMatcher(worker.MatcherOptions{
		Bus: b, Ledger: links, Catalog: live, Metrics: metrics, Log: zap.NewNop(), Drain: time.Nanosecond,
	})
	if err != nil {
		return err
	}
	journal, err := worker.NewJournal(b, zap.NewNop(), nil)
	if err != nil {
		return err
	}
	linker, err := worker.NewLinker(worker.LinkerOptions{Bus: b, Ledger: links, Catalog: live.Current, Clients: clients, Log: zap.NewNop()})
	if err != nil {
		return err
	}
	reader, err := worker.NewReader(b, links, live.Current)
	if err != nil {
		return err
	}
	administrator, err := worker.NewAdministrator(worker.AdministratorOptions{Bus: b, Catalog: store, Clients: clients})
	if err != nil {
		return err
	}
	who, err := console.ParseToken(administratorName, "administrator", administratorHash())
	if err != nil {
		return err
	}
	handler, err := console.New(console.Options{
		Bus: b, Catalog: store, Linker: linker, Reader: reader, Administrator: administrator, Journal: journal,
		Tokens: []console.Token{who}, Gatherer: registry, Metrics: registry, Log: zap.NewNop(),
	})
	if err != nil {
		return err
	}
	api := httptest.NewServer(handler)
	p.api = api

	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	stages := []func(context.Context) error{live.Run, deliverer.Run, matcher.Run, journal.Run}
	ends := make([]error, len(stages))
	for i, run := range stages {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				ends[i] = fmt.Errorf("a stage of the worker ended: %w", err)
			}
		})
	}
	p.kill = sync.OnceValue(func() error {
		b.Close() // first, so that nothing more can be settled
		cancel()
		wg.Wait()
		api.Close()
		return errors.Join(ends...)
	})
	return nil
}

func (p *process) killWorker(t *testing.T) {
	t.Helper()
	must(t, p.kill())
}
