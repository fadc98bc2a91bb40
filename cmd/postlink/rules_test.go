package main

import "testing"

func TestRulesAreSwitchedTogetherAndActFromThenOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	unmatched := func(want int) {
		t.Helper()
		w.eventually("the post is not matched", func() bool {
			n, err := w.Counted("postlink_posts_total", "unmatched")
			return err == nil && n == want
		})
	}
	w.publish(event(1, "thanks a lot"))
	unmatched(1)
	w.run("rules activate praise").warns("^rule praise acts on posts that arrive from now on$")
	w.follows()
	w.publish(event(2, "thanks again"))
	w.reaches(2, "linked")
	w.run("posts show twitter/1").prints("^State +not linked$") // never retroactively
	w.run("rules list").prints("^praise +active +contoso +lead +1 +1 +0 +0 +20", "^delays +active ")
	w.run("rules show praise").prints(`^Condition +post.mentions\("thanks"\)$`, "^Past 7 days +1 matched, 1 linked, 0 dead, 0 errors$", "^Last match +20")

	w.run("rules deactivate praise delays").warns("^rule praise acts no more; its links stay$", "^rule delays acts no more")
	w.follows()
	w.publish(event(3, "thanks, late again"))
	unmatched(2)
	w.run("rules list").prints("^praise +inactive ", "^delays +inactive ")
	w.run("links list --rule praise").prints("^twitter/2 +linked ").lacks("twitter/3")

	w.fails(1, "rules activate prase delays").warns("^postlink: prase: .*did you mean praise\\?$", "^rule delays acts on posts")
	w.run("rules list").prints("^delays +active ", "^praise +inactive ")
	w.fails(1, "rules show dlays").warns("did you mean delays\\?")
}

func TestRulesAreListedTheNewestFirstPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	first := w.run("rules list --limit 1").prints("^praise ").lacks("^delays ").warns("continue with --cursor")
	w.run("rules list --limit 1 --cursor " + first.cursor()).prints("^delays ").lacks("^praise ")
	w.run("rules list --all --json").prints(`(?s)"name": "praise".*"name": "delays"`).lacks("next_cursor")
	w.run("rules show delays --json").prints(`"notes": "call back"`, `"entity": "incident"`)
	newWorld(t, "").run("rules list").warns("there are no rules; .* postlink apply DIR$")
}
