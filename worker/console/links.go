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

// listLinks lists by the last change. A link that moves while somebody turns pages comes to the front and is not seen again. A page
// of a filtered list may be short, or empty, and still have a next one, since the ledger has no index to filter by.
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

// linkAnswer is the answer to a request for a link. huma takes Status instead of the status of the operation.
type linkAnswer struct {
	Status   int
	Location string `header:"Location" doc:"Where the link is shown"`
	Body     api.Link
}

// createLink queues a link, and with wait follows it for a while. Waiting changes nothing for the link: when the time is over, or
// the client goes, it is delivered all the same. The status is 201 only when the record was made. A link that was given up while it
// was waited for is 202 with state dead: the request itself was carried out.
//
// Nothing repeats a request that failed on the way. After a 503 or 504 the link may be there; the same request again is then refused
// as already-linked, with the link in the problem, so that a program can go on from there.
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

// showDetails may move the link, although it is a GET: a record that is gone in Dynamics makes the link broken. That is why the
// answer can be 410, and 404 the next time.
func (h *handlers) showDetails(ctx context.Context, _ caller, in *PostName) (*body[api.LinkDetails], error) {
	found, err := h.Desk.Links.Details(ctx, in.Post)
	if err != nil {
		return nil, err
	}
	return &body[api.LinkDetails]{showDetails(found)}, nil
}

// openLink reads the record too: before that nobody knows whether Dynamics has made a record of the activity, and so which address
// it is.
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

// showLink is a link of an entry, with the name that its instance had when the link was decided. It needs no catalog, so it can
// show links of any age, and those in problems.
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

// showDetails says of which record the fields are. Without a record the activity stands in, for one of two reasons, and the comment
// says which: no rule of Dynamics has made one yet, or our user may not read the one that was made.
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
