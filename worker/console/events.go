package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"postlink/worker/console/api"
	"postlink/worker/event"
)

// Names of the events that the stream sends.
const (
	eventLink  = "link"
	eventAlive = "alive"
)

const (
	aliveEvery = 15 * time.Second // how often a stream on which nothing happens shows that it lives
	eventTime  = 5 * time.Second  // for an event to be taken by the client, which is cut off otherwise
)

// followEvents refuses what it can before the first byte: once the stream has begun, its status is 200. A client that lost the
// connection sends Last-Event-ID, as browsers do by themselves, and misses nothing that is still kept. Events
// that are not kept any more are skipped without notice.
func (h *handlers) followEvents(ctx context.Context, _ caller, in *struct {
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"id of the last event that was received; events after it are sent first" example:"17"`
},
) (*huma.StreamResponse, error) {
	var after uint64
	if in.LastEventID != "" {
		var err error
		if after, err = strconv.ParseUint(in.LastEventID, 10, 64); err != nil || after == 0 {
			return nil, invalid("header.Last-Event-ID", "it is not the id of an event; send the id of the last one received, or none to follow from now on")
		}
	}
	if after == 0 { // where "from now on" begins has to be known before the client hears that it is followed
		var err error
		if after, err = h.Events.Newest(ctx); err != nil {
			return nil, err
		}
	}
	return &huma.StreamResponse{Body: func(answer huma.Context) {
		_, w := humago.Unwrap(answer)
		w.Header().Set("Content-Type", "text/event-stream")
		h.sendEvents(ctx, &eventWriter{w, http.NewResponseController(w)}, after)
	}}, nil
}

// sendEvents writes events as they come, until the client, the server or NATS goes. A client that is slow is waited for, within
// eventTime for each event; NATS keeps the others meanwhile.
//
// One goroutine follows the events and hands them over one by one, this one writes. The channel has no buffer, so no more is
// fetched than the client takes, apart from what the NATS client fetches ahead. On the way out the follower is stopped before it
// is waited for, since it may be blocked handing over an event that nobody takes any more.
func (h *handlers) sendEvents(ctx context.Context, out *eventWriter, after uint64) {
	ctx, stop := h.whileServing(ctx)
	events := make(chan event.Event)
	var following sync.WaitGroup
	following.Go(func() {
		defer close(events)
		err := h.Events.Follow(ctx, after, func(e event.Event) error {
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil && ctx.Err() == nil {
			h.log.Warn("the events cannot be followed, a stream ends", zap.Error(err))
		}
	})
	defer following.Wait()
	defer stop()

	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	err := out.send(0, eventAlive, api.Alive{At: time.Now().UTC()})
	for err == nil {
		select {
		case <-ctx.Done():
			return
		case e, open := <-events:
			if !open {
				return
			}
			err = out.send(e.Sequence, eventLink, showEvent(e))
		case now := <-alive.C:
			err = out.send(0, eventAlive, api.Alive{At: now.UTC()})
		}
	}
}

// whileServing returns a context that ends too when the server stops, for what goes on longer than a stop may take: a server that
// stops waits for requests under way, and cuts them off after grace. The function that comes with it has to be called, and waits
// for the goroutine that watches.
func (h *handlers) whileServing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-h.opts.Stopping:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel()
		watching.Wait()
	}
}

// eventWriter writes server-sent events to a client. It is used by one goroutine.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// send writes one event and flushes it; id 0 is left out, so that the id that the client has last stays the one to go on after.
// Each event gets a deadline of its own, because a stream has none as a whole. An error means that the client is gone or too slow.
func (o *eventWriter) send(id uint64, name string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("write event %s: %w", name, err)
	}
	if err := o.control.SetWriteDeadline(time.Now().Add(eventTime)); err != nil {
		return fmt.Errorf("bound the writing of an event: %w", err)
	}
	var line string
	if id != 0 {
		line = fmt.Sprintf("id: %d\n", id)
	}
	if _, err := fmt.Fprintf(o.w, "%sevent: %s\ndata: %s\n\n", line, name, text); err != nil {
		return fmt.Errorf("send an event: %w", err)
	}
	return o.control.Flush()
}

func showEvent(e event.Event) api.LinkEvent {
	return api.LinkEvent{
		ID: e.ID.String(), State: string(e.State), Generation: e.Generation, Post: e.Post.PathName(),
		Network: e.Post.Network, PostID: e.Post.PostID, Sequence: e.PostSequence, Instance: e.Instance, Entity: e.Entity,
		Rule: e.Rule, URL: e.URL, By: e.By, Reason: e.Reason, At: e.At,
	}
}
