package console

import (
	"context"
	"fmt"
	"net/http"

	"postlink/worker"
)

func (a *api) posts() {
	register(a, operation{
		id: "list-posts", method: http.MethodGet, path: PathPosts, role: Reader,
		summary: "List the posts of the stream, the newest first",
	}, func(ctx context.Context, _ caller, in *struct {
		Paging
		Link string `query:"link" enum:"linked,unlinked,queued,dead" doc:"Only posts whose link is so"`
		Rule string `query:"rule" maxLength:"400" doc:"Only posts whose newest link is of this rule"`
	}) (*body[Page[Post]], error) {
		page, err := a.opts.Reader.Posts(ctx, worker.PostFilter{Link: in.Link, Rule: in.Rule}, in.Cursor, in.Limit)
		if err != nil {
			return nil, err
		}
		shown := make([]Post, len(page.Rows))
		for i, row := range page.Rows {
			shown[i] = showPost(row)
		}
		return listed(shown, page.Next), nil
	})
	register(a, operation{
		id: "show-post", method: http.MethodGet, path: PathPost, role: Reader,
		summary: "Show a post, who decided about it, and the history of its links",
	}, func(ctx context.Context, _ caller, in *PostName) (*body[PostHistory], error) {
		found, err := a.opts.Linker.Find(ctx, in.Post)
		if err != nil {
			return nil, err
		}
		shown, err := a.history(ctx, found)
		return &body[PostHistory]{shown}, err
	})
}

// history is a post with all its links.
func (a *api) history(ctx context.Context, found worker.Found) (PostHistory, error) {
	row := worker.PostRow{Sequence: found.Sequence, Key: found.Key, Post: found.Post, Entry: found.Entry}
	if found.Entry != nil && found.Entry.Current().Active() {
		row.Instance = found.Entry.Current().Instance
	}
	if found.Post != nil && found.Sequence != 0 { // the list knows when it arrived, and what its instance is called now
		page, err := a.opts.Reader.Posts(ctx, worker.PostFilter{}, found.Sequence+1, 1)
		if err != nil {
			return PostHistory{}, err
		}
		if len(page.Rows) == 1 && page.Rows[0].Sequence == found.Sequence && page.Rows[0].Key == found.Key {
			row = page.Rows[0]
		}
	}
	shown := PostHistory{Post: showPost(row), Links: []Link{}}
	if row.Post == nil {
		shown.Name, shown.Network, shown.ID = worker.PostURLName(found.Key), found.Key.Network, found.Key.PostID
		shown.Problem = "the posts stream keeps this post no longer; only its links are known"
	}
	if row.Entry == nil {
		return shown, nil
	}
	entry := *row.Entry
	for i := range entry.Links {
		shown.Links = append(shown.Links, showLink(entry, &entry.Links[i]))
	}
	newest := entry.Current()
	shown.Links[len(shown.Links)-1] = *shown.Link
	shown.Decision = &Decision{Rule: newest.Rule, Catalog: newest.Catalog, At: newest.PlannedAt}
	if len(newest.Steps) > 0 {
		shown.Decision.By = newest.Steps[0].By
	}
	return shown, nil
}

// atSequence names a post by its place in the stream.
func atSequence(sequence uint64) string { return fmt.Sprintf("@%d", sequence) }
