package desk_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/desk"
	"postlink/worker/ledger"
)

// dead has a dead link of post 1, taken by rule complaints, and its letter.
func (w *world) dead() deadletter.Letter {
	w.t.Helper()
	w.apply(instances)
	w.publish(text(1))
	_, _, err := w.opts.Ledger.Freeze(w.t.Context(), key(1), 1,
		ledger.Decision{Instance: "contoso", Entity: "incident", Rule: "complaints", Notes: "call back", By: "rule complaints"})
	must(w.t, err)
	w.die(1)
	page, err := w.Letters.List(w.t.Context(), deadletter.Filter{}, 0, 10)
	must(w.t, err)
	if len(page.Rows) != 1 {
		w.t.Fatalf("dead letters %+v", page.Rows)
	}
	return page.Rows[0]
}

func TestADeadLinkIsMadeAgainAsTheNextGeneration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	letter := w.dead()
	entry, err := w.Letters.Redrive(t.Context(), letter.Sequence, "ann")
	must(t, err)
	link := entry.Current()
	if link.Generation != 2 || link.Rule != "complaints" || link.Notes != "call back" || link.Decided().By != "ann" || link.Entity != "incident" {
		t.Errorf("link %+v", link)
	}
	if waiting := w.waiting("contoso"); len(waiting) != 1 || waiting[0].Generation != 2 || string(waiting[0].Data) != text(1) {
		t.Errorf("the outbox has %+v", waiting)
	}
	w.deliver(1)
	refused(t, second(w.Letters.Redrive(t.Context(), letter.Sequence, "ann")), desk.RefusedLetterUnknown)
	refused(t, second(w.Letters.Show(t.Context(), letter.Sequence)), desk.RefusedLetterUnknown)
	refused(t, w.Letters.Drop(t.Context(), letter.Sequence), desk.RefusedLetterUnknown)
}

func TestADeadLinkThatCannotBeMadeAgainKeepsItsLetter(t *testing.T) {
	t.Parallel()
	by := catalog.Commit{Author: "ann"}
	tests := map[string]struct {
		before func(*world)
		kind   string
		want   string
	}{
		"its instance is deleted": {func(w *world) {
			must(w.t, second(w.Instances.Delete(w.t.Context(), by, "contoso")))
		}, desk.RefusedInstanceUnknown, "add it again, or link post twitter/1 to another instance"},
		"its entity is removed": {func(w *world) {
			_, _, err := w.opts.Catalog.Change(w.t.Context(), by, func(c *catalog.Catalog) error { return c.RemoveEntity("contoso", "incident") })
			must(w.t, err)
		}, desk.RefusedEntityUnknown, "add the entity again, or link post twitter/1 to another"},
		"its instance is disabled": {func(w *world) {
			_, _, err := w.opts.Catalog.Change(w.t.Context(), by, func(c *catalog.Catalog) error { return c.DisableInstance("contoso") })
			must(w.t, err)
		}, desk.RefusedInstanceDisabled, "enable it"},
		"its post was linked since": {func(w *world) {
			w.link("1", "fabrikam", "")
		}, desk.RefusedAlreadyLinked, "drop the letter"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			letter := w.dead()
			test.before(w)
			r := refused(t, second(w.Letters.Redrive(t.Context(), letter.Sequence, "ann")), test.kind)
			if !strings.Contains(r.Text, test.want) {
				t.Errorf("refused with %q, which lacks %q", r.Text, test.want)
			}
			must(t, second(w.Letters.Show(t.Context(), letter.Sequence)))
			if len(w.waiting("contoso")) != 0 {
				t.Error("the link was queued")
			}
			must(t, w.Letters.Drop(t.Context(), letter.Sequence))
		})
	}
}

func TestADeadPostGoesBackIntoTheStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(instances)
	facebook := strings.Replace(text(2), "Twitter", "Facebook", 1)
	w.publish("nonsense", facebook)
	w.buryPost(1, ledger.Key{}, deadletter.CodeUndecodable, "not JSON", "nonsense")
	w.buryPost(2, ledger.Key{Network: "facebook", PostID: "2"}, deadletter.CodeCrashed, "crash", facebook)
	for sequence, subject := range map[uint64]string{1: "posts.other", 2: "posts.facebook"} {
		letter, err := w.Letters.Show(t.Context(), sequence)
		must(t, err)
		entry, err := w.Letters.Redrive(t.Context(), sequence, "ann")
		must(t, err)
		if len(entry.Links) != 0 {
			t.Errorf("a post has a link: %+v", entry)
		}
		newest, err := w.bus.Newest(t.Context(), "POSTS", subject)
		if err != nil || !bytes.Equal(newest.Data, letter.Data) || newest.Sequence < 3 {
			t.Errorf("under %s is %+v, %v", subject, newest, err)
		}
	}
	n, err := w.Letters.Count(t.Context(), deadletter.Filter{})
	if err != nil || n != 0 {
		t.Errorf("%d letters are left, %v", n, err)
	}
}

func TestAPostThatWasCutIsNotSentOnItsWayAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.buryPost(1, ledger.Key{}, deadletter.CodeTooLarge, "too large", strings.Repeat("x", 1<<20))
	r := refused(t, second(w.Letters.Redrive(t.Context(), 1, "ann")), desk.RefusedPostForgotten)
	if !strings.Contains(r.Text, "publish it again") {
		t.Errorf("refused with %q", r.Text)
	}
	if _, err := w.bus.Newest(t.Context(), "POSTS", "posts.>"); err == nil {
		t.Error("half a post is in the stream")
	}
	must(t, second(w.Letters.Show(t.Context(), 1)))
}

func TestDeadLettersAreListedAndCountedByFilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dead()
	w.buryPost(7, ledger.Key{}, deadletter.CodeUndecodable, "not JSON", "nonsense")
	w.buryPost(8, key(8), deadletter.CodeCrashed, "crash", text(8))
	tests := map[string]struct {
		filter deadletter.Filter
		want   []uint64
	}{
		"all":             {deadletter.Filter{}, []uint64{3, 2, 1}},
		"posts":           {deadletter.Filter{Kind: deadletter.Post}, []uint64{3, 2}},
		"of an instance":  {deadletter.Filter{Instance: "contoso"}, []uint64{1}},
		"of a rule":       {deadletter.Filter{Rule: "complaints"}, []uint64{1}},
		"of another rule": {deadletter.Filter{Rule: "praise"}, nil},
		"with a code":     {deadletter.Filter{Code: deadletter.CodeCrashed}, []uint64{3}},
		"of yesterday on": {deadletter.Filter{Since: w.revision().At.Add(-bus.Day)}, []uint64{3, 2, 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []uint64
			for below := uint64(0); ; {
				page, err := w.Letters.List(t.Context(), test.filter, below, 1)
				must(t, err)
				for _, letter := range page.Rows {
					if letter.Data != nil || letter.Reason == "" {
						t.Errorf("letter %+v", letter)
					}
					got = append(got, letter.Sequence)
				}
				if below = page.Next; below == 0 {
					break
				}
			}
			n, err := w.Letters.Count(t.Context(), test.filter)
			must(t, err)
			if !slices.Equal(got, test.want) || n != uint64(len(test.want)) {
				t.Errorf("letters %v, counted %d, want %v", got, n, test.want)
			}
		})
	}
}
