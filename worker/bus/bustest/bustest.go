// Package bustest gives a test a NATS of its own: a server in this process, with its files in the test's temporary folder.
// Everything ends with the test.
package bustest

import (
	"testing"
	"time"

	"postlink/worker/bus"
)

// Server runs a NATS server.
func Server(t testing.TB) *bus.Server {
	t.Helper()
	server, err := bus.StartServer(t.Context(), bus.ServerOptions{Dir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	return server
}

// Connect connects to a server.
func Connect(t testing.TB, server *bus.Server) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// New runs a server and connects to it.
func New(t testing.TB) *bus.Bus {
	t.Helper()
	return Connect(t, Server(t))
}
