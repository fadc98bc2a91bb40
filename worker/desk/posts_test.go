package desk_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/deadletter"
	"postlink/worker/desk"
	"postlink/worker/ledger"
)

// buryPost keeps a post of the stream as a dead letter, as matching does.
func (w *world) buryPost(sequence uint64, id ledger.Key, code, reason, data string) {
	w.t.Helper()
	must(w.t, w.opts.Letters.BuryPost(w.t.Context(), deadletter.Letter{
		Post: id, PostSequence: sequence, Code: code, Reason: reason, Stack: "goroutine 1", Data: []byte(data),
	}))
}

// listed are the sequences of the posts that a filter takes, read in pages of two.
func (w *world) listed(f desk.PostFilter) string {
	w.t.Helper()
	var got []string
	for below := uint64(0); ; {
		page, err := w.Posts.List(w.t.Context(), f, below, 2)
		must(w.t, err)
		for _, row := range page.Rows {
			got = append(got, fmt.Sprint(row.Sequence))
		}
		if below = page.Next; below == 0 {
			return strings.Join(got, " ")
		}
	}
}

func TestPostsAreListedNewestFirstInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	for id := 1; id <= 7; id++ {
		w.publish(text(id))
	}
	w.publish("nonsense", text(9))
	for id, instance := range map[int]string{1: "contoso", 2: "fabrikam", 4: "contoso", 6: "contoso"} {
		entity := map[string]string{"contoso": "incident", "fabrikam": "lead"}[instance]
		_, _, err := w.opts.Ledger.Freeze(t.Context(), key(id), uint64(id), ledger.Decision{Instance: instance, Entity: entity, Rule: "to " + instance, By: "rule"})
		must(t, err)
	}
	w.deliver(1)
	w.deliver(2)
	w.die(4)
	must(t, second(w.Links.Unlink(t.Context(), "2", "ann")))
	tests := map[string]struct {
		filter desk.PostFilter
		want   string
	}{
		"all":                        {desk.PostFilter{}, "9 8 7 6 5 4 3 2 1"},
		"linked":                     {desk.PostFilter{Link: desk.PostsLinked}, "1"},
		"dead":                       {desk.PostFilter{Link: desk.PostsDead}, "8 4"},
		"not linked":                 {desk.PostFilter{Link: desk.PostsUnlinked}, "9 7 5 4 3 2"},
		"queued":                     {desk.PostFilter{Link: desk.PostsQueued}, "6"},
		"taken by a rule":            {desk.PostFilter{Rule: "to contoso"}, "6 4 1"},
		"taken by a rule and linked": {desk.PostFilter{Rule: "to contoso", Link: desk.PostsLinked}, "1"},
		"taken by a rule and dead":   {desk.PostFilter{Rule: "to contoso", Link: desk.PostsDead}, "4"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := w.listed(test.filter); got != test.want {
				t.Errorf("posts %s, want %s", got, test.want)
			}
		})
	}
	page, err := w.Posts.List(t.Context(), desk.PostFilter{}, 7, 1)
	must(t, err)
	row := page.Rows[0]
	if row.Key != key(6) || row.Instance != "contoso" || row.Content.Text != "text of 6" || row.At.IsZero() || page.Next != 6 {
		t.Errorf("row %+v, next %d", row, page.Next)
	}
}

func TestAPostThatCannotBeReadIsDeadEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	bad := `{"post":{"id":3,"source":{"param":"Twitter"},"publicationDate":"yesterday"}}`
	w.publish(text(1), "nonsense", bad, text(4))
	w.buryPost(2, ledger.Key{}, deadletter.CodeUndecodable, "not JSON", "nonsense")
	w.buryPost(3, key(3), deadletter.CodeUndecodable, "no date", bad)
	w.buryPost(4, key(4), deadletter.CodeCrashed, "index out of range", text(4))

	if got := w.listed(desk.PostFilter{Link: desk.PostsDead}); got != "4 3 2" {
		t.Errorf("dead posts %s", got)
	}
	if got := w.listed(desk.PostFilter{Link: desk.PostsUnlinked}); got != "1" {
		t.Errorf("posts that are not linked: %s", got)
	}
	tests := map[string]struct {
		name, data, code, problem string
		key                       ledger.Key
		decoded                   bool
	}{
		"undecodable":                        {"@2", "nonsense", deadletter.CodeUndecodable, "", ledger.Key{}, false},
		"undecodable with an id":             {"@3", bad, deadletter.CodeUndecodable, "", key(3), false},
		"undecodable by its id":              {"3", bad, deadletter.CodeUndecodable, "", key(3), false},
		"undecodable by network and id":      {"twitter/3", bad, deadletter.CodeUndecodable, "", key(3), false},
		"undecodable by its name in URLs":    {key(3).PathName(), bad, deadletter.CodeUndecodable, "", key(3), false},
		"crashed":                            {"@4", text(4), deadletter.CodeCrashed, "index out of range", key(4), true},
		"crashed, by its id in another form": {"Twitter/4", text(4), deadletter.CodeCrashed, "index out of range", key(4), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			post, err := w.Posts.Find(t.Context(), test.name)
			must(t, err)
			if post.Key != test.key || string(post.Data) != test.data || post.Problem == "" || !strings.Contains(post.Problem, test.problem) {
				t.Errorf("found %+v", post)
			}
			if post.Letter == nil || post.Letter.Code != test.code || post.Letter.Stack == "" || (post.Content != nil) != test.decoded || post.Entry != nil {
				t.Errorf("found %+v with letter %+v", post, post.Letter)
			}
		})
	}
	r := refused(t, second(w.Links.Details(t.Context(), "@2")), desk.RefusedNotLinked)
	if !strings.Contains(r.Text, "post @2 is not linked, it is dead: ") {
		t.Errorf("refused with %q", r.Text)
	}
	refused(t, second(w.Links.Link(t.Context(), desk.Request{Post: "@3", Instance: "fabrikam"})), desk.RefusedPostInvalid)

	w.link("@4", "fabrikam", "") // a person may link a post on which a condition crashed
	if got := w.listed(desk.PostFilter{Link: desk.PostsDead}); got != "3 2" {
		t.Errorf("dead posts %s", got)
	}
	must(t, w.Letters.Drop(t.Context(), 1))
	post, err := w.Posts.Find(t.Context(), "@2")
	if err != nil || post.Problem == "" || post.Letter != nil {
		t.Errorf("without its letter: %+v, %v", post, err)
	}
}

func TestADeadLetterOfAnotherPostAtTheSamePlaceIsNotThePosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(text(1))
	w.buryPost(1, key(9), deadletter.CodeCrashed, "of a stream that was made anew since", text(9))
	post, err := w.Posts.Find(t.Context(), "@1")
	if err != nil || post.Problem != "" || post.Letter != nil {
		t.Errorf("found %+v, %v", post, err)
	}
}

func TestALinkedPostIsKnownAfterTheStreamHasForgottenIt(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t, 1)
	must(t, w.bus.Delete(t.Context(), "POSTS", 1))
	post, err := w.Posts.Find(t.Context(), "1")
	must(t, err)
	if post.GivenByHand || post.Content != nil || post.Sequence != 1 || post.Instance != "contoso" {
		t.Errorf("found %+v", post)
	}
	must(t, second(w.Links.Unlink(t.Context(), "1", "ann")))
	r := refused(t, second(w.Links.Link(t.Context(), desk.Request{Post: "1", Instance: "fabrikam"})), desk.RefusedPostForgotten)
	if !strings.Contains(r.Text, "no longer in the posts stream") {
		t.Errorf("refused with %q", r.Text)
	}
	must(t, second(w.Links.Link(t.Context(), desk.Request{Event: []byte(text(1)), Instance: "fabrikam"})))
}

func TestIDsThatJSONWritesInManyWaysAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, written := range []string{`"a\/b"`, `"caf\u00e9"`, `"x\u0026y"`, `"tag:1:z"`} {
		w.publish(strings.Replace(text(1), `"id":1`, `"id":`+written, 1))
		id := []string{"a/b", "café", "x&y", "tag:1:z"}[i]
		post, err := w.Posts.Find(t.Context(), id)
		if err != nil || post.Key.PostID != id || post.Sequence != uint64(i+1) {
			t.Errorf("find %s: %+v, %v", id, post, err)
		}
	}
}

func TestAPageOfAListThatFindsLittleEndsAndSaysWhereToGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	w.publish(text(1))
	w.link("1", "fabrikam", "")
	const others = 5_000
	var kept []jetstream.PubAckFuture
	for range others {
		future, err := w.opts.Posts.PublishAsync("twitter", []byte(text(2)))
		must(t, err)
		kept = append(kept, future)
	}
	for _, future := range kept {
		<-future.Ok()
	}
	page, err := w.Posts.List(t.Context(), desk.PostFilter{Link: desk.PostsQueued}, 0, 10)
	must(t, err)
	if len(page.Rows) != 0 || page.Next != 2 {
		t.Fatalf("%d rows, next %d", len(page.Rows), page.Next)
	}
	page, err = w.Posts.List(t.Context(), desk.PostFilter{Link: desk.PostsQueued}, page.Next, 10)
	must(t, err)
	if len(page.Rows) != 1 || page.Next != 0 {
		t.Errorf("%d rows, next %d", len(page.Rows), page.Next)
	}
}
