package desk

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"

	"postlink/worker/bus"
	"postlink/worker/deadletter"
	"postlink/worker/ledger"
	"postlink/worker/posts"
)

// Ways to name a post, besides its plain id.
const (
	bySequence = "@"               // @17: by its place in the posts stream, which lists show
	byKey      = ledger.PathPrefix // ~dHdpdHRlcg.MQ: network and id, encoded, as the links in records have it
)

// Find looks a post up by its sequence (@17), its id, or network and id (twitter/17): in the ledger first, then among the
// newest posts of the stream. A post that cannot be decoded is found too, and has a Problem. What is not found, or is an id that
// several networks have, is a *Refusal.
func (p *Posts) Find(ctx context.Context, name string) (Post, error) {
	post, err := p.find(ctx, name)
	if err != nil || post.Entry == nil {
		return post, err
	}
	homes, err := p.opts.homes(ctx)
	if err != nil {
		return post, err
	}
	post.lives(homes)
	if post.link().State == ledger.Dead {
		post.Letter, err = letterOrNone(p.opts.Letters.OfLink(ctx, post.link().ID))
	}
	return post, err
}

// find is Find but for the present name of the link's instance. An id may hold a slash itself, so a name with a slash is first taken
// as an id, and as network and id when no post has that id.
func (p *Posts) find(ctx context.Context, name string) (Post, error) {
	switch {
	case strings.HasPrefix(name, bySequence):
		sequence, err := strconv.ParseUint(name[len(bySequence):], 10, 64)
		if err != nil || sequence == 0 {
			return Post{}, unknownPost(name)
		}
		return p.atSequence(ctx, name, sequence)
	case strings.HasPrefix(name, byKey):
		key, err := ledger.DecodeKey(name[len(byKey):])
		if err != nil {
			return Post{}, unknownPost(name)
		}
		return p.withID(ctx, wanted{name: name, id: key.PostID, network: &key.Network})
	}
	post, err := p.withID(ctx, wanted{name: name, id: name})
	network, id, slashed := strings.Cut(name, "/")
	if slashed && is(err, RefusedPostUnknown) {
		network = strings.ToLower(network)
		return p.withID(ctx, wanted{name: name, id: id, network: &network})
	}
	return post, err
}

func unknownPost(name string) error {
	return refuse(RefusedPostUnknown,
		"there is no post %q among the linked ones and the newest %d of the stream; name it by its place, as in @17, or give the post itself", name, scanned)
}

// atSequence reads the post at a place of the stream, decodable or not.
func (p *Posts) atSequence(ctx context.Context, name string, sequence uint64) (Post, error) {
	m, err := p.opts.Posts.Read(ctx, sequence)
	if errors.Is(err, posts.ErrNotFound) {
		return Post{}, unknownPost(name)
	}
	if err != nil {
		return Post{}, err
	}
	return p.read(ctx, m, true)
}

// wanted is a post that is asked for by its id.
type wanted struct {
	name    string // as it was given
	id      string
	network *string // nil: any
}

func (w wanted) is(post ledger.Key) bool {
	return post.PostID == w.id && (w.network == nil || post.Network == *w.network)
}

// maybe reports whether data may hold the post. It spares decoding most posts: true may be wrong, false never is.
func (w wanted) maybe(data []byte) bool {
	escapable := func(r rune) bool { // may be written in another way in JSON, or be normalised
		return r >= 0x80 || r < ' ' || r == '"' || r == '\\' || r == '/' || r == '<' || r == '>' || r == '&'
	}
	return strings.ContainsFunc(w.id, escapable) || bytes.Contains(data, []byte(w.id))
}

// withID looks in the ledger first: it is keyed by network and id, keeps entries for longer than the stream keeps posts, and most
// posts that people ask for by their id are linked.
func (p *Posts) withID(ctx context.Context, w wanted) (Post, error) {
	if w.id == "" {
		return Post{}, unknownPost(w.name)
	}
	entries, err := p.opts.Ledger.FindID(ctx, w.id)
	if err != nil {
		return Post{}, err
	}
	var fit []ledger.Entry
	for _, e := range entries {
		if w.is(e.Post) {
			fit = append(fit, e)
		}
	}
	switch len(fit) {
	case 0:
		return p.scan(ctx, w)
	case 1:
		return p.withEntry(ctx, fit[0])
	}
	keys := make([]string, len(fit))
	for i, e := range fit {
		keys[i] = e.Post.String()
	}
	return Post{}, refuse(RefusedPostAmbiguous, "several networks have a post %s; name one of: %s", w.id, strings.Join(keys, ", "))
}

// withEntry reads the post of a ledger entry from the stream, if it is still there. Without it Data and Content are nil; the ledger
// remembers for longer than the stream keeps posts.
func (p *Posts) withEntry(ctx context.Context, entry ledger.Entry) (Post, error) {
	forgotten := Post{Key: entry.Post, Sequence: entry.Sequence, Entry: &entry, GivenByHand: entry.Sequence == 0}
	if forgotten.GivenByHand {
		return forgotten, nil
	}
	m, err := p.opts.Posts.Read(ctx, entry.Sequence)
	if errors.Is(err, posts.ErrNotFound) {
		return forgotten, nil
	}
	if err != nil {
		return Post{}, err
	}
	post := decode(m)
	if post.Key != entry.Post { // a stream made anew counts from 1 again
		return forgotten, nil
	}
	post.Entry = &entry
	return post, nil
}

// scan looks through the newest posts of the stream for one that was never linked. Nothing indexes the stream by id, so the bound is
// what keeps one request from reading all of it; an older post is found by its sequence.
func (p *Posts) scan(ctx context.Context, w wanted) (Post, error) {
	var found Post
	left := scanned
	err := p.opts.Posts.Backwards(ctx, 0, func(m bus.Message) (bool, error) {
		if left--; left < 0 {
			return false, nil
		}
		if !w.maybe(m.Data) {
			return true, nil
		}
		post := decode(m)
		if !w.is(post.Key) {
			return true, nil
		}
		found = post
		return false, p.addLetter(ctx, &found)
	})
	if err == nil && found.Sequence == 0 {
		err = unknownPost(w.name)
	}
	return found, err
}

// addLetter fills in the dead letter of a post that was never linked, if it has one.
func (p *Posts) addLetter(ctx context.Context, post *Post) error {
	letter, err := letterOrNone(p.opts.Letters.OfPost(ctx, post.Sequence))
	if err != nil || letter == nil {
		return err
	}
	if !bytes.HasPrefix(post.Data, letter.Data) || !letter.Cut && len(letter.Data) != len(post.Data) {
		return nil // of another post: a stream made anew counts from 1 again
	}
	post.Letter = letter
	if post.Content != nil {
		post.Problem = letter.Reason
	}
	return nil
}

// letterOrNone is a dead letter that was looked for; nil when there is none (any more).
func letterOrNone(letter deadletter.Letter, err error) (*deadletter.Letter, error) {
	if errors.Is(err, deadletter.ErrNotFound) {
		return nil, nil
	}
	return &letter, err
}
