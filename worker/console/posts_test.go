package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/worker/console/api"
	"postlink/worker/ledger"
)

func TestPostsAreListedNewestFirstPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for id := 1; id <= 7; id++ {
		w.publish(post(id, map[bool]string{true: "negative", false: "neutral"}[id%3 == 0]))
	}
	w.reaches(3, ledger.Linked)
	w.reaches(6, ledger.Linked)
	w.publish(`{"post":`)
	list := func(query string) (ids []string, pages int) {
		for cursor, more := "", true; more; pages++ {
			page := as[api.Page[api.Post]](w.get(api.PathPosts + "?limit=2&cursor=" + cursor + query).is(200))
			for _, p := range page.Items {
				ids = append(ids, p.ID)
			}
			cursor, more = page.NextCursor, page.NextCursor != ""
		}
		return ids, pages
	}
	cases := map[string]struct{ query, want string }{
		"all":        {"", "[ 7 6 5 4 3 2 1]"},
		"linked":     {"&link=linked", "[6 3]"},
		"not linked": {"&link=unlinked", "[7 5 4 2 1]"},
		"of a rule":  {"&rule=complaints", "[6 3]"},
		"dead":       {"&link=dead", "[]"}, // with one that has no id
	}
	for about, c := range cases {
		if ids, pages := list(c.query); fmt.Sprint(ids) != c.want || pages > 5 {
			t.Errorf("%s: %v in %d pages, want %s", about, ids, pages, c.want)
		}
	}
	newest := as[api.Page[api.Post]](w.get(api.PathPosts + "?limit=2")).Items
	if p := newest[0]; p.Problem == "" || p.Name != fmt.Sprintf("@%d", p.Sequence) || p.Linked || !p.Dead || p.DeadLetter == 0 || p.Reason == "" {
		t.Errorf("a post that cannot be read: %+v", p)
	}
	dead := as[api.Page[api.Post]](w.get(api.PathPosts + "?link=dead")).Items
	if len(dead) != 1 || dead[0].DeadLetter != newest[0].DeadLetter {
		t.Errorf("dead posts: %+v", dead)
	}
	if p := as[api.PostHistory](w.get(to(api.PathPost, newest[0].Name)).is(200)); !p.Dead || p.DeadLetter != newest[0].DeadLetter {
		t.Errorf("shown as %+v", p)
	}
	if p := newest[1]; p.Text != "text of 7" || p.Author.Handle != "ann0" || p.Network != "twitter" || p.ArrivedAt.IsZero() {
		t.Errorf("a post: %+v", p)
	}
	w.get(api.PathPosts+"?limit=0").problem(422, "invalid-request")
	w.get(api.PathPosts+"?link=loved").problem(422, "invalid-request")
	w.get(api.PathPosts+"?lines=3").problem(422, "invalid-request")
	var links []string
	for cursor := ""; ; {
		page := as[api.Page[api.Link]](w.get(api.PathLinks + "?limit=1&state=linked&instance=contoso&rule=complaints&cursor=" + cursor).is(200))
		for _, l := range page.Items {
			links = append(links, l.PostID)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if len(links) != 2 || links[0] == links[1] {
		t.Errorf("links of posts %v", links)
	}
}

func TestAPostShowsWhoDecidedAndWhatHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.link(1)
	w.send(http.MethodDelete, to(api.PathPostLink, "1"), nil).is(200)
	created := as[api.Link](w.send(http.MethodPost, api.PathLinks+"?wait=20", api.NewLink{Post: "twitter/1", Entity: "new_complaint", Notes: "second"}).is(201))
	for _, name := range []string{"1", "twitter/1", "@1", name(1)} {
		got := as[api.PostHistory](w.get(to(api.PathPost, name)).is(200))
		if got.Decision == nil || got.Decision.By != "administrator@example.com" || got.Decision.Rule != "" || got.Decision.Catalog == "" || got.ArrivedAt.IsZero() || !got.Linked {
			t.Fatalf("%s: %+v", name, got)
		}
		if diff := cmp.Diff(created, *got.Link); diff != "" {
			t.Errorf("%s: newest link (-created +shown):\n%s", name, diff)
		}
		var steps []string
		for _, l := range got.Links {
			for _, s := range l.Steps {
				steps = append(steps, fmt.Sprint(l.Generation, " ", s.State, " by ", s.By))
			}
		}
		want := []string{"1 queued by rule complaints", "1 linked by postlink", "1 removed by administrator@example.com", "2 queued by administrator@example.com", "2 linked by postlink"}
		if diff := cmp.Diff(want, steps); diff != "" {
			t.Errorf("%s: history (-want +got):\n%s", name, diff)
		}
		if got.Links[0].Notes != "" || got.Links[1].Notes != "second" {
			t.Errorf("notes %q, %q", got.Links[0].Notes, got.Links[1].Notes)
		}
	}
	w.publish(post(2, "neutral"))
	if got := as[api.PostHistory](w.get(to(api.PathPost, "2"))); got.Decision != nil || got.Link != nil || len(got.Links) != 0 {
		t.Errorf("a post that was never linked: %+v", got)
	}
	w.send(http.MethodPost, api.PathLinks+"?wait=20", api.NewLink{Event: []byte(post(12345678901234567, "neutral")), Entity: "incident"}).is(201)
	if got := as[api.PostHistory](w.get(to(api.PathPost, "12345678901234567"))); got.Problem == "" || got.Sequence != 0 || !got.Linked {
		t.Errorf("a post that never was in the stream: %+v", got)
	}
}

func TestACursorIsOfOneListAndSaysNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for id := 1; id <= 3; id++ {
		w.link(id)
	}
	posts := as[api.Page[api.Post]](w.get(api.PathPosts + "?limit=1").is(200)).NextCursor
	links := as[api.Page[api.Link]](w.get(api.PathLinks + "?limit=1").is(200)).NextCursor
	w.get(api.PathPosts + "?cursor=" + posts).is(200)
	for name, c := range map[string]struct{ path, cursor string }{
		"of another list":      {api.PathPosts, links},
		"of posts for links":   {api.PathLinks, posts},
		"a number":             {api.PathPosts, "17"},
		"no number":            {api.PathPosts, posts[:1]},
		"zero":                 {api.PathPosts, posts[:1] + "0"},
		"a negative number":    {api.PathPosts, posts[:1] + "-1"},
		"longer than a number": {api.PathPosts, posts + "zzzzzzzzzzzzzz"},
		"of rules":             {api.PathRules, posts},
		"of dead letters":      {api.PathDead, posts},
	} {
		p := w.get(c.path+"?cursor="+c.cursor).problem(422, "invalid-request")
		if len(p.Errors) != 1 || p.Errors[0].Location != "query.cursor" || !strings.Contains(p.Errors[0].Message, "give next_cursor") {
			t.Errorf("%s: errors %+v", name, p.Errors)
		}
	}
}
