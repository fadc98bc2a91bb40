package console_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"postlink/worker/console"
	"postlink/worker/console/api"
	"postlink/worker/event"
	"postlink/worker/ledger"
)

// follower reads a stream of events.
type follower struct {
	t      testing.TB
	body   io.ReadCloser
	lines  *bufio.Scanner
	cancel context.CancelFunc
	last   string // id of the last event that had one
}

func (w *world) listen() *httptest.Server {
	server := httptest.NewUnstartedServer(w.handler)
	server.Config.ReadTimeout = time.Second // much shorter than a stream
	server.Start()
	w.t.Cleanup(server.Close)
	return server
}

// followEvents opens a stream; after is the id of the event to go on after, and may be empty.
func (w *world) followEvents(server *httptest.Server, after string) *follower {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 2*patience)
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+api.PathEvents, nil)
	must(w.t, err)
	r.Header.Set("Authorization", "Bearer "+token(console.Reader))
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	response, err := server.Client().Do(r)
	must(w.t, err)
	w.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("status %s, type %s", response.Status, response.Header.Get("Content-Type"))
	}
	f := &follower{t: w.t, body: response.Body, lines: bufio.NewScanner(response.Body), cancel: cancel}
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
		case strings.HasPrefix(line, "id: "):
			f.last = strings.TrimPrefix(line, "id: ")
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

func TestEachChangeOfALinkIsAnEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.followEvents(w.listen(), "")
	w.link(1)
	w.do(ask{method: http.MethodDelete, path: to(api.PathPostLink, "1")}).is(http.StatusOK)
	got := map[string]string{} // by state: the two stages publish theirs independently
	for range 3 {
		e := f.link()
		got[e.State] = e.By
		if e.Post != name(1) || e.PostID != "1" || e.Instance != "contoso" || e.Rule != "complaints" {
			t.Errorf("event %+v", e)
		}
	}
	want := map[string]string{"queued": "rule complaints", "linked": "postlink", "removed": "administrator@example.com"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who changed the link to which state (-want +got):\n%s", diff)
	}
}

func TestAStreamEndsWhenTheProcessStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.listen()
	f := w.followEvents(server, "")
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

// The deadline for the body must not stay on the connection: when it passes, the server takes the client for gone.
func TestAStreamOutlivesTheTimeForReadingARequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.listen()
	f := w.followEvents(server, "")
	quiet := w.followEvents(server, "")
	w.link(1)
	f.next()
	quiet.cancel() // a reader that goes takes nothing from the others
	time.AfterFunc(console.BodyTime+200*time.Millisecond, func() { w.publish(post(2, "negative")) })
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
	r := w.do(ask{method: http.MethodHead, path: api.PathEvents})
	if r.status != http.StatusNotFound {
		t.Errorf("status %d", r.status)
	}
	w.do(ask{method: http.MethodHead, path: api.PathRules}).is(http.StatusOK)
}

// link is the next event, which has to be about a link.
func (f *follower) link() api.LinkEvent {
	f.t.Helper()
	kind, data := f.next()
	for kind == "alive" {
		kind, data = f.next()
	}
	var e api.LinkEvent
	if err := json.Unmarshal(data, &e); err != nil || kind != "link" {
		f.t.Fatalf("event %q %s: %v", kind, data, err)
	}
	return e
}

