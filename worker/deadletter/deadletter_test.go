package deadletter_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/deadletter"
	"postlink/worker/ledger"
)

func TestMain(m *testing.M) { bustest.Main(m) }

func open(t *testing.T) (*deadletter.Letters, *bus.Bus) {
	t.Helper()
	l, b, _ := openOn(t)
	return l, b
}

// requests is how often NATS was asked for something so far.
func requests(t *testing.T, server *bus.Server) uint64 {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(server))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	account, err := js.AccountInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return account.API.Total
}

func openOn(t *testing.T) (*deadletter.Letters, *bus.Bus, *bus.Server) {
	t.Helper()
	server := bustest.Server(t)
	b := bustest.Connect(t, server)
	l, err := deadletter.Open(t.Context(), b, 0)
	if err != nil {
		t.Fatal(err)
	}
	return l, b, server
}

// deadLink is an entry whose current link is dead.
func deadLink(instance, rule, code string) ledger.Entry {
	return ledger.Entry{Post: ledger.Key{Network: "twitter", PostID: "1"}, Sequence: 17, Links: []ledger.Link{{
		ID: uuid.New(), Generation: 2, State: ledger.Dead, Instance: instance, Entity: "incident", Rule: rule,
		Attempts: 3, FailedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Steps: []ledger.Step{{State: ledger.Queued}, {State: ledger.Dead, Reason: "no such column", Code: code}},
	}}}
}

func buryLink(t *testing.T, l *deadletter.Letters, instance, rule, code string) {
	t.Helper()
	if err := l.BuryLink(t.Context(), deadLink(instance, rule, code), []byte("post")); err != nil {
		t.Fatal(err)
	}
}

