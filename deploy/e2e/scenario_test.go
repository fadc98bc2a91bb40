// Package e2e runs the same scenarios twice: with everything in one process, and in containers of the real binaries. The
// sandbox's own account of what it holds is the witness in both.
package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"postlink/dynamics/sandbox"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
)

// The organizations that sandboxes play. Scenarios use contoso alone.
const (
	contoso  = "contoso"
	fabrikam = "fabrikam"
)

// place is a NATS, a worker with its API, and sandboxes that play organizations, wherever they run. Each address is the one at
// which this test reaches it right now, without a path.
type place interface {
	natsURL(t *testing.T) string
	apiURL(t *testing.T) string
	sandboxURL(t *testing.T, organization string) string
}

// world is a place in which things can be broken.
type world interface {
	place
	instanceURL(organization string) string // the sandbox as the worker reaches it
	startWorker(t *testing.T)
	killWorker(t *testing.T)  // at once, without a chance to finish anything
	restartNATS(t *testing.T) // on the same files
}

// patience is how long a scenario may take to settle.
const patience = 90 * time.Second

// threeKinds turns three kinds of posts into three kinds of records.
const threeKinds = `
instances:
  - name: contoso
    url: %s
    auth: {kind: static, token: {env: SANDBOX_TOKEN}}
    entities: [{name: incident}, {name: lead}, {name: new_complaint}]
rules:
  - {name: trouble, when: 'post.sentiment == "negative"', link: {instance: contoso, entity: incident}}
  - {name: interest, when: 'post.mentions("buy")', link: {instance: contoso, entity: lead}}
  - {name: rudeness, when: 'post.mentions("rude")', link: {instance: contoso, entity: new_complaint}}
`

func TestPostsOfThreeKindsBecomeTheRightRecords(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		apply(t, w, threeKinds)
		publish(t, w, post(1, "negative", "late again"), post(2, "neutral", "where can I buy a ticket"),
			post(3, "negative", "so RUDE, never again"), post(4, "neutral", "hello"))
		settled(t, w)
		want := map[string]string{"x1": "incident", "x2": "lead", "x3": "new_complaint"}
		got := map[string]string{}
		for _, a := range activities(t, w) {
			got[a.PostID] = a.Regarding
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("records by post: %v, want %v", got, want)
		}
	})
}

func TestAPostPublishedThreeTimesBecomesOneRecord(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		apply(t, w, threeKinds)
		for range 3 {
			publish(t, w, post(1, "negative", "late again"))
		}
		settled(t, w)
		exactly(t, w, 1)
	})
}

func TestAKilledWorkerLosesAndDoublesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		apply(t, w, threeKinds)
		const posts = 2000
		slow(t, w)
		publish(t, w, many(posts)...)
		waitFor(t, "some of the records", func() (bool, error) { return count(t, w) >= posts/20, nil })
		w.killWorker(t)
		if n := count(t, w); n >= posts {
			t.Fatalf("all %d records were made before the worker was killed", n)
		}
		faults(t, w, http.MethodDelete, "")
		w.startWorker(t)
		settled(t, w)
		exactly(t, w, posts)
	})
}

func TestARestartedNATSLosesAndDoublesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		apply(t, w, threeKinds)
		const posts = 2000
		slow(t, w)
		publish(t, w, many(posts)...)
		waitFor(t, "some of the records", func() (bool, error) { return count(t, w) >= posts/20, nil })
		w.restartNATS(t)
		if n := count(t, w); n >= posts {
			t.Fatalf("all %d records were made before NATS was restarted", n)
		}
		faults(t, w, http.MethodDelete, "")
		settled(t, w)
		exactly(t, w, posts)
	})
}

func TestAnEntityInUseCannotBeRemoved(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		apply(t, w, threeKinds)
		without := strings.Replace(threeKinds, "{name: incident}, ", "", 1)
		without = strings.Replace(without, "{name: trouble,", "{name: trouble, active: false,", 1)
		withRule := func(edit func(*catalog.Catalog) error) error {
			_, _, err := look(t, w).Catalog.Change(t.Context(), catalog.Commit{Author: "ann"}, edit)
			return err
		}
		err := withRule(func(c *catalog.Catalog) error { return c.RemoveEntity("contoso", "incident") })
		var inUse *catalog.InUseError
		if !errors.As(err, &inUse) || fmt.Sprint(inUse.Rules) != "[trouble]" {
			t.Fatalf("removing the entity: %v", err)
		}
		publish(t, w, post(1, "negative", "late again"))
		settled(t, w)
		exactly(t, w, 1)
		if err := tryApply(t, w, without); err != nil {
			t.Errorf("removing the entity after its rule was deactivated: %v", err)
		}
	})
}

func TestABadCatalogChangesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		apply(t, w, threeKinds)
		if err := tryApply(t, w, strings.Replace(threeKinds, "post.sentiment", "post.mood", 1)); err == nil {
			t.Fatal("a catalog with a bad condition was applied")
		}
		publish(t, w, post(1, "negative", "late again"))
		settled(t, w)
		exactly(t, w, 1)
	})
}

