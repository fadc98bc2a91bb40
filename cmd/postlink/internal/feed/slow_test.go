package feed_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/cmd/postlink/internal/feed"
	"postlink/worker/bus"
)

// slowStream keeps posts when the test says, which no server does: it is for times and failures that a real one shows by chance.
type slowStream struct {
	kept func(line int) error // what becomes of a post, counted from 1; errLater for nothing yet
	sent []time.Time
}

var (
	errLater  = errors.New("nothing yet")
	errFull   = errors.New("the stream is full")
	errClosed = errors.New("closed")
)

func (s *slowStream) PublishAsync(string, []byte) (jetstream.PubAckFuture, error) {
	s.sent = append(s.sent, time.Now())
	a := future{make(chan *jetstream.PubAck, 1), make(chan error, 1)}
	switch err := s.kept(len(s.sent)); {
	case err == nil:
		a.ok <- &jetstream.PubAck{}
	case errors.Is(err, errClosed):
		return nil, err
	case !errors.Is(err, errLater):
		a.err <- err
	}
	return a, nil
}

// future is the acknowledgement of one post.
type future struct {
	ok  chan *jetstream.PubAck
	err chan error
}

func (a future) Ok() <-chan *jetstream.PubAck { return a.ok }
func (a future) Err() <-chan error            { return a.err }
func (a future) Msg() *nats.Msg               { return nil }

// Whatever fails, everything before the line to go on from is kept, and that line itself may not be.
func TestTheLineToGoOnFromIsTheFirstThatMayNotBeKept(t *testing.T) {
	t.Parallel()
	at := func(line int, err error) func(int) error {
		return func(n int) error {
			if n == line {
				return err
			}
			return nil
		}
	}
	for name, test := range map[string]struct {
		kept func(int) error
		from int
		want feed.Result
		err  error
		text string
	}{
		"all are kept":                     {at(0, nil), 0, feed.Result{Published: 5, Next: 6}, nil, ""},
		"the first is refused":             {at(1, errFull), 0, feed.Result{Published: 0, Next: 1}, errFull, "publish line 1: "},
		"one in the middle is refused":     {at(3, errFull), 0, feed.Result{Published: 2, Next: 3}, errFull, "publish line 3: "},
		"one in the middle cannot be sent": {at(3, errClosed), 0, feed.Result{Published: 2, Next: 3}, errClosed, "publish line 3: "},
		"one is never answered":            {at(4, errLater), 0, feed.Result{Published: 3, Next: 4}, bus.ErrUnreachable, "publish line 4: NATS did not keep it within 30s"},
		"one is refused after a line on":   {at(2, errFull), 3, feed.Result{Published: 1, Next: 4}, errFull, "publish line 4: "},
		"none is kept from a line on":      {at(1, errFull), 4, feed.Result{Published: 0, Next: 4}, errFull, "publish line 4: "},
		"no line is left to go on from it": {at(0, nil), 9, feed.Result{Published: 0, Next: 9}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				got, err := open(t, "f.ndjson", posts(5)).Publish(t.Context(), &slowStream{kept: test.kept}, feed.Options{From: test.from})
				if got != test.want || !errors.Is(err, test.err) {
					t.Errorf("%+v, %v, want %+v", got, err, test.want)
				}
				if err != nil && !strings.Contains(err.Error(), test.text) {
					t.Errorf("%v, want %q", err, test.text)
				}
			})
		})
	}
}

// A stop waits for the posts that were sent already, but not for long: what NATS has not kept by then may be sent twice.
func TestAStopWaitsBrieflyForWhatWasSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(3500*time.Millisecond, stop)
		s := &slowStream{kept: func(n int) error {
			if n == 3 {
				return errLater
			}
			return nil
		}}
		began := time.Now()
		got, err := open(t, "f.ndjson", posts(20)).Publish(ctx, s, feed.Options{Rate: 1})
		if !errors.Is(err, context.Canceled) || got != (feed.Result{Published: 2, Next: 3}) {
			t.Errorf("%+v, %v", got, err)
		}
		if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("that took %s, want the 3.5 s before the stop and 2 s for the rest", took)
		}
	})
}

func TestTheRateSpreadsPostsEvenly(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.5, 1, 50, 99, 1000} {
		synctest.Test(t, func(t *testing.T) {
			s := &slowStream{kept: func(int) error { return nil }}
			if _, err := open(t, "f.ndjson", posts(60)).Publish(t.Context(), s, feed.Options{Rate: rate}); err != nil {
				t.Fatal(err)
			}
			at := max(1, int(rate/100)) // so many may leave at once, since timers are late
			for i := at; i < len(s.sent); i++ {
				least := time.Duration(float64(i+1-at) / rate * float64(time.Second))
				if gone := s.sent[i].Sub(s.sent[0]); gone < least-time.Millisecond || gone > least+20*time.Millisecond {
					t.Fatalf("at %v a second post %d left after %s, want %s", rate, i+1, gone, least)
				}
			}
		})
	}
}

// Not more than a window of posts is under way: a NATS that is slow slows the file down, and memory does not grow with the file.
func TestASlowNATSHoldsTheFileBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slowStream{kept: func(int) error { return errLater }}
		got, err := open(t, "f.ndjson", posts(3000)).Publish(t.Context(), s, feed.Options{})
		if !errors.Is(err, bus.ErrUnreachable) || got.Published != 0 || got.Next != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		if n := len(s.sent); n < 1000 || n > 1001 {
			t.Errorf("%d posts were sent before the first was kept", n)
		}
	})
}