func buryPost(t *testing.T, l *deadletter.Letters, letter deadletter.Letter) {
	t.Helper()
	if err := l.BuryPost(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, l *deadletter.Letters, sequence uint64) deadletter.Letter {
	t.Helper()
	letter, err := l.Read(t.Context(), sequence)
	if err != nil {
		t.Fatal(err)
	}
	return letter
}

var ignoreTime = cmpopts.IgnoreFields(deadletter.Letter{}, "At")

func TestADeadPostIsKeptWithWhatIsKnownOfIt(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	want := deadletter.Letter{
		Reason: "line 1: unexpected end", Code: deadletter.CodeCrashed, Stack: "goroutine 1:\n\tmain.go:3 \"é\"\n",
		Post: ledger.Key{Network: "twitter", PostID: "1:2"}, PostSequence: 1<<63 + 1, Data: []byte("{\x00"),
	}
	buryPost(t, l, want)
	want.Sequence, want.Kind = 1, deadletter.Post
	got := read(t, l, 1)
	if diff := cmp.Diff(want, got, ignoreTime); diff != "" || got.At.IsZero() {
		t.Errorf("buried at %s, letter (-want +got):\n%s", got.At, diff)
	}
}

func TestADeadLinkIsKeptWithWhatIsKnownOfIt(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	e := deadLink("contoso", "cancelled", "0x80044331")
	for range 2 { // a repetition is dropped
		if err := l.BuryLink(t.Context(), e, []byte("post")); err != nil {
			t.Fatal(err)
		}
	}
	want := deadletter.Letter{
		Sequence: 1, Kind: deadletter.Link, Reason: "no such column", Code: "0x80044331", Post: e.Post, PostSequence: 17,
		Instance: "contoso", Entity: "incident", Rule: "cancelled", Generation: 2, Attempts: 3, FailedAt: e.Links[0].FailedAt, Data: []byte("post"),
	}
	if diff := cmp.Diff(want, read(t, l, 1), ignoreTime); diff != "" {
		t.Errorf("letter (-want +got):\n%s", diff)
	}
	if n, err := l.Count(t.Context(), deadletter.Filter{}); err != nil || n != 1 {
		t.Errorf("%d letters, error %v", n, err)
	}
	if letter, err := l.OfLink(t.Context(), e.Links[0].ID); err != nil || letter.Sequence != 1 {
		t.Errorf("the letter of the link is %+v, error %v", letter, err)
	}
	if _, err := l.OfLink(t.Context(), uuid.New()); !errors.Is(err, deadletter.ErrNotFound) {
		t.Errorf("the letter of a link that is not dead: %v", err)
	}
}

func TestALetterThatWasDroppedCanBeBuriedAgainAtOnce(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	letter := deadletter.Letter{PostSequence: 7, Data: []byte("x")}
	buryPost(t, l, letter)
	if err := l.Drop(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	buryPost(t, l, letter)
	if _, err := l.OfPost(t.Context(), 7); err != nil {
		t.Errorf("the second letter is lost: %v", err)
	}
}

func TestAPostLargerThanAMessageIsCutAndSaysSo(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	data := strings.Repeat("x", 1<<20)
	buryPost(t, l, deadletter.Letter{Reason: strings.Repeat("é", 5000), Stack: strings.Repeat("\n", 20_000), Data: []byte(data)})
	got := read(t, l, 1)
	if !got.Cut || len(got.Data) < 1<<19 || !strings.HasPrefix(data, string(got.Data)) {
		t.Errorf("cut %v to %d bytes", got.Cut, len(got.Data))
	}
	if got.Reason != strings.Repeat("é", 1000) || len(got.Stack) != 8000 {
		t.Errorf("a reason of %d bytes and a stack of %d", len(got.Reason), len(got.Stack))
	}
	if err := l.BuryLink(t.Context(), deadLink("contoso", "r", "c"), []byte(data)); err != nil || !read(t, l, 2).Cut {
		t.Errorf("a link: cut %v, error %v", read(t, l, 2).Cut, err)
	}
}

// What Dynamics or a post's author writes can neither forge a header nor speak to a terminal.
func TestTextsOfStrangersStayInTheirPlace(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	e := deadLink("contoso", "a\r\nPostlink-Code: forged", "b\nPostlink-Attempts: 99")
	e.Links[0].Entity = "c\r\n\r\nbody"
	e.Links[0].Steps[1].Reason = "  d\x00\x1b[2Je\r\nPostlink-Cut-From: 1\xff  "
	if err := l.BuryLink(t.Context(), e, []byte("post")); err != nil {
		t.Fatal(err)
	}
	got := read(t, l, 1)
	want := deadletter.Letter{
		Sequence: 1, Kind: deadletter.Link, Post: e.Post, PostSequence: 17, Instance: "contoso", Generation: 2, Attempts: 3,
		FailedAt: e.Links[0].FailedAt, Data: []byte("post"),
		Rule: "a  Postlink-Code: forged", Code: "b Postlink-Attempts: 99", Entity: "c    body", Reason: "d  [2Je  Postlink-Cut-From: 1\uFFFD",
	}
	if diff := cmp.Diff(want, got, ignoreTime); diff != "" {
		t.Errorf("letter (-want +got):\n%s", diff)
	}
}

func TestAPostsNewestLetterIsFoundByItsSequence(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	buryPost(t, l, deadletter.Letter{PostSequence: 1, Data: []byte("of an older stream")})
	buryPost(t, l, deadletter.Letter{PostSequence: 1, Data: []byte("newest")})
	buryPost(t, l, deadletter.Letter{PostSequence: 11, Data: []byte("another")})
	if letter, err := l.OfPost(t.Context(), 1); err != nil || string(letter.Data) != "newest" {
		t.Errorf("letter %q, error %v", letter.Data, err)
	}
	if _, err := l.OfPost(t.Context(), 2); !errors.Is(err, deadletter.ErrNotFound) {
		t.Errorf("a post without a letter: %v", err)
	}
}

func TestADroppedLetterIsGone(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	buryLink(t, l, "contoso", "r", "c")
	if err := l.Drop(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := l.Drop(t.Context(), 1); !errors.Is(err, deadletter.ErrNotFound) || !strings.Contains(err.Error(), "drop dead letter 1") {
		t.Errorf("dropped again: %v", err)
	}
	if _, err := l.Read(t.Context(), 1); !errors.Is(err, deadletter.ErrNotFound) {
		t.Errorf("read: %v", err)
	}
}

func list(t *testing.T, l *deadletter.Letters, f deadletter.Filter, below uint64, most int) (letters []uint64) {
	t.Helper()
	err := l.Backwards(t.Context(), f, below, func(letter deadletter.Letter) (bool, error) {
		if letter.Data != nil {
			t.Errorf("letter %d is listed with its post", letter.Sequence)
		}
		letters = append(letters, letter.Sequence)
		return len(letters) < most, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return letters
}

func TestListsAndCountsAgreeOnEveryFilter(t *testing.T) {
	t.Parallel()
	l, b := open(t)
	buryPost(t, l, deadletter.Letter{PostSequence: 1, Code: deadletter.CodeUndecodable, Data: []byte("1")}) // 1
	buryLink(t, l, "contoso", "cancelled", "0x1")                                                           // 2
	buryLink(t, l, "contoso", "praise", "0x2")                                                              // 3
	buryLink(t, l, "fabrikam", "cancelled", "0x1")                                                          // 4
	buryLink(t, l, "link", "", "")                                                                          // 5
	for _, subject := range []string{"dead.post.link.x", "dead.link.x", "dead.other"} {                     // 6 to 8, by somebody else
		if err := b.Publish(t.Context(), &nats.Msg{Subject: "postlink." + subject, Data: []byte("?")}, ""); err != nil {
			t.Fatal(err)
		}
	}
	buryPost(t, l, deadletter.Letter{PostSequence: 9, Code: deadletter.CodeCrashed, Data: []byte("9")}) // 9
	since := read(t, l, 4).At
	tests := map[string]struct {
		filter deadletter.Filter
		want   []uint64
	}{
		"all":                            {deadletter.Filter{}, []uint64{9, 8, 7, 6, 5, 4, 3, 2, 1}},
		"posts":                          {deadletter.Filter{Kind: deadletter.Post}, []uint64{9, 6, 1}},
		"links":                          {deadletter.Filter{Kind: deadletter.Link}, []uint64{7, 5, 4, 3, 2}},
		"an unknown kind":                {deadletter.Filter{Kind: ">"}, nil},
		"an instance":                    {deadletter.Filter{Instance: "contoso"}, []uint64{3, 2}},
		"an instance with a kind's name": {deadletter.Filter{Instance: "link"}, []uint64{5}},
		"links of an instance":           {deadletter.Filter{Kind: deadletter.Link, Instance: "fabrikam"}, []uint64{4}},
		"posts of an instance":           {deadletter.Filter{Kind: deadletter.Post, Instance: "contoso"}, nil},
		"an unknown instance":            {deadletter.Filter{Instance: "*"}, nil},
		"a rule":                         {deadletter.Filter{Rule: "cancelled"}, []uint64{4, 2}},
		"a rule of an instance":          {deadletter.Filter{Instance: "contoso", Rule: "cancelled"}, []uint64{2}},
		"a code":                         {deadletter.Filter{Code: "0x1"}, []uint64{4, 2}},
		"a code of posts":                {deadletter.Filter{Kind: deadletter.Post, Code: deadletter.CodeCrashed}, []uint64{9}},
		"since a time":                   {deadletter.Filter{Since: since}, []uint64{9, 8, 7, 6, 5, 4}},
		"links since a time":             {deadletter.Filter{Kind: deadletter.Link, Since: since}, []uint64{7, 5, 4}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, list(t, l, test.filter, 0, 100)); diff != "" {
				t.Errorf("listed (-want +got):\n%s", diff)
			}
			if n, err := l.Count(t.Context(), test.filter); err != nil || n != uint64(len(test.want)) {
				t.Errorf("counted %d, error %v", n, err)
			}
		})
	}
}

func TestTwentyThousandLettersAreListedInPages(t *testing.T) {
	t.Parallel()
	l, b, server := openOn(t)
	const n = 20_000
	header := nats.Header{"Postlink-Reason": {strings.Repeat("r", 200)}, "Postlink-Code": {"0x1"}, "Postlink-Rule": {"cancelled"}}
	for i := range n {
		if _, err := b.PublishAsync(&nats.Msg{
			Subject: "postlink.dead.link.contoso." + strconv.Itoa(i), Header: header, Data: []byte(strings.Repeat("x", 500)),
		}); err != nil {
			t.Fatal(err)
		}
	}
	buryLink(t, l, "fabrikam", "praise", "0x2")
	before := requests(t, server)
	var all []uint64
	for below := uint64(0); ; {
		page := list(t, l, deadletter.Filter{Instance: "contoso"}, below, 500)
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
		below = page[len(page)-1]
	}
	if len(all) != n || all[0] != n || !slices.IsSortedFunc(all, func(a, b uint64) int { return int(b) - int(a) }) {
		t.Errorf("listed %d from %d on", len(all), all[0])
	}
	for filter, want := range map[deadletter.Filter]uint64{{Instance: "contoso"}: n, {Rule: "praise"}: 1, {Code: "0x1"}: n} {
		if count, err := l.Count(t.Context(), filter); err != nil || count != want {
			t.Errorf("counted %d of %s, error %v", count, fmt.Sprint(filter), err)
		}
	}
	if asked := requests(t, server) - before; asked > 1000 { // letter by letter it would be 60,000 times
		t.Errorf("NATS was asked %d times", asked)
	}
}
