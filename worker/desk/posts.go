package desk

import (
	"context"
	"time"

	"postlink/payload"
	"postlink/worker/bus"
	"postlink/worker/deadletter"
	"postlink/worker/instance"
	"postlink/worker/ledger"
)

// Posts finds and lists posts. It only reads: neither a list nor a look at one post changes anything.
type Posts struct{ opts *Options }

// Post is a post with its links and its dead letter.
type Post struct {
	Key      ledger.Key    // zero when its id cannot be read
	Sequence uint64        // in the posts stream; 0 when it never was there
	At       time.Time     // when it arrived; zero when the stream does not hold it
	Data     []byte        // as it arrived; nil when the stream does not hold it
	Content  *payload.Post // nil when the stream does not hold it, or it cannot be decoded

	Entry    *ledger.Entry // its links; nil when it was never linked
	Instance string        // where its active link lives, as it is called now; empty when the post can be linked

	Problem string             // why the post is dead: it cannot be decoded, or handling it crashed; empty otherwise
	Letter  *deadletter.Letter // the dead letter of such a post, or of its newest link; nil when there is none (any more)

	// GivenByHand says that the post came with the request for its link: it never was in the posts stream, and so is not kept.
	GivenByHand bool
}

// link is the newest link of the post; nil when it was never linked.
func (p *Post) link() *ledger.Link {
	if p.Entry == nil {
		return nil
	}
	return p.Entry.Current()
}

// lives fills in where the post's active link lives.
func (p *Post) lives(homes instance.Homes) {
	if link := p.link(); link != nil && link.Active() {
		p.Instance, _ = homes.Of(link)
	}
}

// Values of PostFilter.Link.
const (
	PostsLinked   = "linked"   // a record was made
	PostsQueued   = "queued"   // a link waits to be delivered
	PostsDead     = "dead"     // the newest link could not be made, or the post itself is dead
	PostsUnlinked = "unlinked" // no active link, and the post is not dead itself
)

// PostFilter chooses posts; its zero value takes all.
type PostFilter struct {
	Link string // one of the values above
	Rule string // of the post's newest link
}

// takes needs to know where the post's link lives: a link of an instance that was deleted is none, and the post is unlinked.
func (f PostFilter) takes(p *Post) bool {
	link := p.link()
	if f.Rule != "" && (link == nil || link.Rule != f.Rule) {
		return false
	}
	switch f.Link {
	case "":
		return true
	case PostsUnlinked:
		return p.Instance == "" && p.Problem == ""
	case PostsDead:
		return p.Problem != "" || link != nil && link.State == ledger.Dead
	default:
		return p.Instance != "" && string(link.State) == f.Link
	}
}

// takesUnlinked reports whether the filter may take a post that was never linked.
func (f PostFilter) takesUnlinked() bool {
	return f.Rule == "" && f.Link != PostsLinked && f.Link != PostsQueued
}

// List lists posts below a sequence (0: from the newest on), at most limit of them. It reads the stream backwards and asks the
// ledger for each post, so it bounds how many it looks through: a page with few rows, or none, may have a next one. Posts that
// arrive meanwhile do not shift the pages, because a page begins at a sequence and not at a count. Dead letters of posts are asked
// for only when there are any and the filter may take such a post, since each costs one more request.
func (p *Posts) List(ctx context.Context, f PostFilter, below uint64, limit int) (Page[Post], error) {
	var page Page[Post]
	homes, err := p.opts.homes(ctx)
	if err != nil {
		return page, err
	}
	letters := false // whether to ask for the dead letter of each post
	if f.takesUnlinked() {
		n, err := p.opts.Letters.Count(ctx, deadletter.Filter{Kind: deadletter.Post})
		if err != nil {
			return page, err
		}
		letters = n > 0
	}
	left := searched
	err = p.opts.Posts.Backwards(ctx, below, func(m bus.Message) (bool, error) {
		post, err := p.read(ctx, m, letters)
		if err != nil {
			return false, err
		}
		post.lives(homes)
		if f.takes(&post) {
			page.Rows = append(page.Rows, post)
		}
		left--
		if len(page.Rows) < limit && left > 0 {
			return true, nil
		}
		if m.Sequence > 1 {
			page.Next = m.Sequence
		}
		return false, nil
	})
	return page, err
}

// decode is the post that a message of the stream holds, without what else is known of it. A post that cannot be decoded keeps Data
// and gets a Problem, and a Key if its id can be read, so that people can find it.
func decode(m bus.Message) Post {
	post := Post{Sequence: m.Sequence, At: m.At, Data: m.Data}
	content, err := payload.DecodePost(m.Data)
	if err != nil {
		post.Problem = err.Error()
		if network, id := payload.Glance(m.Data); id != "" {
			post.Key = ledger.Key{Network: network, PostID: id}
		}
		return post
	}
	post.Content, post.Key = content, ledger.KeyOf(content)
	return post
}

// read is the post that a message of the stream holds, with its links; with letters also its dead letter, if it was never
// linked: a link says more than a letter.
func (p *Posts) read(ctx context.Context, m bus.Message, letters bool) (Post, error) {
	post := decode(m)
	if post.Content != nil {
		var err error
		if post.Entry, err = p.opts.entry(ctx, post.Key); err != nil {
			return post, err
		}
	}
	if !letters || post.Entry != nil {
		return post, nil
	}
	err := p.addLetter(ctx, &post)
	return post, err
}
