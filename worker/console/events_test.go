package console_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postlink/worker"
	"postlink/worker/console"
	"postlink/worker/ledger"
)

// follower reads a stream of events.
type follower struct {
	t      testing.TB
	body   io.ReadCloser
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

func (w *world) listen() *httptest.Server {
	server := httptest.NewUnstartedServer(w.handler)
	server.Config.ReadTimeout = time.Second // much shorter than a stream
	server.Start()
	w.t.Cleanup(server.Close)
	return server
}

func (w *world) followEvents(server *httptest.Server) *follower {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+console.PathEvents, nil)
	must(w.t, err)
	r.Header.Set("Authorization", "Bearer "+token(console.Reader))
	response, err := server.Client().Do(r)
	must(w.t, err)
	w.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("status %s, type %s", response.Status, response.Header.Get("Content-Type"))
	}
	f := &follower{w.t, response.Body, bufio.NewScanner(response.Body), cancel}
	if kind, _ := f.next(); kind != "alive" {
		w.t.Fatalf("a stream begins with %q", kind)
	}
	return f
}

// next is the next event; empty when the stream ended.
func (f *follower) next() (kind string, data []byte) {
	f.t.Helper()
	for f.lines.Scan() {
		line := f.lines.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			kind = strings.TrimPrefix(line, "event: ")
		case strings.HasPrefix(line, "data: "):
			data = []byte(strings.TrimPrefix(line, "data: "))
		case line == "" && data != nil:
			return kind, data
		}
	}
	return "", nil
}

func TestEventsTellOfLinksAsTheyChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.followEvents(w.listen())
	w.link(1)
	w.do(ask{method: http.MethodDelete, path: to(console.PathPostLink, "1")}).is(http.StatusOK)
	for _, want := range []struct{ state, by string }{{"queued", "rule complaints"}, {"linked", "postlink"}, {"removed", "administrator@example.com"}} {
		kind, data := f.next()
		var e console.LinkEvent
		if err := json.Unmarshal(data, &e); err != nil || kind != "link" {
			t.Fatalf("event %q %s: %v", kind, data, err)
		}
		if e.State != want.state || e.By != want.by || e.Post != name(1) || e.PostID != "1" || e.Instance != "contoso" || e.Rule != "complaints" {
			t.Errorf("event %s, want %s by %s", data, want.state, want.by)
		}
	}
}

func TestAStreamEndsWhenTheProcessStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.listen()
	f := w.followEvents(server)
	close(w.stopping)
	if kind, _ := f.next(); kind != "" {
		t.Errorf("after the end: %q", kind)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := server.Config.Shutdown(ctx); err != nil {
		t.Errorf("the server does not stop: %v", err)
	}
}

func TestAStreamOutlivesTheTimeForReadingARequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.listen()
	f := w.followEvents(server)
	quiet := w.followEvents(server)
	w.link(1)
	f.next()
	quiet.cancel() // a reader that goes takes nothing from the others
	time.AfterFunc(server.Config.ReadTimeout+200*time.Millisecond, func() { w.publish(post(2, "negative")) })
	for {
		kind, data := f.next()
		if kind == "" {
			t.Fatal("the stream ended")
		}
		if strings.Contains(string(data), `"post_id":"2"`) {
			return
		}
	}
}

func TestAStreamIsNotAnsweredToHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.do(ask{method: http.MethodHead, path: console.PathEvents})
	if r.status != http.StatusNotFound {
		t.Errorf("status %d", r.status)
	}
	w.do(ask{method: http.MethodHead, path: console.PathRules}).is(http.StatusOK)
}

// stuck is a connection that takes nothing until it is freed.
type stuck struct {
	http.ResponseWriter
	free chan struct{}
}

func (s stuck) Write(p []byte) (int, error) {
	<-s.free
	return s.ResponseWriter.Write(p)
}
func (s stuck) SetWriteDeadline(time.Time) error { return nil }
func (s stuck) Flush()                           {}

func TestASlowReaderIsCutOffAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.followEvents(w.listen())
	slow := stuck{httptest.NewRecorder(), make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r := httptest.NewRequestWithContext(w.ctx, http.MethodGet, console.PathEvents, nil)
		r.Header.Set("Authorization", "Bearer "+token(console.Reader))
		w.handler.ServeHTTP(slow, r)
	}()
	const many = 600 // more than anybody may be behind
	for i := range many {
		event, err := json.Marshal(worker.Event{State: ledger.Linked, Post: key(i), Generation: i})
		must(t, err)
		must(t, w.bus.PublishEvent(w.ctx, "link.linked.contoso", key(i).Encode(), event))
		if kind, _ := f.next(); kind != "link" {
			t.Fatalf("a quick reader was told %q after %d events", kind, i)
		}
	}
	close(slow.free)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("a slow reader is still served")
	}
}
