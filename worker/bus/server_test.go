package bus_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postlink/worker/bus"
)

func TestADirectoryIsServedByOneServerAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, bus.ServerOptions{Dir: dir})
	b := connect(t, bus.Options{Server: first})
	name := declare(t, b, "THINGS")
	_, err := bus.StartServer(t.Context(), bus.ServerOptions{Dir: dir})
	if !errors.Is(err, bus.ErrDirInUse) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "data.dir") {
		t.Errorf("the second start: %v", err)
	}
	publish(t, b, b.Subject("THINGS", "x"), "the first goes on")
	b.Close()
	first.Shutdown()

	again := connect(t, bus.Options{Server: start(t, bus.ServerOptions{Dir: dir})})
	if held, err := again.Held(t.Context(), name); err != nil || held.Messages != 1 {
		t.Errorf("%d messages after the restart, error %v", held.Messages, err)
	}
}

func TestAProcessThatDiesFreesItsDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	occupier := exec.CommandContext(t.Context(), self)
	occupier.Env = append(os.Environ(), occupyDir+"="+dir)
	out, err := occupier.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := occupier.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatalf("the other process says %q, error %v", line, err)
	}
	if _, err := bus.StartServer(t.Context(), bus.ServerOptions{Dir: dir}); !errors.Is(err, bus.ErrDirInUse) {
		t.Errorf("while the other process lives: %v", err)
	}
	if err := occupier.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = occupier.Wait() // says that it was killed
	start(t, bus.ServerOptions{Dir: dir})
}

func TestAStartThatCannotSucceedIsRefusedAtOnceAndLeavesTheDirectoryFree(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		opts bus.ServerOptions
		want string
	}{
		"no directory":              {bus.ServerOptions{}, "set data.dir"},
		"a file for a directory":    {bus.ServerOptions{Dir: file}, "choose another data.dir"},
		"an address without a port": {bus.ServerOptions{Dir: t.TempDir(), Listen: "localhost"}, "write host:port"},
		"a port that is a word":     {bus.ServerOptions{Dir: t.TempDir(), Listen: "localhost:nats"}, "the port is not a number"},
		"a port in use":             {bus.ServerOptions{Dir: t.TempDir(), Listen: taken.Addr().String()}, "choose another address"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bus.StartServer(t.Context(), test.opts)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one that says %q", err, test.want)
			}
			if test.opts.Listen != "" {
				start(t, bus.ServerOptions{Dir: test.opts.Dir})
			}
		})
	}
}

func TestAnInterruptedStartEndsAndLeavesTheDirectoryFree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bus.StartServer(ctx, bus.ServerOptions{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	start(t, bus.ServerOptions{Dir: dir})
}

func TestAServerIsReachedByOthersOnlyWhereItListens(t *testing.T) {
	t.Parallel()
	if url := start(t, bus.ServerOptions{}).URL(); url != "" {
		t.Errorf("a server that does not listen has the address %s", url)
	}
	server := start(t, bus.ServerOptions{Listen: "127.0.0.1:0"})
	if b := connect(t, bus.Options{URL: server.URL()}); !b.Connected() {
		t.Errorf("%s: not connected", server.URL())
	}
}
