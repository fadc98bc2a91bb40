package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// grace is how long requests that are under way when a server stops may still take. Streams, and requests that wait for a link, would
// take longer: Options.Stopping ends them.
const grace = 5 * time.Second

// Serve answers requests on a listener until ctx ends, lets those under way finish for grace, cuts off the rest, and closes the
// listener. It returns nil after such a stop, and an error that names the listener when that fails by itself. The contexts of
// requests do not end with ctx, so that a change that was begun is finished.
//
// There is no write timeout, which would end streams. Whoever handles requests sets a deadline for each answer, as the gateway does.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second, // operations that take more set their own
		IdleTimeout:       2 * time.Minute,
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if server.Shutdown(bound) == nil {
			stopped <- nil
			return
		}
		stopped <- server.Close()
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return <-stopped
}
