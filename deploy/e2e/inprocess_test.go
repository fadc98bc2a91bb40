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
	"postlink/worker/console"
	"postlink/worker/deliver"
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
	if err := p.openNATS(ctx, "127.0.0.1:0"); err != nil {
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

func (p *process) openNATS(ctx context.Context, listen string) (err error) {
	p.server, err = bus.StartServer(ctx, bus.ServerOptions{Dir: p.dir, Listen: listen, SyncInterval: time.Second})
	return err
}

func (p *process) restartNATS(t *testing.T) {
	t.Helper()
	listen := strings.TrimPrefix(p.server.URL(), "nats://")
	p.server.Shutdown()
	must(t, p.openNATS(t.Context(), listen))
}

func (p *process) startWorker(t *testing.T) {
	t.Helper()
	must(t, p.openWorker(t.Context()))
}

// openWorker runs a worker with its API until it is killed.
func (p *process) openWorker(ctx context.Context) error {
	registry := prometheus.NewRegistry()
	w, err := worker.New(ctx, worker.Options{
		NATS: bus.Options{URL: p.server.URL()},
		Dial: func(i dynamics.Instance) (*dynamics.Client, error) {
			return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken(token)})
		},
		Pauses: deliver.Pauses{First: 20 * time.Millisecond, Probe: 50 * time.Millisecond},
		Drain:  time.Nanosecond, Metrics: registry, Log: zap.NewNop(),
	})
	if err != nil {
		return err
	}
	who, err := console.ParseToken(administratorName, "administrator", administratorHash())
	if err != nil {
		return err
	}
	handler, err := console.New(console.Options{
		Worker: w, Tokens: []console.Token{who}, Gatherer: registry, Metrics: registry, Log: zap.NewNop(),
	})
	if err != nil {
		return err
	}
	api := httptest.NewServer(handler)
	p.api = api

	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	var ended error
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			ended = fmt.Errorf("the worker ended: %w", err)
		}
	})
	p.kill = sync.OnceValue(func() error {
		w.Close() // first, so that nothing more can be settled
		cancel()
		running.Wait()
		api.Close()
		return ended
	})
	return nil
}

func (p *process) killWorker(t *testing.T) {
	t.Helper()
	must(t, p.kill())
}
