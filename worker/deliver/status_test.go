package deliver_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"postlink/worker/bus"
	"postlink/worker/deliver"
	"postlink/worker/instance"
)

// health runs a health over the statuses of a world until the test ends. It probes once, and then not for hours unless it is
// asked to.
func (w *world) health(i *probed) deliver.Health {
	w.t.Helper()
	h := deliver.NewHealth("contoso", 5*time.Hour, w.opts.Statuses, prometheus.NewRegistry(), zap.NewNop())
	w.background(func(ctx context.Context) error {
		h.Run(ctx, i.ask)
		return nil
	})
	w.probed(i)
	return h
}

// probed waits for the next probe.
func (w *world) probed(i *probed) {
	w.t.Helper()
	select {
	case <-i.news:
	case <-time.After(patience):
		w.t.Fatal("no probe came")
	}
}

// refreshed is what a person's refresh writes when the instance answers.
func (w *world) refreshed() {
	w.t.Helper()
	must(w.t, w.opts.Statuses.Update(w.t.Context(), "contoso", func(s *instance.Status) { s.Answered(time.Now()) }))
}

func TestAParkedInstanceIsProbedAtOnceWhenItAnsweredSomebodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := newProbed(answer(503, ""))
	h := w.health(i)
	s := w.status("contoso", "parked", func(s instance.Status) bool { return s.Parked != "" && s.NextTry.After(time.Now().Add(time.Hour)) })
	if s.ParkedSince.IsZero() {
		t.Errorf("status %+v", s)
	}
	i.answers(nil)
	w.refreshed()
	w.probed(i)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, h.Wait(ctx))
	s = w.status("contoso", "answered", func(s instance.Status) bool { return s.Organization == organization.ID })
	if s.Parked != "" || !s.ParkedSince.IsZero() || !s.NextTry.IsZero() {
		t.Errorf("status %+v", s)
	}
}

func TestAParkThatLastsForThisWorkerIsWrittenAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := newProbed(answer(503, ""))
	h := w.health(i)
	w.status("contoso", "parked", func(s instance.Status) bool { return s.Parked != "" })
	w.refreshed() // from a machine that reaches the instance
	w.probed(i)
	w.status("contoso", "parked again", func(s instance.Status) bool { return s.Parked != "" && !s.LastSeen.IsZero() })
	if h.Open() {
		t.Error("links are sent to an instance that does not answer")
	}
}

func TestOneProbeAnswersEverybodyWhoWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := newProbed(answer(503, ""))
	first, second := w.health(i), w.health(i)
	w.status("contoso", "parked", func(s instance.Status) bool { return s.Parked != "" })
	i.answers(nil)
	w.refreshed()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, first.Wait(ctx))
	must(t, second.Wait(ctx))
	if n := len(i.times()); n > 6 { // two at the start, two now, and each may have been asked once more by the other's answer
		t.Errorf("%d probes", n)
	}
}

// frozen is a connection to NATS that can be held up, as by a server that hangs.
type frozen struct {
	listener net.Listener
	running  sync.WaitGroup
	mu       sync.Mutex
	holding  sync.Mutex // held while nothing passes
	open     []net.Conn
}

func newFrozen(t *testing.T, to string) *frozen {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	f := &frozen{listener: listener}
	f.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := new(net.Dialer).DialContext(t.Context(), "tcp", to)
			if err != nil {
				_ = client.Close()
				return
			}
			f.mu.Lock()
			f.open = append(f.open, client, server)
			f.mu.Unlock()
			f.running.Go(func() { f.pass(server, client) })
			f.running.Go(func() { f.pass(client, server) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		f.mu.Lock()
		for _, c := range f.open {
			_ = c.Close()
		}
		f.mu.Unlock()
		f.running.Wait()
	})
	return f
}

func (f *frozen) pass(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		f.holding.Lock()
		if err == nil {
			_, err = to.Write(buffer[:n])
		}
		f.holding.Unlock()
		if err != nil {
			return
		}
	}
}

func TestLinksDoNotWaitForANATSThatHangs(t *testing.T) {
	t.Parallel()
	server, err := bus.StartServer(t.Context(), bus.ServerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0", SyncInterval: time.Minute})
	must(t, err)
	t.Cleanup(server.Shutdown)
	line := newFrozen(t, server.URL()[len("nats://"):])
	b, err := bus.Connect(t.Context(), bus.Options{URL: "nats://" + line.listener.Addr().String()})
	must(t, err)
	t.Cleanup(b.Close)
	statuses, err := instance.Open(t.Context(), b)
	must(t, err)
	w := &world{t: t}
	w.opts.Statuses = statuses
	i := newProbed(nil)
	h := w.health(i)
	w.status("contoso", "answered", func(s instance.Status) bool { return !s.LastSeen.IsZero() })

	i.answers(answer(503, "")) // to a probe that comes too early
	line.holding.Lock()
	done := make(chan error, 1)
	go func() {
		for range 100 {
			h.Park("http-403", "no role")
			h.Answered(organization)
			h.Throttle(time.Nanosecond)
			h.Failed("status 503")
			h.Took()
			if err := h.Wait(t.Context()); err != nil {
				done <- err
				return
			}
		}
		h.Park("http-403", "no role")
		done <- nil
	}()
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(4 * time.Second): // before the first request to NATS is given up
		t.Error("it waits for NATS")
	}
	line.holding.Unlock()
	w.status("contoso", "parked, when NATS answers again", func(s instance.Status) bool { return s.Parked != "" })
}
