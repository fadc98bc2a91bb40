package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"postlink/worker/console/api"
	"postlink/worker/ledger"
)

func TestADeadLetterIsShownAndSentOnItsWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.die(1)
	w.publish(`{"post":` + "\"\xff")
	var letters api.Page[api.DeadLetter]
	w.eventually("two letters", func() bool {
		letters = as[api.Page[api.DeadLetter]](w.get(api.PathDead).is(200))
		return len(letters.Items) == 2
	})
	unreadable := letters.Items[0]
	if unreadable.Kind != "post" || unreadable.Reason == "" || unreadable.Code != "undecodable" || unreadable.Post != fmt.Sprintf("@%d", unreadable.PostSequence) {
		t.Errorf("letter of a post: %+v", unreadable)
	}
	if l := letters.Items[1]; l.Kind != "link" || l.Instance != "contoso" || l.PostID != "1" || l.Post != name(1) || l.Generation != 1 || l.Sequence != link || l.Code != "0x80048408" || l.Rule != "complaints" || l.Entity != "incident" {
		t.Errorf("letter of a link: %+v", l)
	}
	page := as[api.Page[api.DeadLetter]](w.get(api.PathDead + "?limit=1"))
	rest := as[api.Page[api.DeadLetter]](w.get(api.PathDead + "?limit=1&cursor=" + page.NextCursor))
	only := as[api.Page[api.DeadLetter]](w.get(api.PathDead + "?kind=link"))
	if page.Items[0].Sequence != unreadable.Sequence || rest.Items[0].Sequence != link || len(only.Items) != 1 || only.Items[0].Sequence != link {
		t.Errorf("pages %+v, %+v, %+v", page, rest, only)
	}
	content := as[api.DeadLetterContent](w.get(to(api.PathDeadLetter, fmt.Sprint(unreadable.Sequence))).is(200))
	if content.Event != "{\"post\":\"\uFFFD" {
		t.Errorf("event %q", content.Event)
	}
	r := as[api.Redriven](w.send(http.MethodPost, to(api.PathRedriveLetter, fmt.Sprint(link)), nil).is(200))
	if r.Kind != "link" || r.Link.Generation != 2 || r.Link.PostID != "1" {
		t.Errorf("redriven %+v", r)
	}
	w.reaches(1, ledger.Linked)
	r = as[api.Redriven](w.send(http.MethodPost, to(api.PathRedriveLetter, fmt.Sprint(unreadable.Sequence)), nil).is(200))
	if r.Kind != "post" || r.Link != nil {
		t.Errorf("redriven %+v", r)
	}
	w.get(to(api.PathDeadLetter, "0")).problem(422, "invalid-request")
}

func TestDeadLettersAreChosenAndCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.die(1), w.die(2)
	w.publish(`{"post":`, `{"post":{}}`)
	w.eventually("four letters", func() bool {
		return as[api.DeadCount](w.get(api.PathDeadCount).is(200)).Count == 4
	})
	all := as[api.Page[api.DeadLetter]](w.get(api.PathDead).is(200)).Items
	at := func(sequence uint64) string {
		for _, l := range all {
			if l.Sequence == sequence {
				return url.QueryEscape(l.At.Format(time.RFC3339Nano))
			}
		}
		t.Fatalf("no letter %d in %+v", sequence, all)
		return ""
	}
	for filter, want := range map[string]int{
		"kind=link":                          2,
		"kind=post":                          2,
		"instance=contoso":                   2,
		"instance=fabrikam":                  0,
		"kind=post&instance=contoso":         0,
		"since=" + at(second):                3,
		"since=" + at(first):                 4,
		"since=" + at(second) + "&kind=link": 1,
		"since=2100-01-01T00:00:00Z":         0,
		"rule=nobody":                        0,
		"rule=complaints":                    2,
		"code=0x1":                           0,
		"code=undecodable":                   2,
	} {
		if got := as[api.DeadCount](w.get(api.PathDeadCount + "?" + filter).is(200)); got.Count != want {
			t.Errorf("%s: counted %d, want %d", filter, got.Count, want)
		}
		for _, limit := range []string{"1", "2", "50"} {
			listed := 0
			for cursor, more := "", true; more; {
				page := as[api.Page[api.DeadLetter]](w.get(api.PathDead + "?limit=" + limit + "&cursor=" + cursor + "&" + filter).is(200))
				listed += len(page.Items)
				cursor, more = page.NextCursor, page.NextCursor != ""
			}
			if listed != want {
				t.Errorf("%s, by %s: listed %d, want %d", filter, limit, listed, want)
			}
		}
	}
	w.get(api.PathDead+"?since=yesterday").problem(422, "invalid-request")
	w.get(api.PathDeadCount+"?kind=letter").problem(422, "invalid-request")
}
