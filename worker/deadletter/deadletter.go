// Package deadletter keeps what a person has to look at: posts that could not be read or crashed their handling, and links
// that could not be delivered. A letter holds the post as it arrived, so that it can be sent on its way again after the posts
// stream has forgotten it.
//
// Letters are kept for an age, DefaultAge unless Open is given another, and are then gone without notice; a dead link stays dead in
// the ledger. The package does not decide what is dead.
package deadletter

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
	"postlink/worker/ledger"
)

// DefaultAge is how long letters are kept.
const DefaultAge = 30 * bus.Day

// Kinds of letters.
const (
	Post = "post" // could not be read, or crashed its handling
	Link = "link" // was decided, but its record could not be made
)

// Headers of a letter; the body is the post as it arrived.
const (
	headerReason     = "Postlink-Reason"
	headerCode       = "Postlink-Code"
	headerStack      = "Postlink-Stack"
	headerSequence   = "Postlink-Sequence" // of the post in the posts stream
	headerPost       = "Postlink-Post"     // ledger key, encoded, where it is known
	headerGeneration = "Postlink-Generation"
	headerEntity     = "Postlink-Entity"
	headerRule       = "Postlink-Rule"
	headerAttempts   = "Postlink-Attempts"
	headerFailedAt   = "Postlink-Failed-At" // when the first attempt failed
	headerCut        = "Postlink-Cut-From"  // bytes that the post had before it was cut to fit
)

// How much of a text a header holds, in bytes.
const (
	longest      = 2000
	longestStack = 8000 // the top of a stack, which is where it crashed
)

// ErrNotFound says that there is no such letter.
var ErrNotFound = errors.New("no such dead letter; it may have been dropped, or be older than dead letters are kept")

// Letter is a post or a link that a person has to look at.
type Letter struct {
	Sequence uint64 // in the stream of dead letters; people name the letter by it
	At       time.Time
	Kind     string
	Reason   string // why it is dead, for people
	Code     string // of Dynamics' refusal, where it was one; undecodable or crashed for a post
	Stack    string // of a crash

	Post         ledger.Key // zero where it could not be read
	PostSequence uint64     // in the posts stream; 0 when it never was there

	Instance   string // of a link, as are those below
	Entity     string
	Rule       string
	Generation int
	Attempts   int
	FailedAt   time.Time // when the first attempt failed

	Cut  bool   // the post was too large to be kept whole
	Data []byte // the post as it arrived; lists leave it out
}

// Codes of posts that are dead.
const (
	CodeUndecodable = "undecodable"
	CodeCrashed     = "crashed"
	CodeTooLarge    = "too-large"
	CodeForeign     = "foreign-entry" // something in an outbox that postlink did not put there
)

// Letters are all dead letters. They are safe for concurrent use. Every method asks NATS; where it did not answer, the error matches
// bus.ErrUnreachable.
type Letters struct{ bus *bus.Bus }

// Open declares the stream of dead letters, which are kept for an age; DefaultAge when 0.
func Open(ctx context.Context, b *bus.Bus, age time.Duration) (*Letters, error) {
	l := &Letters{b}
	return l, b.DeclareStream(ctx, jetstream.StreamConfig{
		Name:        l.stream(),
		Description: "Posts and links that a person has to look at.",
		Subjects:    []string{b.Subject("dead", ">")},
		MaxAge:      cmp.Or(age, DefaultAge),
		Discard:     jetstream.DiscardOld,
	})
}

func (l *Letters) stream() string { return l.bus.StreamName("DEAD") }

// subject of letters, which are told apart by instance and then by what is dead.
func (l *Letters) subject(kind, instance, name string) string {
	if kind == Post {
		return l.bus.Subject("dead", Post, name)
	}
	return l.bus.Subject("dead", Link, bus.Token(instance), name)
}

// BuryPost keeps a post that cannot be handled: letter.Data, with Code and Reason; Kind is filled in. Burying it again within two
// minutes is harmless, later it makes a second letter. A post that is larger than NATS takes with its headers is cut, not refused.
// After an error the letter may have been kept or not.
func (l *Letters) BuryPost(ctx context.Context, letter Letter) error {
	letter.Kind = Post
	sum := sha256.Sum256(letter.Data)
	name := fmt.Sprintf("%d.%x", letter.PostSequence, sum[:6]) // a stream that was made anew counts from 1 again
	return l.bury(ctx, letter, name)
}

