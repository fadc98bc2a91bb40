package deliver_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/worker/deliver"
)

const probeEvery = 15 * time.Second

// probed plays an instance that is asked whether it answers.
type probed struct {
	mu   sync.Mutex
	err  error
	at   []time.Time
	news chan struct{} // takes one value for each probe, while there is room
}

func newProbed(err error) *probed { return &probed{err: err, news: make(chan struct{}, 100)} }

var organization = dynamics.Organization{ID: uuid.MustParse("11111111-2222-3333-4444-555555555555"), Version: "9.2.1"}

func (p *probed) ask(context.Context) (dynamics.Organization, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = append(p.at, time.Now())
	select {
	case p.news <- struct{}{}:
	default:
	}
	return organization, p.err
}

func (p *probed) answers(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *probed) times() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Time(nil), p.at...)
}

// bubble is a health without NATS in a synctest bubble, probed and expired until the test ends.
type bubble struct {
	deliver.Health
	t        *testing.T
	registry *prometheus.Registry
	instance *probed
	pass     func(time.Duration) // lets time pass, which is not real here
}

func inBubble(t *testing.T, err error, test func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t, registry: prometheus.NewRegistry(), instance: newProbed(err), pass: time.Sleep}
		b.Health = deliver.NewHealth("contoso", probeEvery, nil, b.registry, zap.NewNop())
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { b.Probe(ctx, b.instance.ask) })
		running.Go(func() { b.Expire(ctx) })
		synctest.Wait()
		test(b)
		cancel()
		running.Wait()
	})
}

// opens waits until links may be sent, and returns how long that took.
func (b *bubble) opens() time.Duration {
	b.t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Hour)
	defer cancel()
	if err := b.Wait(ctx); err != nil {
		b.t.Fatalf("never open: %v", err)
	}
	return time.Since(began)
}

// about reports whether a pause is the one wanted, spread by a fifth.
func about(pause, want time.Duration) bool { return pause >= want*8/10 && pause <= want*12/10 }

// waits are the reasons for which the metrics show that an instance is sent nothing.
func waits(t *testing.T, registry *prometheus.Registry, instance string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	must(t, err)
	values := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "postlink_instance_waiting" {
			continue
		}
		for _, m := range f.GetMetric() {
			if labels := m.GetLabel(); labels[0].GetValue() == instance { // sorted by name: instance, why
				values[labels[1].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	return values
}
