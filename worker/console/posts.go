package console

import (
	"context"
	"fmt"

	"postlink/payload"
	"postlink/worker/console/api"
	"postlink/worker/desk"
	"postlink/worker/ledger"
)

// listPosts reads the stream backwards and asks the ledger about each post. It looks through a bounded number of posts, so a page of
// a filtered list may be short, or empty, and still have a next one.
func (h *handlers) listPosts(ctx context.Context, _ caller, in *struct {
	Paging
	Link string `query:"link" enum:"linked,unlinked,queued,dead" doc:"Only posts with a link in this state; unlinked: with no active link"`
	Rule string `query:"rule" maxLength:"400" doc:"Only posts whose newest link is of this rule" example:"cancelled-flights"`
},
) (*body[api.Page[api.Post]], error) {
	below, err := listOfPosts.below(in.Cursor)
	if err != nil {
		return nil, err
	}
	page, err := h.Desk.Posts.List(ctx, desk.PostFilter{Link: in.Link, Rule: in.Rule}, below, in.Limit)
	if err != nil {
		return nil, err
	}
	shown := make([]api.Post, len(page.Rows))
	for i, row := range page.Rows {
		shown[i] = showPost(row)
	}
	return &body[api.Page[api.Post]]{paged(shown, listOfPosts, page.Next)}, nil
}

// showPost finds a post by its place at once. By an id it asks the ledger first, and then searches the newest posts of the stream: an
// old post that was never linked is not found by its id.
func (h *handlers) showPost(ctx context.Context, _ caller, in *PostName) (*body[api.PostHistory], error) {
	post, err := h.Desk.Posts.Find(ctx, in.Post)
	if err != nil {
		return nil, err
	}
	return &body[api.PostHistory]{showHistory(post)}, nil
}

// showHistory is a post with all its links. The ledger remembers links for longer than the stream keeps posts, so a post may be
// known by its links only; Problem says why its text is missing then. The newest link has the present name of its instance; older
// ones have the name of their time.
func showHistory(post desk.Post) api.PostHistory {
	shown := api.PostHistory{Post: showPost(post), Links: []api.Link{}}
	switch {
	case post.GivenByHand:
		shown.Problem = "the post was given with the request for its link and never was in the stream; only its links are known"
	case post.Content == nil && post.Problem == "":
		shown.Problem = "the posts stream keeps this post no longer; only its links are known"
	}
	if post.Entry == nil {
		return shown
	}
	entry := *post.Entry
	for i := range entry.Links {
		shown.Links = append(shown.Links, showLink(entry, &entry.Links[i]))
	}
	newest := entry.Current()
	shown.Links[len(shown.Links)-1] = *shown.Link // with the present name of its instance
	shown.Decision = &api.Decision{Rule: newest.Rule, Catalog: newest.Catalog, At: newest.Decided().At, By: newest.Decided().By}
	return shown
}

// showPost puts together what the stream, the ledger and the dead letters know of a post. A post is dead for one of three reasons,
// and the most specific one is shown: its dead letter, else what is wrong with the post itself, else why its newest link is dead.
//
// Linked says that the post cannot be linked again. A link of an instance that was deleted does not count: it is in Link, with Gone,
// and the post is free.
func showPost(post desk.Post) api.Post {
	shown := api.Post{Network: post.Key.Network, ID: post.Key.PostID}
	if post.Content != nil {
		shown = showContent(post.Key, post.Content)
	}
	shown.Name = atSequence(post.Sequence)
	if post.Key != (ledger.Key{}) && (post.Content != nil || post.Entry != nil) {
		shown.Name = post.Key.PathName()
	}
	shown.Problem, shown.Sequence, shown.ArrivedAt, shown.Linked = post.Problem, post.Sequence, post.At, post.Instance != ""
	if post.Entry != nil {
		link := showLinkIn(*post.Entry, post.Instance)
		shown.Link = &link
		if link.State == string(ledger.Dead) {
			shown.Dead, shown.Reason = true, link.Reason
		}
	}
	if post.Problem != "" {
		shown.Dead, shown.Reason = true, post.Problem
	}
	if post.Letter != nil {
		shown.Dead, shown.Reason, shown.DeadLetter = true, post.Letter.Reason, post.Letter.Sequence
	}
	return shown
}

func showContent(key ledger.Key, p *payload.Post) api.Post {
	shown := api.Post{
		Name: key.PathName(), Network: key.Network, ID: key.PostID,
		ExternalID: p.ExternalID, Type: p.Type, ContentType: p.ContentType, URL: p.URL, Title: p.Title, Text: p.Text,
		Language: p.Language, Sentiment: p.Sentiment, PublishedAt: p.PublishedAt, Tags: p.Tags, Topics: p.Topics,
	}
	if p.Author.Known() {
		shown.Author = &api.Author{
			ID: p.Author.ID, Handle: p.Author.Handle, Name: p.Author.Name, FullName: p.Author.FullName, URL: p.Author.Link,
		}
	}
	return shown
}

// atSequence names a post by its place in the stream.
func atSequence(sequence uint64) string { return fmt.Sprintf("@%d", sequence) }
