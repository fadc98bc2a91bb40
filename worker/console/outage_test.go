package console_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/console"
	"postlink/worker/console/api"
)

// silent is a bucket that answers nothing, as when NATS is lost while it is asked.
type silent struct {
	jetstream.KeyValue
	asked chan struct{}
}

func (s silent) Get(ctx context.Context, _ string) (jetstream.KeyValueEntry, error) {
	s.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestARequestUnderWayIsAnsweredAtOnceWhenNATSIsLost(t *testing.T) {
	t.Parallel()
	const maybe = "may have been made or not"
	cases := map[string]struct {
		ask   ask
		maybe bool // the answer has to say that the change may have been made
	}{
		"a read":   {ask{method: http.MethodGet, path: api.PathCatalog}, false},
		"a plan":   {ask{method: http.MethodPost, path: api.PathCatalogPlan, body: plainCatalog}, false},
		"a change": {ask{method: http.MethodPost, path: to(api.PathDeactivateRule, "complaints")}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{}, 10)
			w := newQuietWorld(t, func(o *console.Options) {
				o.Worker = withCatalog(t, o.Worker, func(kv jetstream.KeyValue) jetstream.KeyValue { return silent{kv, asked} })
			})
			answered := make(chan answer, 1)
			go func() { answered <- w.do(c.ask) }()
			<-asked
			w.loseNATS()
			p := (<-answered).problem(http.StatusServiceUnavailable, api.KindUnreachable)
			if strings.Contains(p.Detail, maybe) != c.maybe || !strings.Contains(p.Detail, "try again in a moment") {
				t.Errorf("detail %q", p.Detail)
			}
		})
	}
}

func TestNATSThatIsConnectedButSilentIsUnavailable(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 10)
	w := newQuietWorld(t, func(o *console.Options) {
		o.Worker = withCatalog(t, o.Worker, func(kv jetstream.KeyValue) jetstream.KeyValue { return silent{kv, asked} })
	})
	ctx, cancel := context.WithTimeout(w.ctx, 50*time.Millisecond)
	defer cancel()
	asking := *w
	asking.ctx = ctx
	if p := asking.get(api.PathCatalog).problem(http.StatusServiceUnavailable, api.KindUnreachable); !strings.Contains(p.Detail, "NATS") {
		t.Errorf("detail %q", p.Detail)
	}
}

func TestARequestWithoutNATSIsNotBegun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loseNATS()
	w.eventually("the loss is known", func() bool { return !w.Bus.Connected() })
	for name, a := range map[string]ask{
		"a read":   {method: http.MethodGet, path: api.PathPosts},
		"a change": {method: http.MethodPost, path: to(api.PathDeactivateRule, "complaints")},
		"a stream": {method: http.MethodGet, path: api.PathEvents},
	} {
		if p := w.do(a).problem(http.StatusServiceUnavailable, api.KindUnreachable); !strings.Contains(p.Detail, "nothing was done") {
			t.Errorf("%s: detail %q", name, p.Detail)
		}
	}
	w.do(ask{method: http.MethodGet, path: api.PathOpenAPI + ".json", anonymous: true}).is(http.StatusOK)
	w.bare(http.MethodGet, "/healthz").is(http.StatusOK)
}
