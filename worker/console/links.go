package console

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"postlink/dynamics"
	"postlink/worker/console/api"
	"postlink/worker/desk"
	"postlink/worker/ledger"
)

// maxWait is how many seconds a request for a link may wait until the link is delivered or given up.
const maxWait = 60

func (h *handlers) listLinks(ctx context.Context, _ caller, in *struct {
	Paging
	State    string `query:"state" enum:"queued,linked,dead,removed,broken" doc:"Only links in this state"`
	Instance string `query:"instance" maxLength:"63" doc:"Only links of the instance that is called so now" example:"contoso"`
	Rule     string `query:"rule" maxLength:"400" doc:"Only links of this rule" example:"cancelled-flights"`
},
) (*body[api.Page[api.Link]], error) {
	below, err := listOfLinks.below(in.Cursor)
	if err != nil {
		return nil, err
	}
	page, err := h.Desk.Links.List(ctx, desk.LinkFilter{State: ledger.State(in.State), Instance: in.Instance, Rule: in.Rule}, below, in.Limit)
	if err != nil {
		return nil, err
	}
	shown := make([]api.Link, len(page.Rows))
	for i, row := range page.Rows {
		shown[i] = showFound(row)
	}
	return &body[api.Page[api.Link]]{paged(shown, listOfLinks, page.Next)}, nil
}

// linkAnswer is the answer to a request for a link.
type linkAnswer struct {
	Status   int
	Location string `header:"Location" doc:"Where the link is shown"`
	Body     api.Link
}

func (h *handlers) createLink(ctx context.Context, by caller, in *struct {
	Wait int `query:"wait" minimum:"0" maximum:"60" doc:"Seconds to wait until the link is delivered or given up" example:"20"`
	Body api.NewLink
},
) (*linkAnswer, error) {
	request := desk.Request{Post: in.Body.Post, Instance: in.Body.Instance, Entity: in.Body.Entity, Notes: in.Body.Notes, By: by.name}
	if event := bytes.TrimSpace(in.Body.Event); len(event) > 0 && !bytes.Equal(event, []byte("null")) {
		request.Event = event
	}
	if (request.Post == "") == (request.Event == nil) {
		return nil, newProblem(api.KindInvalid, "either post, the name of a post, or event, the post itself, is needed; give one of them")
	}
	entry, err := h.Desk.Links.Link(ctx, request)
	if err != nil {
		return nil, err
	}
	if in.Wait > 0 {
		entry = h.awaitDelivery(ctx, entry, time.Duration(in.Wait)*time.Second)
	}
	link := entry.Current()
	answer := &linkAnswer{http.StatusAccepted, api.Path(api.PathLink, link.ID.String()), showLink(entry, link)}
	if link.State == ledger.Linked {
		answer.Status = http.StatusCreated
	}
	return answer, nil
}

// awaitDelivery waits until the newest link of an entry is not queued any more, for most at the longest, and returns the entry
// as it is then.
func (h *handlers) awaitDelivery(ctx context.Context, entry ledger.Entry, most time.Duration) ledger.Entry {
	ctx, cancel := h.whileServing(ctx)
	defer cancel()
	ctx, over := context.WithTimeout(ctx, most)
	defer over()
	return h.Desk.Links.Await(ctx, entry)
}

func (h *handlers) showLink(ctx context.Context, _ caller, in *LinkName) (*body[api.Link], error) {
	found, err := h.Desk.Links.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &body[api.Link]{showFound(found)}, nil
}

func (h *handlers) showDetails(ctx context.Context, _ caller, in *PostName) (*body[api.LinkDetails], error) {
	found, err := h.Desk.Links.Details(ctx, in.Post)
	if err != nil {
		return nil, err
	}
	return &body[api.LinkDetails]{showDetails(found)}, nil
}

func (h *handlers) openLink(ctx context.Context, _ caller, in *PostName) (*body[api.LinkURL], error) {
	found, err := h.Desk.Links.Details(ctx, in.Post)
	if err != nil {
		return nil, err
	}
	return &body[api.LinkURL]{api.LinkURL{URL: found.URL}}, nil
}

func (h *handlers) removeLink(ctx context.Context, by caller, in *PostName) (*body[api.Link], error) {
	entry, err := h.Desk.Links.Unlink(ctx, in.Post, by.name)
	if err != nil {
		return nil, err
	}
	return &body[api.Link]{showLink(entry, entry.Current())}, nil
}

// showLink is a link of an entry, with the name that its instance had.
func showLink(e ledger.Entry, l *ledger.Link) api.Link {
	shown := api.Link{
		ID: l.ID.String(), Post: e.Post.PathName(), Network: e.Post.Network, PostID: e.Post.PostID, Sequence: e.Sequence,
		Generation: l.Generation, State: string(l.State), Instance: l.Instance, Entity: l.Entity, Rule: l.Rule, Catalog: l.Catalog,
		Notes: l.Notes, Record: showRecord(dynamics.Record{Entity: l.RecordEntity, ID: l.RecordID}),
		Attempts: l.Attempts, LastError: l.LastError, Reason: l.Last().Reason, Code: l.Last().Code, DecidedAt: l.Decided().At,
		ChangedAt: l.Last().At, Steps: make([]api.Step, len(l.Steps)),
	}
	for i, s := range l.Steps {
		shown.Steps[i] = api.Step{State: string(s.State), At: s.At, By: s.By, Reason: s.Reason, Code: s.Code}
	}
	return shown
}

// showLinkIn is the newest link of an entry, with the present name of its instance; that is empty when the instance is gone.
func showLinkIn(e ledger.Entry, instance string) api.Link {
	shown := showLink(e, e.Current())
	shown.Gone = instance == "" && e.Current().Active()
	shown.Instance = cmp.Or(instance, shown.Instance)
	return shown
}

// showFound is a link with the present name of its instance.
func showFound(l desk.Link) api.Link {
	shown := showLink(l.Entry, l.Link)
	shown.Gone = l.Instance == ""
	shown.Instance = cmp.Or(l.Instance, shown.Instance)
	return shown
}

func showDetails(found desk.Details) api.LinkDetails {
	d := found.Record
	shown := api.LinkDetails{
		Link: showLinkIn(found.Entry, found.Instance), Of: api.OfRecord, Record: api.Record{Entity: d.Entity, ID: d.ID.String()},
		Label: d.Label, URL: found.URL, Fields: showFields(d.Fields),
	}
	switch {
	case !d.Converted:
		shown.Of = api.OfSocialActivity
		shown.Comment = "No record creation rule in Dynamics has made a record of this social activity; the fields are those of the activity itself."
	case d.Unread != nil:
		shown.Of = api.OfSocialActivity
		shown.Comment = "Dynamics made a record of this social activity, but our user may not read it; the fields are those of the activity itself."
	}
	return shown
}

func showRecord(r dynamics.Record) *api.Record {
	if r.ID == uuid.Nil {
		return nil
	}
	return &api.Record{Entity: r.Entity, ID: r.ID.String()}
}

func showFields(fields []dynamics.FieldValue) []api.FieldValue {
	shown := make([]api.FieldValue, len(fields))
	for i, f := range fields {
		shown[i] = api.FieldValue{Name: f.Name, Label: f.Label, Value: f.Value, Record: showRecord(f.Record), Missing: f.Missing}
	}
	return shown
}
