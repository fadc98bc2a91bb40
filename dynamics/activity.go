package dynamics

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"postlink/payload"
)

// Activity is a social activity to create.
type Activity struct {
	ID      uuid.UUID // payload.ActivityID of the link: repeating a create under it makes no second record
	Network string    // of the post; part of its author's identity
	payload.SocialActivity
}

// Create makes the social activity, after its author's contact and social profile where the instance has none. Every record
// is created under a GUID of ours and never overwritten, and one that exists already is success, so that Create can be
// repeated after any failure, and by two workers at once. The regarding record stays empty: the instance's own rules set it.
//
// An author whom the client remembers costs one request, one whom only the instance knows two, a new one up to four. An author's
// records that were deleted since are created again. A crash in the middle leaves a contact, or a contact and its profile, which
// the next attempt uses.
//
// An error is an *Error, a *TokenError, the network's own, or that of ctx. An error of the network leaves open whether the record
// was created; repeating Create is the way to find out. The existing record is neither read nor compared.
func (c *Client) Create(ctx context.Context, a Activity) error {
	row := newActivity(a)
	if a.Author.ID == "" {
		return c.create(ctx, "social activity", "socialactivities", a.ID, row)
	}
	key := authorKey{network: a.Network, id: a.Author.ID, community: a.Community}
	look := func() (author, error) { return c.author(ctx, a) }
	for attempt := 0; ; attempt++ {
		found, remembered, err := c.authors.find(ctx, key, look)
		if err != nil {
			return err
		}
		row.bindAuthor(found)
		err = c.create(ctx, "social activity", "socialactivities", a.ID, row)
		if refused, ok := errors.AsType[*Error](err); ok && refused.Gone() {
			c.authors.forget(key, found)
			if remembered && attempt == 0 {
				continue
			}
		}
		return err
	}
}

// create makes a record under id unless it exists, which is success as well.
func (c *Client) create(ctx context.Context, what, set string, id uuid.UUID, row any) error {
	err := c.do(ctx, request{
		op:         fmt.Sprintf("create %s %s", what, id),
		method:     http.MethodPatch,
		path:       fmt.Sprintf("%s(%s)", set, id),
		body:       row,
		createOnly: true,
	}, nil)
	if refused, ok := errors.AsType[*Error](err); ok && refused.exists() {
		return nil
	}
	return err
}

// activityRow is a social activity in Dynamics' wire form. Columns without omitempty are always sent: 0, false and null mean
// something there. A customer lookup such as the author's is written through the navigation property of one record type
// (Dataverse Web API, navigation properties), so of Contact and Account at most one is set.
type activityRow struct {
	Subject        string `json:"subject,omitempty"`
	Description    string `json:"description,omitempty"`
	Community      int    `json:"community"`
	MessageType    int    `json:"postmessagetype"`
	Outgoing       bool   `json:"directioncode"` // always false: a post comes in
	SentimentValue *int   `json:"sentimentvalue"`
	PostURL        string `json:"posturl,omitempty"`
	PostID         string `json:"postid,omitempty"`
	PostedOn       string `json:"postedon,omitempty"`
	Additional     string `json:"activityadditionalparams"` // JSON text
	Profile        string `json:"postfromprofileid@odata.bind,omitempty"`
	Contact        string `json:"postauthor_contact@odata.bind,omitempty"`
	Account        string `json:"postauthor_account@odata.bind,omitempty"`
}

// newActivity fills in every column but those of the author. Dynamics refuses texts that are too long instead of cutting them,
// so a URL or id that does not fit is left out; the additional parameters hold the URL in full.
func newActivity(a Activity) activityRow {
	row := activityRow{
		Subject:        a.Subject,
		Description:    a.Description,
		Community:      a.Community,
		MessageType:    a.PostMessageType,
		SentimentValue: a.SentimentValue,
		PostedOn:       a.PostedOn,
		Additional:     a.Additional.Text(),
	}
	if payload.Units(a.PostURL) <= payload.MaxPostURL {
		row.PostURL = a.PostURL
	}
	if payload.Units(a.PostID) <= payload.MaxPostID {
		row.PostID = a.PostID
	}
	return row
}

// bindAuthor sets the author's records, in place of those of an earlier attempt.
func (r *activityRow) bindAuthor(a author) {
	r.Profile, r.Contact, r.Account = bind("socialprofiles", a.profile), "", ""
	switch {
	case a.customer == uuid.Nil:
	case a.account:
		r.Account = bind("accounts", a.customer)
	default:
		r.Contact = bind("contacts", a.customer)
	}
}

// bind is the reference to a record in a request's body.
func bind(set string, id uuid.UUID) string { return fmt.Sprintf("/%s(%s)", set, id) }
