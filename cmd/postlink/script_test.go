package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"postlink/worker/console/api"
)

// patience is how long a script waits for a fact.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postlink": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args[1:]))
	}})
}

// TestCommands runs the scripts: the commands as a user types them, in a folder and a process of their own.
func TestCommands(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			ports, err := freePorts(4)
			if err != nil {
				return err
			}
			for i, port := range ports {
				env.Setenv(fmt.Sprintf("PORT%d", i+1), port)
			}
			env.Setenv("SANDBOX_TOKEN", "sandbox")
			return nil
		},
		Cmds: scriptCommands(),
	})
}

// scriptCommands are those that scripts have beside testscript's own.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	commands := map[string]func(*testscript.TestScript, bool, []string){
		"waitfor": waitFor, "exits": exits, "expand": expand, "lines": writeLines, "cursor": setCursor,
	}
	for name, found := range waits {
		commands[name] = waitForAtLeast(found)
	}
	return commands
}

// freePorts are ports of loopback that nobody uses at this moment, each another.
func freePorts(n int) ([]string, error) {
	held := make([]net.Listener, n) // until all are chosen, or one could be chosen twice
	ports := make([]string, n)
	for i := range held {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held[i] = l
		if _, ports[i], err = net.SplitHostPort(l.Addr().String()); err != nil {
			return nil, err
		}
	}
	for _, l := range held {
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	return ports, nil
}

// expand puts the values of ${VARIABLES} into files: expand serve.yaml.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, file := range args {
		path := ts.MkAbs(file)
		ts.Check(os.WriteFile(path, []byte(os.Expand(ts.ReadFile(file), ts.Getenv)), 0o600))
	}
}

// waits are commands that wait until a server has so many of something: waitdead http://127.0.0.1:$PORT1 2.
var waits = map[string]func(ctx context.Context, c *api.Client) (int, error){
	"waitlinked": func(ctx context.Context, c *api.Client) (int, error) {
		return count[api.Link](ctx, c, api.PathLinks, url.Values{"state": {"linked"}})
	},
	"waitdead": func(ctx context.Context, c *api.Client) (int, error) {
		return count[api.DeadLetter](ctx, c, api.PathDead, nil)
	},
	"waitposts": func(ctx context.Context, c *api.Client) (int, error) {
		return count[api.Post](ctx, c, api.PathPosts, nil)
	},
}

func count[T any](ctx context.Context, c *api.Client, path string, query url.Values) (int, error) {
	n := 0
	for page, err := range api.Pages[T](ctx, c, path, query, 0) {
		if err != nil {
			return 0, err
		}
		n += len(page.Items)
	}
	return n, nil
}

func waitForAtLeast(found func(ctx context.Context, c *api.Client) (int, error)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 2 {
			ts.Fatalf("usage: wait... URL NUMBER")
		}
		least, err := strconv.Atoi(args[1])
		ts.Check(err)
		c, err := api.New(args[0], "")
		ts.Check(err)
		defer c.Close()
		look := time.NewTicker(50 * time.Millisecond)
		defer look.Stop()
		end := time.After(patience)
		for {
			n, err := found(context.Background(), c)
			ts.Check(err)
			if n >= least {
				return
			}
			select {
			case <-look.C:
			case <-end:
				ts.Fatalf("%s has %d, want %d", args[0], n, least)
			}
		}
	}
}

// writeLines writes a file of so many lines, with the number of each in place of NUMBER: lines posts.ndjson 100 TEXT.
func writeLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: lines FILE NUMBER TEXT")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var text strings.Builder
	for i := range n {
		text.WriteString(strings.ReplaceAll(args[2], "NUMBER", strconv.Itoa(i+1)) + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text.String()), 0o600))
}

// setCursor puts the cursor that a list ended with into a variable: cursor stderr CURSOR.
func setCursor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cursor FILE VARIABLE")
	}
	_, after, found := strings.Cut(ts.ReadFile(args[0]), "--cursor ")
	if !found {
		ts.Fatalf("%s names no cursor", args[0])
	}
	cursor, _, _ := strings.Cut(after, ",")
	ts.Setenv(args[1], cursor)
}

// waitFor waits until a URL answers 200: waitfor http://127.0.0.1:$PORT1/readyz.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfor URL")
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	end := time.After(patience)
	for {
		resp, err := http.Get(args[0]) //nolint:gosec // the script names it
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("status %s", resp.Status)
		}
		select {
		case <-look.C:
		case <-end:
			ts.Fatalf("%s never answered: %v", args[0], err)
		}
	}
}

// exits runs a command and compares its exit code: exits 78 postlink check bad.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		var exit interface{ ExitCode() int }
		if e, ok := err.(interface{ ExitCode() int }); ok {
			exit = e
		} else {
			ts.Fatalf("%s: %v", args[1], err)
		}
		code = fmt.Sprint(exit.ExitCode())
	}
	if code != args[0] {
		ts.Fatalf("%v ended with code %s, want %s", args[1:], code, args[0])
	}
}
