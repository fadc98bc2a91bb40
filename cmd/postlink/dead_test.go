package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"postlink/worker/console/api"
)

// letters are the dead letters that a list shows: kind and post of each.
func (w *world) letters(filters string) string {
	w.t.Helper()
	var page api.Page[api.DeadLetter]
	must(w.t, json.Unmarshal([]byte(w.run("dead list --all --json "+filters).out), &page))
	var found []string
	for _, l := range page.Items {
		found = append(found, fmt.Sprintf("%d:%s:%s", l.Sequence, l.Kind, l.PostID))
	}
	return strings.Join(found, " ")
}

// fourLetters makes dead letters 1 and 3 of links, 2 and 4 of posts that cannot be read.
func (w *world) fourLetters() {
	w.t.Helper()
	for i := 1; i <= 4; i++ {
		if i%2 == 1 {
			w.dies(i)
			continue
		}
		w.publish(fmt.Sprintf(`{"post":{"id":%d,"source":{"param":"Twitter"},"content":7}}`, i))
		w.eventually("it is dead", func() bool { return strings.Contains(w.letters(""), fmt.Sprintf("%d:post", i)) })
	}
}

func TestDeadLettersAreChosenByWhatTheyAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.fourLetters()
	const all = "4:post:4 3:link:3 2:post:2 1:link:1"
	for filters, want := range map[string]string{
		"":                                all,
		"--kind post":                     "4:post:4 2:post:2",
		"--kind link":                     "3:link:3 1:link:1",
		"--instance contoso":              "3:link:3 1:link:1",
		"--instance fabrikam":             "",
		"--rule delays":                   "3:link:3 1:link:1",
		"--rule praise":                   "",
		"--code 0x80048408":               "3:link:3 1:link:1",
		"--code 0x80048408 --kind post":   "",
		"--code 0x8":                      "",
		"--since 1h":                      all,
		"--since 2026-01-01 --kind post":  "4:post:4 2:post:2",
		"--since 2199-01-01T00:00:00Z":    "",
		"--since 7d --instance contoso":   "3:link:3 1:link:1",
		"--rule delays --since 2199-1-1x": "error",
	} {
		if want == "error" {
			w.fails(2, "dead list "+filters).warns("write how long ago")
			continue
		}
		if got := w.letters(filters); got != want {
			t.Errorf("dead list %s: %s, want %s", filters, got, want)
		}
		count := strings.Count(want, ":") / 2
		w.run("dead drop --all --dry-run " + filters).prints(fmt.Sprintf("^%s$", many(count, "dead letter")))
	}
	if got := w.letters(""); got != all {
		t.Errorf("a dry run dropped some: %s", got)
	}
	w.run("dead list").prints("^3 +link +20.* contoso +delays +twitter/3 +0x80048408 +.*", "^4 +post ")
	w.fails(2, "dead list --instance contso").warns("did you mean contoso\\?")
}

func TestADeadLetterIsShownWithWhatItHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.fourLetters()
	w.run("dead show 1").prints("^Kind +link$", "^Instance +contoso$", "^Entity +incident$", "^Rule +delays$", "^Post +twitter/1 @1$",
		"^Code +0x80048408$", "^Reason +.*400", `^Event +{"post":{"id":1,`)
	w.run("dead show 2").prints("^Kind +post$", "^Post +twitter/2 @2$", "^Reason ", `"content":7`).lacks("^Instance", "^Attempts")
	w.run("dead show 2 --json").prints(`"sequence": 2`, `"event": "`)
	w.fails(1, "dead show 9")
	w.fails(2, "dead show first").warns("is not the number of a dead letter; see them with: postlink dead list")
}

func TestDeadLettersAreSentAgainAndDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.fourLetters()
	w.run("dead redrive 1").warns("^dead letter 1: post twitter/1 is (queued|linked) contoso$")
	w.reaches(1, "linked")
	w.run("posts show twitter/1").prints("^Link 2 +contoso incident")
	w.fails(2, "dead redrive --code 0x80048408").warns("Send 1 dead letter on their way again\\?", "add --yes")
	w.run("dead redrive --code 0x80048408 --rate 1000 --yes").warns("^1 dead letter sent on their way again$")
	w.reaches(3, "linked")
	if n := w.contoso.Count("incident"); n != 2 {
		t.Errorf("%d records, want one for each link", n)
	}
	// A letter that was sent again is not kept; that of an unreadable post comes back under a new number.
	if got := w.letters("--kind link"); got != "" {
		t.Errorf("left of the links: %s", got)
	}
	w.run("dead redrive 2 4 --rate 1000").warns("^dead letter 2: its post is in the stream again$", "^dead letter 4: ")
	w.eventually("both are dead again", func() bool { return strings.Count(w.letters("--kind post"), "post:") == 2 })
	if got := w.letters(""); strings.Contains(got, "2:post:2 ") && strings.HasPrefix(got, "4:") {
		t.Errorf("the old letters are still there: %s", got)
	}
	w.fails(2, "dead drop --kind post").warns("Delete 2 dead letters for good, with the posts that they hold\\?")
	w.run("dead drop --kind post --yes").warns("^2 dead letters deleted$")
	w.run("dead list").warns("there are no such dead letters")
	w.run("posts list").prints("^@2 ") // the stream keeps its posts
	w.fails(1, "dead drop 1 --yes").warns("no such dead letter")
	w.fails(2, "dead redrive 1 --rate=-1").warns("give the dead letters a second")
	w.run("dead redrive 1 2 --dry-run").prints("^2 dead letters$")
}

// A letter that cannot be sent again is named, and does not keep the others.
func TestARefusedRedriveDoesNotKeepTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.fourLetters()
	w.run("links create twitter/1 --entity lead --wait")
	w.fails(1, "dead redrive --kind link --yes").
		warns("^1 dead letter sent on their way again$", "^postlink: 1 dead letter refused; correct the reason, then run the same command again$", "^dead letter 1: ")
	w.reaches(3, "linked")
	if got := w.letters("--kind link"); got != "1:link:1" {
		t.Errorf("left: %s", got)
	}
}