// BuryLink keeps the post of a dead link, which is the current one of the entry, with what the ledger says of it. As with BuryPost,
// burying it again within two minutes is harmless, and after an error the letter may have been kept or not.
func (l *Letters) BuryLink(ctx context.Context, entry ledger.Entry, data []byte) error {
	link := entry.Current()
	return l.bury(ctx, Letter{
		Kind: Link, Reason: link.Last().Reason, Code: link.Last().Code, Post: entry.Post, PostSequence: entry.Sequence,
		Instance: link.Instance, Entity: link.Entity, Rule: link.Rule, Generation: link.Generation,
		Attempts: link.Attempts, FailedAt: link.FailedAt, Data: data,
	}, link.ID.String())
}

func (l *Letters) bury(ctx context.Context, letter Letter, name string) error {
	h := nats.Header{}
	set := func(key, value string) {
		if value != "" {
			h.Set(key, value)
		}
	}
	set(headerReason, line(letter.Reason))
	set(headerCode, line(letter.Code))
	if letter.Stack != "" {
		set(headerStack, strconv.Quote(cut(letter.Stack, longestStack)))
	}
	set(headerEntity, line(letter.Entity))
	set(headerRule, line(letter.Rule))
	if letter.PostSequence != 0 {
		set(headerSequence, strconv.FormatUint(letter.PostSequence, 10))
	}
	if letter.Post != (ledger.Key{}) {
		set(headerPost, letter.Post.Encode())
	}
	if letter.Kind == Link {
		set(headerGeneration, strconv.Itoa(letter.Generation))
		set(headerAttempts, strconv.Itoa(letter.Attempts))
	}
	if !letter.FailedAt.IsZero() {
		set(headerFailedAt, letter.FailedAt.Format(time.RFC3339Nano))
	}
	data := letter.Data
	if room := l.bus.Room(h) - len(headerCut) - len("18446744073709551615: \r\n"); len(data) > room {
		set(headerCut, strconv.Itoa(len(data)))
		data = data[:max(room, 0)]
	}
	msg := &nats.Msg{Subject: l.subject(letter.Kind, letter.Instance, name), Header: h, Data: data}
	err := l.bus.Publish(ctx, msg, letter.Kind+"-"+name)
	if err == nil {
		// JetStream drops a repetition also when the first letter was dropped by a person meanwhile. Then it is kept anew.
		if _, err = l.bus.Newest(ctx, l.stream(), msg.Subject); errors.Is(err, bus.ErrNoMessage) {
			msg.Header.Del(nats.MsgIdHdr)
			err = l.bus.Publish(ctx, msg, "")
		}
	}
	if err != nil {
		return fmt.Errorf("keep a dead letter: %w", err)
	}
	return nil
}

// line makes any text fit for a header: one line without control characters, which terminals would obey, and bounded.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(cut(s, longest))
}

