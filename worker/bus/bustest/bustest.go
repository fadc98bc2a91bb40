// Package bustest gives a test a NATS of its own: a server in this process, with its files in the test's temporary folder.
// Everything ends with the test. It also waits for what becomes true a moment later, as most does behind NATS.
package bustest

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postlink/worker/bus"
)

// Main runs the tests of a package, and fails when they leave goroutines behind. Those that NATS leaves behind itself are passed
// over: nats.go 1.55.0 that of an asynchronous publish, as the object store uses, and nats-server 2.15.2 those of a stream that
// is being made while it ends.
func Main(m *testing.M, others ...goleak.Option) {
	goleak.VerifyTestMain(m, append(others,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"),
	)...)
}

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

// Eventually waits until a fact is true. After patience the test fails, with the last error of the fact.
func Eventually(t testing.TB, patience time.Duration, what string, fact func() (bool, error)) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	end := time.After(patience)
	for {
		ok, err := fact()
		if ok {
			return
		}
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("waited %s in vain: %s; last error: %v", patience, what, err)
		}
	}
}

// Temporary runs a server for an example, which has no test to fail, and connects to it. stop ends both and deletes the files.
func Temporary() (b *bus.Bus, stop func()) {
	dir, err := os.MkdirTemp("", "postlink")
	if err != nil {
		panic(err)
	}
	server, err := bus.StartServer(context.Background(), bus.ServerOptions{Dir: dir, SyncInterval: time.Minute})
	if err != nil {
		panic(err)
	}
	if b, err = bus.Connect(context.Background(), bus.Options{Server: server}); err != nil {
		panic(err)
	}
	return b, func() {
		b.Close()
		server.Shutdown()
		_ = os.RemoveAll(dir) // the system clears its temporary folder too
	}
}
