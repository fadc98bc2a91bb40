package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/bus"
)

// posts is a file of so many posts that no rule takes.
func (w *world) posts(n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(event(i+1, "all fine") + "\n")
	}
	return w.file("posts.ndjson", text.String())
}

// stored is how many posts the stream has.
func (w *world) stored() int {
	w.t.Helper()
	return len(w.run("posts list --all --json").sequences())
}

func TestAFileIsPublishedFromALineOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	path := w.posts(10)
	at := " --nats " + w.server.URL()
	w.run("publish " + path + " --from 8" + at).warns("^3 posts published$")
	if n := w.stored(); n != 3 {
		t.Errorf("the stream has %d posts", n)
	}
	w.run("posts list").prints("twitter/8 ", "twitter/10 ").lacks("twitter/7 ")
	w.fails(cli.ExitUsage, "publish "+path+" --from 11"+at).warns("has no posts from line 11 on")
	runAt(t, "", event(20, "from a pipe")+"\n", words("publish -"+at)...).exits(0).warns("^1 post published$")
	w.run("posts show twitter/20").prints("^Text +from a pipe$")
}

// The workers were started with other settings than the command has.
func TestPublishingLeavesTheSettingsOfTheStreamAsTheyAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	settings := func() jetstream.StreamConfig {
		info, _, err := w.Bus.StreamInfo(t.Context(), "POSTS")
		must(t, err)
		return info.Config
	}
	before := settings()
	before.MaxAge = 3 * bus.Day
	must(t, w.Bus.DeclareStream(t.Context(), before))
	before = settings()
	w.run("publish " + w.posts(2) + " --nats " + w.server.URL())
	if diff := cmp.Diff(before, settings()); diff != "" || before.MaxAge != 3*bus.Day {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestWhatIsNoPostIsSentOnlyWhenAskedTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	path := w.file("posts.ndjson", event(1, "all fine")+"\nnonsense\n"+event(3, "late")+"\n")
	at := " --nats " + w.server.URL()
	w.fails(cli.ExitFindings, "publish "+path+at).warns("1 line is no post, 2 are; nothing was sent; .* --as-is$", "posts.ndjson:2: ")
	if n := w.stored(); n != 0 {
		t.Errorf("%d posts were sent", n)
	}
	w.run("publish " + path + at + " --as-is").warns("^3 posts published$")
	w.reaches(3, "linked")
	w.eventually("the line that is no post is dead", func() bool { return w.letters("") == "1:post:" })
	for name, text := range map[string]string{
		"array.json": "[" + event(1, "x") + "]", "pretty.json": "{\n\"post\": {\n\"id\": 1}}\n", "empty.json": "\n", "posts.gz": event(1, "x"),
	} {
		w.fails(cli.ExitFindings, "publish "+w.file(name, text)+at+" --as-is").warns(name + ": ")
	}
	if n := w.stored(); n != 3 {
		t.Errorf("the stream has %d posts", n)
	}
}

func TestTheRateOfPublishingIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	began := time.Now()
	w.run(fmt.Sprintf("publish %s --rate 40 --nats %s", w.posts(20), w.server.URL()))
	if took := time.Since(began); took < 450*time.Millisecond {
		t.Errorf("20 posts at 40 a second took %s", took)
	}
}

func TestWithoutNATSPublishingSaysWhatToStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	path := w.posts(2)
	w.fails(cli.ExitUnavailable, "publish "+path+" --nats nats://"+nothingThere(t)).warns("is postlink serve or postlink demo running, or does --nats \\(POSTLINK_NATS\\) name another server\\?")
	w.fails(cli.ExitConfig, "publish "+path+" --config nowhere.yaml").warns("there is no configuration file nowhere.yaml")
}

// Who loses NATS in the middle learns how far it came; a command that asks the server meets a refusal that is no fault of the caller.
func TestALostNATSEndsWhatIsUnderWayAndIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	path := w.posts(5000)
	done := make(chan said, 1)
	go func() { done <- runAt(t, "", "", words("publish "+path+" --rate 500 --nats "+w.server.URL())...) }()
	w.eventually("some posts have arrived", func() bool { return w.stored() > 20 })
	w.server.Shutdown()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case said := <-done:
		said.exits(cli.ExitUnavailable).warns(`after \d+ posts?; continue with: postlink publish .*posts.ndjson --from \d+$`)
	case <-ctx.Done():
		t.Fatal("it goes on without NATS")
	}
	for _, line := range []string{"posts list", "links list", "rules deactivate delays", "instances refresh contoso", "dead list"} {
		w.fails(cli.ExitUnavailable, line).warns("NATS")
	}
	w.run("health") // the process itself works; a restart would not help
	w.fails(cli.ExitFindings, "health --ready")
}

func TestAServerThatIsAwayIsNamedWithItsCode(t *testing.T) {
	t.Parallel()
	nowhere := "http://" + nothingThere(t)
	for _, line := range []string{
		"instances list", "instances add x --url https://x.example --token-env T", "entities list contoso", "rules activate a b", "posts list", "posts show @1",
		"links create @1", "links remove @1 --yes", "links open @1", "dead list", "dead redrive 1", "dead drop --all --yes", "export",
	} {
		said := runAt(t, nowhere, "", words(line)...).exits(cli.ExitUnavailable).warns("is postlink serve running there")
		if n := strings.Count(said.errors, "is postlink serve running there"); n != 1 {
			t.Errorf("%s: said %d times: %s", line, n, said.errors)
		}
	}
	runAt(t, nowhere, "", "health").exits(cli.ExitFindings).warns("is postlink serve running there, or does --server \\(POSTLINK_SERVER\\) name another\\?")
}