func TestAStreamGoesOnAfterTheLastEventThatItsReaderHad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.listen()
	first := w.followEvents(server, "")
	w.link(1)
	had := first.link()
	if first.last == "" {
		t.Fatalf("event %+v has no id", had)
	}
	first.cancel()
	w.link(2) // while nobody follows
	again := w.followEvents(server, first.last)
	got := []string{had.PostID + " " + had.State}
	for range 3 {
		e := again.link()
		got = append(got, e.PostID+" "+e.State)
	}
	slices.Sort(got)
	if want := "[1 linked 1 queued 2 linked 2 queued]"; fmt.Sprint(got) != want {
		t.Errorf("events %v, want %s", got, want)
	}
	w.do(ask{method: http.MethodGet, path: api.PathEvents, header: http.Header{"Last-Event-Id": {again.last + "x"}}}).problem(422, "invalid-request")
	p := w.do(ask{method: http.MethodGet, path: api.PathEvents, header: http.Header{"Last-Event-Id": {"0"}}}).problem(422, "invalid-request")
	if len(p.Errors) != 1 || p.Errors[0].Location != "header.Last-Event-ID" || !strings.Contains(p.Errors[0].Message, "send the id of the last one received") {
		t.Errorf("errors %+v", p.Errors)
	}
}

func TestAStreamEndsWhenNATSIsLostAndNoneBeginsWithoutIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.followEvents(w.listen(), "")
	w.loseNATS()
	for kind, _ := f.next(); kind != ""; kind, _ = f.next() {
		if kind != "alive" {
			t.Errorf("event %s", kind)
		}
	}
	w.eventually("the loss is known", func() bool { return !w.Bus.Connected() })
	w.get(api.PathEvents).problem(503, "nats-unreachable")
}

// publishEvents publishes n events that say something of different posts.
func (w *world) publishEvents(n int) {
	w.t.Helper()
	for i := range n {
		must(w.t, w.Events.Publish(w.ctx, event.Event{
			ID: uuid.New(), State: ledger.Linked, Instance: "contoso", Post: key(i), Generation: i,
		}))
	}
}

// connection is a client's connection that takes what is written only when take lets it.
type connection struct {
	http.ResponseWriter
	take     func() error
	deadline time.Time
}

func (c *connection) Write(p []byte) (int, error) {
	if err := c.take(); err != nil {
		return 0, err
	}
	return c.ResponseWriter.Write(p)
}

func (c *connection) SetWriteDeadline(at time.Time) error {
	c.deadline = at
	return nil
}
func (c *connection) Flush() {}

// streamTo answers a request for events over a connection, and closes the channel that it returns when the answer ends.
func (w *world) streamTo(ctx context.Context, c *connection) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, api.PathEvents, nil)
		r.Header.Set("Authorization", "Bearer "+token(console.Reader))
		w.handler.ServeHTTP(c, r)
	}()
	return ended
}

func TestASlowReaderLosesNothingAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	quick := w.followEvents(w.listen(), "")
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	recorder, connected, free := httptest.NewRecorder(), make(chan struct{}), make(chan struct{})
	var once sync.Once
	left := make(chan struct{}, 1000)
	ended := w.streamTo(ctx, &connection{ResponseWriter: recorder, take: func() error {
		once.Do(func() { close(connected) })
		<-free
		left <- struct{}{}
		return nil
	}})
	<-connected
	const many = 600
	w.publishEvents(many)
	for i := range many {
		if e := quick.link(); e.Generation != i {
			t.Fatalf("the quick reader got event %d, want %d", e.Generation, i)
		}
	}
	close(free)
	for range many + 1 { // with the first, which says that the stream lives
		select {
		case <-left:
		case <-time.After(patience):
			t.Fatal("the slow reader waits for events that do not come")
		}
	}
	cancel()
	<-ended
	if n := strings.Count(recorder.Body.String(), "event: link\n"); n != many {
		t.Errorf("the slow reader got %d events, want %d", n, many)
	}
}

func TestAReaderThatTakesNothingIsCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := &connection{ResponseWriter: httptest.NewRecorder(), take: func() error { return os.ErrDeadlineExceeded }}
	select {
	case <-w.streamTo(w.ctx, c):
	case <-time.After(patience):
		t.Fatal("it is still served")
	}
	if bound := time.Until(c.deadline); bound <= 0 || bound > 10*time.Second {
		t.Errorf("an event may be written for %s", bound)
	}
}
