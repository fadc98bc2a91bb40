package console

import (
	"context"
	"strings"
	"time"

	"postlink/worker/console/api"
	"postlink/worker/deadletter"
)

// LetterFilter chooses dead letters; its zero value takes all. Its fields are those of deadletter.Filter, which it is converted
// to. A list and a count with the same filter speak of the same letters.
type LetterFilter struct {
	Kind     string    `query:"kind" enum:"post,link" doc:"Only posts that could not be handled, or only links that could not be made"`
	Instance string    `query:"instance" maxLength:"63" doc:"Only links of this instance" example:"contoso"`
	Rule     string    `query:"rule" maxLength:"400" doc:"Only links of this rule" example:"cancelled-flights"`
	Code     string    `query:"code" maxLength:"100" doc:"Only those with this error code of Dynamics, or HTTP status" example:"0x80048408"`
	Since    time.Time `query:"since" doc:"Only those that were given up at this time or later" example:"2026-01-02T15:04:05Z"`
}

func (f LetterFilter) filter() deadletter.Filter { return deadletter.Filter(f) }

// listLetters leaves out the posts that the letters hold; showLetter has them.
func (h *handlers) listLetters(ctx context.Context, _ caller, in *struct {
	Paging
	LetterFilter
},
) (*body[api.Page[api.DeadLetter]], error) {
	below, err := listOfLetters.below(in.Cursor)
	if err != nil {
		return nil, err
	}
	page, err := h.Desk.Letters.List(ctx, in.filter(), below, in.Limit)
	if err != nil {
		return nil, err
	}
	shown := make([]api.DeadLetter, len(page.Rows))
	for i, letter := range page.Rows {
		shown[i] = showLetter(letter)
	}
	return &body[api.Page[api.DeadLetter]]{paged(shown, listOfLetters, page.Next)}, nil
}

func (h *handlers) countLetters(ctx context.Context, _ caller, in *LetterFilter) (*body[api.DeadCount], error) {
	count, err := h.Desk.Letters.Count(ctx, in.filter())
	if err != nil {
		return nil, err
	}
	return &body[api.DeadCount]{api.DeadCount{Count: int(count)}}, nil
}

// showLetter shows the post as text. Bytes that are no UTF-8, which may be why the post is dead, are replaced, since JSON cannot
// hold them. The letter keeps them, and a redrive sends them.
func (h *handlers) showLetter(ctx context.Context, _ caller, in *LetterName) (*body[api.DeadLetterContent], error) {
	letter, err := h.Desk.Letters.Show(ctx, in.Sequence)
	if err != nil {
		return nil, err
	}
	return &body[api.DeadLetterContent]{api.DeadLetterContent{
		DeadLetter: showLetter(letter), Event: strings.ToValidUTF8(string(letter.Data), "\uFFFD"),
	}}, nil
}

// redriveLetter can show the new link of a link. Of a post it knows only that it is in the stream again: it is matched later. A
// letter that was sent on its way is dropped, so a second request for it is a 404.
func (h *handlers) redriveLetter(ctx context.Context, by caller, in *LetterName) (*body[api.Redriven], error) {
	entry, err := h.Desk.Letters.Redrive(ctx, in.Sequence, by.name)
	if err != nil {
		return nil, err
	}
	if len(entry.Links) == 0 {
		return &body[api.Redriven]{api.Redriven{Kind: deadletter.Post}}, nil
	}
	link := showLink(entry, entry.Current())
	return &body[api.Redriven]{api.Redriven{Kind: deadletter.Link, Link: &link}}, nil
}

func (h *handlers) dropLetter(ctx context.Context, _ caller, in *LetterName) (*struct{}, error) {
	return &struct{}{}, h.Desk.Letters.Drop(ctx, in.Sequence)
}

// showLetter names the post of a link by its key. A post that is dead itself may have no id that can be read; it is named by its
// place in the stream, if it has one.
func showLetter(l deadletter.Letter) api.DeadLetter {
	shown := api.DeadLetter{
		Sequence: l.Sequence, At: l.At, Kind: l.Kind, Reason: l.Reason, Code: l.Code, Instance: l.Instance, Entity: l.Entity,
		Rule: l.Rule, PostSequence: l.PostSequence, Network: l.Post.Network, PostID: l.Post.PostID, Generation: l.Generation,
		Attempts: l.Attempts, FirstFailedAt: l.FailedAt, Cut: l.Cut,
	}
	switch {
	case l.Kind == deadletter.Link:
		shown.Post = l.Post.PathName()
	case l.PostSequence != 0:
		shown.Post = atSequence(l.PostSequence)
	}
	return shown
}
