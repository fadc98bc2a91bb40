package console

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postlink/worker"
	"postlink/worker/ledger"
)

// maxWait is how long a request for a link may wait until it is settled, in seconds.
const maxWait = 60

func (a *api) links() {
	register(a, operation{
		id: "list-links", method: http.MethodGet, path: PathLinks, role: Reader,
		summary: "List the newest link of each post, the last changed first",
	}, func(ctx context.Context, _ caller, in *struct {
		Paging
		State    string `query:"state" enum:"queued,linked,dead,removed,broken"`
		Instance string `query:"instance" maxLength:"63" doc:"As it is called now"`
		Rule     string `query:"rule" maxLength:"400"`
	}) (*body[Page[Link]], error) {
		filter := worker.LinkFilter{State: ledger.State(in.State), Instance: in.Instance, Rule: in.Rule}
		page, err := a.opts.Reader.Links(ctx, filter, in.Cursor, in.Limit)
		if err != nil {
			return nil, err
		}
		shown := make([]Link, len(page.Rows))
		for i, row := range page.Rows {
			shown[i] = showLinkIn(row.Entry, row.Instance)
			shown[i].Gone = row.Instance == ""
		}
		return listed(shown, page.Next), nil
	})
	register(a, operation{
		id: "create-link", method: http.MethodPost, path: PathLinks, role: Responder, change: true,
		status: http.StatusCreated, timeout: answerTime + maxWait*time.Second,
		summary: "Link a post; 201 when it is linked, 202 while it is on its way",
	}, a.createLink)
	responses := a.huma.OpenAPI().Paths[PathLinks].Post.Responses
	responses["202"] = &huma.Response{Description: http.StatusText(http.StatusAccepted), Content: responses["201"].Content}
	register(a, operation{
		id: "show-link", method: http.MethodGet, path: PathPostLink, role: Reader, timeout: askingTime,
		summary: "Show the present values of the record of a post's link",
	}, func(ctx context.Context, _ caller, in *PostName) (*body[LinkDetails], error) {
		view, err := a.opts.Linker.Details(ctx, in.Post)
		if err != nil {
			return nil, err
		}
		return &body[LinkDetails]{showDetails(view)}, nil
	})
	register(a, operation{
		id: "open-link", method: http.MethodGet, path: PathLinkURL, role: Reader, timeout: askingTime,
		summary: "Tell where people open the record of a post's link",
	}, func(ctx context.Context, _ caller, in *PostName) (*body[LinkURL], error) {
		view, err := a.opts.Linker.Details(ctx, in.Post)
		if err != nil {
			return nil, err
		}
		return &body[LinkURL]{LinkURL{view.URL}}, nil
	})
	register(a, operation{
		id: "remove-link", method: http.MethodDelete, path: PathPostLink, role: Manager, change: true,
		summary: "Remove the link of a post, for good; Dynamics is not touched",
	}, func(ctx context.Context, by caller, in *PostName) (*body[Link], error) {
		entry, err := a.opts.Linker.Unlink(ctx, in.Post, by.name)
		if err != nil {
			return nil, err
		}
		return &body[Link]{showLink(entry, entry.Current())}, nil
	})
}

// created is a link that was asked for.
type created struct {
	Status int
	Body   Link
}

func (a *api) createLink(ctx context.Context, by caller, in *struct {
	Wait int `query:"wait" minimum:"0" maximum:"60" doc:"Seconds to wait until the link is settled"`
	Body NewLink
}) (*created, error) {
	request := worker.Request{Post: in.Body.Post, Instance: in.Body.Instance, Entity: in.Body.Entity, Notes: in.Body.Notes, By: by.name}
	if event := bytes.TrimSpace(in.Body.Event); len(event) > 0 && !bytes.Equal(event, []byte("null")) {
		request.Event = event
	}
	if (request.Post == "") == (request.Event == nil) {
		return nil, newProblem(kindInvalid, "either post, the name of a post, or event, the post itself, is needed; give one of them")
	}
	news, cancel := a.opts.Journal.Subscribe() // before the link can be settled
	defer cancel()
	entry, err := a.opts.Linker.Link(ctx, request)
	if err != nil {
		return nil, err
	}
	if in.Wait > 0 {
		entry = a.settled(ctx, news, entry, time.Duration(in.Wait)*time.Second)
	}
	answer := &created{http.StatusAccepted, showLink(entry, entry.Current())}
	if entry.Current().State == ledger.Linked {
		answer.Status = http.StatusCreated
	}
	return answer, nil
}

// settled waits until the newest link of an entry is not on its way any more, and returns the entry as it is then. News tell
// when to look; now and then it looks anyway, since news may be lost.
func (a *api) settled(ctx context.Context, news <-chan worker.Event, entry ledger.Entry, most time.Duration) ledger.Entry {
	const pause = time.Second
	id := entry.Current().ID
	end := time.NewTimer(most)
	defer end.Stop()
	look := time.NewTicker(pause)
	defer look.Stop()
	for entry.Current().State == ledger.Queued && entry.Current().ID == id {
		select {
		case <-ctx.Done():
			return entry
		case <-a.opts.Stopping:
			return entry
		case <-end.C:
			return entry
		case e, open := <-news:
			if !open {
				news = nil
				continue
			}
			if e.ID != id || e.State == ledger.Queued {
				continue
			}
		case <-look.C:
		}
		if found, err := a.opts.Linker.Find(ctx, worker.PostURLName(entry.Post)); err == nil && found.Entry != nil {
			entry = *found.Entry
		}
	}
	return entry
}

func showDetails(view worker.View) LinkDetails {
	d := view.Details
	shown := LinkDetails{
		Link: showLink(view.Entry, view.Entry.Current()), Of: OfRecord, Record: Record{Entity: d.Entity, ID: d.ID.String()},
		Label: d.Label, URL: view.URL, Fields: showFields(d.Fields),
	}
	switch {
	case !d.Converted:
		shown.Of = OfSocialActivity
		shown.Comment = "No record creation rule in Dynamics has made a record of this social activity; the fields are those of the activity itself."
	case d.Unread != nil:
		shown.Of = OfSocialActivity
		shown.Comment = "Dynamics made a record of this social activity, but our user may not read it; the fields are those of the activity itself."
	}
	return shown
}
