package main

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"postlink/worker/bus/bustest"
)

// TestTheReadmesFirstCommandsWork runs the commands of the README's start against a demo, in their order. The ones that it
// says are refused have to be.
func TestTheReadmesFirstCommandsWork(t *testing.T) {
	t.Parallel()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	port := ports[0]
	server := "http://127.0.0.1:" + port
	startDemo(t, port)
	waitUntil(t, "the posts of the demo have arrived", func() bool {
		out, err := postlink(t, server, "postlink posts list --link linked --limit 100 --json")
		return err == nil && strings.Count(out, `"state": "linked"`)+strings.Count(out, `"state":"linked"`) > 50
	})
	commands := readmeCommands(t)
	if len(commands) < 8 {
		t.Fatalf("the README's start has only %d commands", len(commands))
	}
	for _, line := range commands {
		command, comment, _ := strings.Cut(line, "#")
		out, err := postlink(t, server, command)
		var exit *exec.ExitError
		switch refused := strings.Contains(comment, "refused"); {
		case refused && !errors.As(err, &exit):
			t.Errorf("%s: was not refused: %s", command, out)
		case !refused && err != nil:
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
}

func startDemo(t *testing.T, port string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	demo := exec.CommandContext(ctx, "postlink", "demo", "--rate", "0", "--listen", "127.0.0.1:"+port, "--nats-listen", "127.0.0.1:0")
	demo.Cancel = func() error { return demo.Process.Signal(syscall.SIGTERM) }
	demo.WaitDelay = patience
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = demo.Wait() // says that it was stopped
	})
	waitUntil(t, "the demo is ready", func() bool {
		resp, err := http.Get("http://127.0.0.1:" + port + "/readyz")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
}

func postlink(t *testing.T, server, command string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
	cmd.Env = append(os.Environ(), "POSTLINK_SERVER="+server)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// readmeCommands are the commands for the second terminal.
func readmeCommands(t *testing.T) []string {
	t.Helper()
	f, err := os.Open("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var commands []string
	scanner := bufio.NewScanner(f)
	for scanner.Scan() && !strings.HasPrefix(scanner.Text(), "## ") {
		if line, indented := strings.CutPrefix(scanner.Text(), "    "); indented && strings.HasPrefix(line, "postlink ") {
			commands = append(commands, line)
		}
	}
	return commands
}

func waitUntil(t *testing.T, what string, fact func() bool) {
	t.Helper()
	bustest.Eventually(t, patience, what, func() (bool, error) { return fact(), nil })
}
