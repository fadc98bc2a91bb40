package console

import (
	"context"
	"net/http"
	"strings"

	"postlink/worker"
)

func (a *api) dead() {
	register(a, operation{
		id: "list-dead-letters", method: http.MethodGet, path: PathDead, role: Reader,
		summary: "List posts and links that a person has to look at, the newest first",
	}, func(ctx context.Context, _ caller, in *struct {
		Paging
		Kind string `query:"kind" enum:"post,link"`
	}) (*body[Page[DeadLetter]], error) {
		page, err := a.opts.Reader.Dead(ctx, in.Kind, in.Cursor, in.Limit)
		if err != nil {
			return nil, err
		}
		shown := make([]DeadLetter, len(page.Rows))
		for i, row := range page.Rows {
			shown[i] = showLetter(row)
		}
		return listed(shown, page.Next), nil
	})
	register(a, operation{
		id: "show-dead-letter", method: http.MethodGet, path: PathDeadLetter, role: Reader,
		summary: "Show a dead letter with the post that it holds",
	}, func(ctx context.Context, _ caller, in *LetterName) (*body[DeadLetterContent], error) {
		row, err := a.opts.Reader.DeadLetter(ctx, in.Sequence)
		if err != nil {
			return nil, err
		}
		return &body[DeadLetterContent]{DeadLetterContent{showLetter(row), strings.ToValidUTF8(string(row.Data), "\uFFFD")}}, nil
	})
	register(a, operation{
		id: "redrive-dead-letter", method: http.MethodPost, path: PathRedriveLetter, role: Manager, change: true,
		summary: "Send a dead letter on its way again: a post into the stream, a link to its instance",
	}, func(ctx context.Context, by caller, in *LetterName) (*body[Redriven], error) {
		entry, err := a.opts.Linker.Redrive(ctx, in.Sequence, by.name)
		if err != nil {
			return nil, err
		}
		if len(entry.Links) == 0 {
			return &body[Redriven]{Redriven{Kind: worker.DeadPost}}, nil
		}
		link := showLink(entry, entry.Current())
		return &body[Redriven]{Redriven{worker.DeadLink, &link}}, nil
	})
	register(a, operation{
		id: "drop-dead-letter", method: http.MethodDelete, path: PathDeadLetter, role: Administrator, change: true, status: http.StatusNoContent,
		summary: "Delete a dead letter for good",
	}, func(ctx context.Context, _ caller, in *LetterName) (*struct{}, error) {
		return &struct{}{}, a.opts.Linker.Drop(ctx, in.Sequence)
	})
}
