package console

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2/sse"
)

// aliveEvery is how often a stream without news shows that it lives.
const aliveEvery = 15 * time.Second

// Alive is the first thing that the stream of events tells, and what it tells while there are no news.
type Alive struct {
	At time.Time `json:"at"`
}

func (a *api) events() {
	stream(a, operation{
		id: "follow-events", method: http.MethodGet, path: PathEvents, role: Reader,
		summary: "Follow the changes of links. The stream ends when its reader falls behind; look at the lists again then, and follow anew",
	}, map[string]any{"link": LinkEvent{}, "alive": Alive{}}, func(ctx context.Context, _ *struct{}, send sse.Sender) {
		news, cancel := a.opts.Journal.Subscribe()
		defer cancel()
		alive := time.NewTicker(aliveEvery)
		defer alive.Stop()
		err := send.Data(Alive{time.Now().UTC()})
		for err == nil {
			select {
			case <-ctx.Done():
				return
			case <-a.opts.Stopping:
				return
			case e, open := <-news:
				if !open {
					return
				}
				err = send.Data(showEvent(e))
			case now := <-alive.C:
				err = send.Data(Alive{now.UTC()})
			}
		}
	})
}