// cut shortens a text to a number of bytes without splitting a character.
func cut(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// read is the inverse of bury. What cannot be read of a letter is left zero: a letter that somebody else wrote is shown all
// the same.
func read(m bus.Message) Letter {
	number := func(key string) int {
		n, err := strconv.Atoi(m.Header.Get(key))
		if err != nil {
			return 0
		}
		return n
	}
	l := Letter{
		Sequence: m.Sequence, At: m.At, Kind: Post, Data: m.Data,
		Reason: m.Header.Get(headerReason), Code: m.Header.Get(headerCode), Cut: m.Header.Get(headerCut) != "",
	}
	if stack, err := strconv.Unquote(m.Header.Get(headerStack)); err == nil {
		l.Stack = stack
	}
	if sequence, err := strconv.ParseUint(m.Header.Get(headerSequence), 10, 64); err == nil {
		l.PostSequence = sequence
	}
	if key, err := ledger.DecodeKey(m.Header.Get(headerPost)); err == nil {
		l.Post = key
	}
	if tokens := strings.Split(m.Subject, "."); len(tokens) > 3 && tokens[2] == Link { // namespace, dead, kind, instance
		l.Kind = Link
		l.Instance = tokens[3]
		l.Entity, l.Rule = m.Header.Get(headerEntity), m.Header.Get(headerRule)
		l.Generation, l.Attempts = number(headerGeneration), number(headerAttempts)
		if at, err := time.Parse(time.RFC3339Nano, m.Header.Get(headerFailedAt)); err == nil {
			l.FailedAt = at
		}
	}
	return l
}

// Filter chooses letters; its zero value takes all.
type Filter struct {
	Kind     string    // Post or Link
	Instance string    // of links
	Rule     string    // of links
	Code     string    // of the refusal
	Since    time.Time // buried since
}

func (f Filter) takes(l Letter) bool {
	return (f.Kind == "" || f.Kind == l.Kind) && (f.Instance == "" || bus.Token(f.Instance) == l.Instance) &&
		(f.Rule == "" || f.Rule == l.Rule) && (f.Code == "" || f.Code == l.Code) && !l.At.Before(f.Since)
}

// subject takes at least all letters that the filter takes.
func (f Filter) subject(b *bus.Bus) string {
	switch {
	case f.Instance != "":
		return b.Subject("dead", Link, bus.Token(f.Instance), "*")
	case f.Kind != "":
		return b.Subject("dead", bus.Token(f.Kind), ">")
	default:
		return b.Subject("dead", ">")
	}
}

// Backwards calls visit with the letters below a sequence (0: all) that a filter takes, without their posts, the newest first,
// until it returns false or an error. The server itself selects by kind and instance, and reading stops at Since; for rule and
// code the headers of all letters in between are read.
func (l *Letters) Backwards(ctx context.Context, f Filter, below uint64, visit func(Letter) (more bool, err error)) error {
	r := bus.Read{Stream: l.stream(), Subjects: []string{f.subject(l.bus)}, Below: below, Since: f.Since, HeadersOnly: true}
	return l.bus.Backwards(ctx, r, func(m bus.Message) (bool, error) {
		letter := read(m)
		letter.Data = nil
		if !f.takes(letter) {
			return true, nil
		}
		return visit(letter)
	})
}

// Count counts the letters that a filter takes.
func (l *Letters) Count(ctx context.Context, f Filter) (n uint64, err error) {
	if f.Rule == "" && f.Code == "" && f.Since.IsZero() && (f.Instance == "" || f.Kind != Post) {
		return l.bus.Count(ctx, l.stream(), f.subject(l.bus))
	}
	err = l.Backwards(ctx, f, 0, func(Letter) (bool, error) {
		n++
		return true, nil
	})
	return n, err
}

// Read reads one letter. The error is ErrNotFound when there is none of that sequence (any more).
func (l *Letters) Read(ctx context.Context, sequence uint64) (Letter, error) {
	m, err := l.bus.Message(ctx, l.stream(), sequence)
	if errors.Is(err, bus.ErrNoMessage) {
		return Letter{}, fmt.Errorf("read dead letter %d: %w", sequence, ErrNotFound)
	}
	return read(m), err
}

// OfPost reads the newest letter of a post of the stream. The error is ErrNotFound when there is none. A stream of posts that was
// made anew counts from 1 again, so the letter may be of another post: compare Data.
func (l *Letters) OfPost(ctx context.Context, sequence uint64) (Letter, error) {
	return l.newest(ctx, fmt.Sprintf("post @%d", sequence), l.subject(Post, "", strconv.FormatUint(sequence, 10)+".*"))
}

// OfLink reads the letter of a link. The error is ErrNotFound when there is none.
func (l *Letters) OfLink(ctx context.Context, id uuid.UUID) (Letter, error) {
	return l.newest(ctx, "link "+id.String(), l.bus.Subject("dead", Link, "*", id.String()))
}

func (l *Letters) newest(ctx context.Context, of, subject string) (Letter, error) {
	m, err := l.bus.Newest(ctx, l.stream(), subject)
	switch {
	case errors.Is(err, bus.ErrNoMessage):
		return Letter{}, fmt.Errorf("read the dead letter of %s: %w", of, ErrNotFound)
	case err != nil:
		return Letter{}, fmt.Errorf("read the dead letter of %s: %w", of, err)
	}
	return read(m), nil
}

// Drop deletes a letter for good. The error is ErrNotFound when there is none of that sequence.
func (l *Letters) Drop(ctx context.Context, sequence uint64) error {
	err := l.bus.Delete(ctx, l.stream(), sequence)
	if errors.Is(err, bus.ErrNoMessage) {
		return fmt.Errorf("drop dead letter %d: %w", sequence, ErrNotFound)
	}
	return err
}