// slow makes the sandbox take its time until its faults are cleared, so that there is a middle to break things in, however
// long the posts take to publish.
func slow(t *testing.T, w world) {
	t.Helper()
	faults(t, w, http.MethodPost, fmt.Sprintf(`{"kind":"slow","path":"^socialactivities","delay":%d}`, 250*time.Millisecond))
}

// faults adds a fault to contoso's sandbox, or clears all.
func faults(t *testing.T, w world, method, fault string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.sandboxURL(t, contoso)+"/_sandbox/faults", strings.NewReader(fault))
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		t.Fatalf("the sandbox refused %s of a fault: %s", method, resp.Status)
	}
}

// look is a worker that does not run, to publish, to apply a catalog and to see how far the others are.
func look(t *testing.T, w place) *worker.Worker {
	t.Helper()
	var looking *worker.Worker
	waitFor(t, "a connection to NATS", func() (ok bool, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		looking, err = worker.New(ctx, worker.Options{NATS: bus.Options{URL: w.natsURL(t)}, Log: zap.NewNop()})
		return err == nil, err
	})
	t.Cleanup(looking.Close)
	return looking
}

func apply(t *testing.T, w world, yaml string) {
	t.Helper()
	must(t, tryApply(t, w, yaml))
}

func tryApply(t *testing.T, w world, yaml string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "catalog.yaml")
	must(t, os.WriteFile(file, []byte(fmt.Sprintf(yaml, w.instanceURL(contoso))), 0o600))
	c, err := catalog.Load(file)
	if err != nil {
		return err
	}
	_, _, err = look(t, w).Catalog.Apply(t.Context(), c, catalog.Commit{Author: "test"})
	return err
}

func publish(t *testing.T, w place, posts ...string) {
	t.Helper()
	stream := look(t, w).Posts
	for _, p := range posts {
		must(t, stream.Publish(t.Context(), "twitter", []byte(p)))
	}
}

func post(id int, sentiment, text string) string {
	return fmt.Sprintf(`{"post":{"id":%d,"externalId":"x%d","postType":"post","profile":{"externalId":"u%d","externalHandle":"ann%d"},`+
		`"source":{"param":"Twitter"},"content":{"text":%q},"sentiment":{"polarity":%q}}}`, id, id, id%50, id%50, text, sentiment)
}

func many(n int) []string {
	posts := make([]string, n)
	for i := range posts {
		posts[i] = post(i+1, "negative", "late again")
	}
	return posts
}

// settled waits until every post and every link has reached its last place.
func settled(t *testing.T, w world) {
	t.Helper()
	looking := look(t, w)
	waitFor(t, "all posts and links are in their place", func() (bool, error) {
		if n, err := looking.Posts.Backlog(t.Context()); err != nil || n > 0 {
			return false, err
		}
		waiting, err := looking.Outboxes.Waiting(t.Context(), contoso)
		return waiting.Messages == 0 && err == nil, err
	})
}

func waitFor(t *testing.T, what string, fact func() (bool, error)) {
	t.Helper()
	bustest.Eventually(t, patience, what, fact)
}

// activity is a social activity as the sandbox holds it.
type activity struct {
	ID        string
	PostID    string `json:"postid"`
	Regarding string `json:"_regardingobjectid_value@Microsoft.Dynamics.CRM.lookuplogicalname"`
}

// activities reads what the sandbox holds.
func activities(t *testing.T, w place) []activity {
	t.Helper()
	var all []activity
	lines(t, w.sandboxURL(t, contoso)+"/_sandbox/snapshot", func(line []byte) {
		var r struct {
			Table  string   `json:"table"`
			ID     string   `json:"id"`
			Record activity `json:"record"`
		}
		must(t, json.Unmarshal(line, &r))
		if r.Table == "socialactivity" {
			r.Record.ID = r.ID
			all = append(all, r.Record)
		}
	})
	return all
}

// count is how many activities the sandbox holds.
func count(t *testing.T, w place) (n int) {
	t.Helper()
	lines(t, w.sandboxURL(t, contoso)+"/_sandbox/summary", func(line []byte) {
		var sum sandbox.Summary
		must(t, json.Unmarshal(line, &sum))
		n = sum.Records["socialactivity"]
	})
	return n
}

// exactly compares the sandbox's records, and its log of what it created, with the number of posts.
func exactly(t *testing.T, w world, posts int) {
	t.Helper()
	ofPost := map[string]int{}
	for _, a := range activities(t, w) {
		ofPost[a.PostID]++
	}
	for id, n := range ofPost {
		if n != 1 {
			t.Errorf("%d records of post %s", n, id)
		}
	}
	if len(ofPost) != posts {
		t.Errorf("records of %d posts, want %d", len(ofPost), posts)
	}
	created := map[string]int{}
	lines(t, w.sandboxURL(t, contoso)+"/_sandbox/requests", func(line []byte) {
		var r struct {
			Table, ID string
			Created   bool
		}
		must(t, json.Unmarshal(line, &r))
		if r.Table == "socialactivity" && r.Created {
			created[r.ID]++
		}
	})
	if len(created) != posts {
		t.Errorf("the log tells of %d activities created, want %d", len(created), posts)
	}
}

func lines(t *testing.T, url string, visit func([]byte)) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		visit(scanner.Bytes())
	}
	must(t, scanner.Err())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
