package console_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"postlink/worker/console"
)

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() }) // again
	return l
}

func TestAServerLetsRequestsFinishWhenItStops(t *testing.T) {
	t.Parallel()
	began, finish := make(chan struct{}), make(chan struct{})
	l := listener(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- console.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(began)
			<-finish
			_, _ = io.WriteString(w, "finished")
		}))
	}()
	answered := make(chan string, 1)
	go func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
		if err != nil {
			answered <- err.Error()
			return
		}
		r.Close = true
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body) // what broke off is not what was written
		answered <- string(text)
	}()
	<-began
	stop()
	close(finish)
	if text := <-answered; text != "finished" {
		t.Errorf("the request was answered with %q", text)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve = %v, want nil after a stop", err)
	}
}

func TestAListenerThatCannotBeUsedIsNamed(t *testing.T) {
	t.Parallel()
	l := listener(t)
	must(t, l.Close())
	err := console.Serve(t.Context(), l, http.NotFoundHandler())
	if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("Serve = %v", err)
	}
}
