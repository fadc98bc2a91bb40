package match_test

import (
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/worker/deadletter"
	"postlink/worker/ledger"
)

func TestAPostThatCannotBeMatchedIsADeadLetter(t *testing.T) {
	t.Parallel()
	large := func(id int) string {
		return strings.Replace(post(id, "negative"), "text of", strings.Repeat("x", 1<<20-len(post(id, "negative"))-100), 1)
	}
	tests := map[string]struct {
		post   string
		crash  bool
		code   string
		reason string
		key    ledger.Key
		stack  bool
	}{
		"what is not JSON":                 {post: "nonsense", code: deadletter.CodeUndecodable, reason: "post"},
		"a broken field beside its id":     {post: `{"post":{"id":1,"source":7}}`, code: deadletter.CodeUndecodable, reason: "post.source", key: ledger.Key{PostID: "1"}},
		"a broken field beside the source": {post: `{"post":{"id":1,"source":{"param":"Twitter"},"content":7}}`, code: deadletter.CodeUndecodable, reason: "post.content", key: key(1)},
		"a crash":                          {post: post(1, "negative"), crash: true, code: deadletter.CodeCrashed, reason: "crash: ", key: key(1), stack: true},
		"a crash over an id with blanks": {
			post: strings.Replace(post(1, "negative"), `"id":1`, `"id":" 1 "`, 1), crash: true, code: deadletter.CodeCrashed, reason: "crash: ", key: key(1), stack: true,
		},
		"one that is too large to travel": {post: large(1), code: deadletter.CodeTooLarge, reason: "raise max_payload", key: key(1)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 0)
			w.apply(plainCatalog)
			m := w.matcher()
			if test.crash {
				m.LoseLedger()
			}
			w.background(m.Run)
			w.publish(test.post, post(2, "neutral"))
			w.settled()
			letters := w.letters()
			letter := letters[1]
			if len(letters) != 1 || letter.Kind != deadletter.Post || letter.Code != test.code || !strings.Contains(letter.Reason, test.reason) {
				t.Fatalf("%d letters; kind %s, code %s, reason %q", len(letters), letter.Kind, letter.Code, letter.Reason)
			}
			if diff := cmp.Diff(test.key, letter.Post); diff != "" {
				t.Errorf("post of the letter: %s", diff)
			}
			if whole := string(letter.Data) == test.post; whole == letter.Cut || !strings.HasPrefix(test.post, string(letter.Data)) {
				t.Errorf("%d of %d bytes are kept, cut %t", len(letter.Data), len(test.post), letter.Cut)
			}
			if (letter.Stack != "") != test.stack {
				t.Errorf("stack %q", letter.Stack)
			}
			if diff := cmp.Diff(map[string]float64{test.code: 1, "unmatched": 1}, w.counted("postlink_posts_total")); diff != "" {
				t.Errorf("results: %s", diff)
			}
		})
	}
}

// The first decision may need more room than the one that was checked: its notes travel with the post.
func TestAPostThatIsTooLargeForTheDecisionThatStandsIsADeadLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.apply(strings.Replace(plainCatalog, "call back", strings.Repeat("é", 250), 1))
	stop := w.work()
	w.publish(post(1, "negative"))
	w.settled()
	stop()
	w.apply(strings.Replace(plainCatalog, ", notes: call back", "", 1))
	room := w.room(t, key(1))
	large := strings.Replace(post(1, "negative"), "text of", strings.Repeat("x", room-len(post(1, "negative"))+len("text of")), 1)
	w.work()
	w.publish(large)
	w.settled()
	letters := w.letters()
	if letter := letters[2]; len(letters) != 1 || letter.Code != deadletter.CodeTooLarge || letter.Post != key(1) || !strings.Contains(letter.Reason, "raise max_payload") {
		t.Errorf("letters %+v", letters)
	}
	if n := w.links("contoso"); n != 1 || w.link(1).State != ledger.Queued {
		t.Errorf("%d links wait, that of the post is %s", n, w.link(1).State)
	}
}

// room is how large a post may be that plainCatalog's rule without notes takes.
func (w *world) room(t *testing.T, post ledger.Key) int {
	t.Helper()
	revision, err := w.store.Current(t.Context())
	must(t, err)
	decision := ledger.Decision{Instance: "contoso", Entity: "incident", Rule: "complaints", Catalog: revision.ID, By: "rule complaints"}
	entry := w.opts.Ledger.Next(ledger.Entry{Post: post, Sequence: 2}, decision)
	return sort.Search(1<<20, func(size int) bool { return !w.opts.Outboxes.Fits(entry, make([]byte, size+1)) })
}
