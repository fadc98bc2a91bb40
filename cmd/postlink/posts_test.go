package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/dynamics/sandbox"
	"postlink/worker/console/api"
)

// sequences are the places of the posts that a list shows.
func (s said) sequences() []uint64 {
	s.t.Helper()
	var page api.Page[api.Post]
	if err := json.Unmarshal([]byte(s.out), &page); err != nil {
		s.t.Fatalf("%s: %v\n%s", s.line, err, s.out)
	}
	found := make([]uint64, len(page.Items))
	for i, p := range page.Items {
		found[i] = p.Sequence
	}
	return found
}

// everyState publishes a post of each state: @1 linked, @2 not matched, @3 dead, @4 unreadable, @5 linked and then removed, @6 queued.
func (w *world) everyState() {
	w.t.Helper()
	w.linked(1)
	w.publish(event(2, "all fine"))
	w.dies(3)
	w.publish(`{"post":{"id":4,"source":{"param":"Twitter"},"content":7}}`)
	w.eventually("the unreadable post is dead", func() bool {
		return len(runAt(w.t, w.URL(), "", "posts", "list", "--link", "dead", "--json").sequences()) == 2
	})
	w.linked(5)
	w.run("links remove @5 --yes")
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultStatus, Method: http.MethodPatch, Path: "socialactivities", Status: 503})
	w.publish(event(6, "late, and it stays so"))
	w.eventually("post 6 is tried", func() bool {
		in, err := w.Ledger.Find(w.t.Context(), key(6))
		return err == nil && in.Current().Attempts > 0
	})
}

func TestPostsAreListedByWhatBecameOfThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.everyState()
	for name, test := range map[string]struct {
		filter string
		want   []uint64
	}{
		"all":                  {"", []uint64{6, 5, 4, 3, 2, 1}},
		"linked":               {"--link linked", []uint64{1}},
		"with no active link":  {"--link unlinked", []uint64{5, 3, 2}},
		"dead":                 {"--link dead", []uint64{4, 3}},
		"queued":               {"--link queued", []uint64{6}},
		"of a rule":            {"--rule delays", []uint64{6, 5, 3, 1}},
		"of a rule and queued": {"--rule delays --link queued", []uint64{6}},
		"of another rule":      {"--rule praise", []uint64{}},
		"the first two":        {"--limit 2", []uint64{6, 5}},
	} {
		if diff := cmp.Diff(test.want, w.run("posts list --json "+test.filter).sequences()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	w.run("posts list").prints(
		"^@1 +twitter/1 +20.* linked contoso +late again$", "^@2 .* not linked +all fine$", "^@3 .* not linked \\(dead\\) ",
		"^@4 .* dead +\\(", "^@5 .* not linked \\(removed\\) ", "^@6 .* queued contoso ")
	w.run("posts list --rule praise").warns("there are no such posts")
	w.fails(2, "posts list --rule dlays").warns(`there is no rule "dlays"; did you mean delays\?`)
}

func TestALongListGoesOnAtItsCursor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	const n = 7
	for i := range n {
		w.publish(event(i+1, "all fine"))
	}
	var found []uint64
	said := w.run("posts list --limit 3 --json")
	for {
		found = append(found, said.sequences()...)
		var page api.Page[api.Post]
		must(t, json.Unmarshal([]byte(said.out), &page))
		if page.NextCursor == "" {
			break
		}
		if len(found) > n {
			t.Fatalf("the list does not end: %v", found)
		}
		said = w.run("posts list --limit 3 --json --cursor " + page.NextCursor)
	}
	if want := []uint64{7, 6, 5, 4, 3, 2, 1}; !slices.Equal(found, want) {
		t.Errorf("page by page: %v", found)
	}
	if all := w.run("posts list --all --json").sequences(); !slices.Equal(all, found) {
		t.Errorf("all at once: %v", all)
	}
	first := w.run("posts list --limit 5").prints("^@7 ").lacks("^@2 ")
	w.run("posts list --cursor "+first.cursor()).prints("^@2 ", "^@1 ").lacks("^@3 ")
	w.fails(1, "posts list --cursor nonsense").warns("cursor")
}

func TestAPostIsShownWithWhoDecidedAndWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.everyState()
	w.run("posts show @1").prints("^Post +twitter/1 @1$", "^External id +x1$", "^Published +2026-01-0", "^Author +Ann Lee @ann$",
		"^URL +https://twitter.com/ann/status/1$", "^Text +late again$", "^State +linked contoso$", "^Decided by +rule delays, 20.*, catalog [0-9a-f]{12}$",
		"^Link 1 +contoso incident, notes: call back$", "^ +20.* queued +by rule delays$", "^ +20.* linked +by postlink$")
	w.run("posts show twitter/2").prints("^State +not linked$").lacks("^Decided by", "^Link 1", "^Dead")
	w.run("posts show twitter/3").prints("^State +not linked \\(dead\\)$", "^Dead +.*0x80048408.*; look with: postlink dead show 1$", "^ +20.* dead +by postlink: .*0x80048408")
	w.run("posts show @4").prints("^Post +twitter/4 @4$", "^Problem ", "^State +dead$", "^Dead +.*; look with: postlink dead show 2$")
	w.run("posts show 5").prints("^State +not linked \\(removed\\)$", "^ +20.* removed +by ")
	w.run("posts show @6").prints("^State +queued contoso$", "^Instance state +(retrying|parked)")
	w.run("posts show @1 --json").prints(`"sequence": 1`, `"rule": "delays"`, `"steps": \[`)
	w.fails(1, "posts show twitter/99").warns("twitter/99")
	w.fails(1, "posts show @99")

	w.contoso.ClearFaults()
	w.reaches(6, "linked")
}

func TestAPostThatWasGivenByHandIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	runAt(t, w.URL(), event(8, "from a letter"), words("links create --event - --entity lead --wait")...).exits(0).prints("^State +linked$")
	w.run("posts show twitter/8").prints("^Post +twitter/8$", "^State +linked contoso$", "^Link 1 +contoso lead$",
		"^Problem +the post was given with the request for its link and never was in the stream").lacks("no longer")
	w.run("posts list").lacks("twitter/8")
	w.run("links list").prints("^twitter/8 +linked +contoso +lead ")
}
