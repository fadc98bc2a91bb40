package dynamics

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"postlink/payload"
)

// communityOther stands for every network but those with a community of their own.
const communityOther = 0

// authorKey identifies an author within one instance.
type authorKey struct {
	network   string
	id        string
	community int
}

// author is the pair of records that an author has in the instance.
type author struct {
	profile  uuid.UUID
	customer uuid.UUID // contact or account of the profile; uuid.Nil when the profile has none
	account  bool      // customer is an account
}

// authors remembers the records of authors. Of several callers that look for one unknown author, one searches and the others
// wait for its result. x/sync/singleflight cannot do this: a search runs under its caller's context, and when that ends, the
// callers that wait must go on with a search of their own instead of failing with it.
//
// It is a cache. An entry has no age: that its records were deleted shows when a create that binds them is refused, and forget
// drops it then. When it is full, the author who was not asked for the longest goes. Failed searches are not remembered.
type authors struct {
	mu       sync.Mutex // guards searches, and makes the look into known and into searches one step
	known    *lru.Cache[authorKey, author]
	searches map[authorKey]*search // that are running
}

// search is one look-up of an author. Its result may be read once done is closed.
type search struct {
	done     chan struct{}
	found    author
	err      error
	canceled bool // the searching caller's context ended: the result says nothing about the author
}

func newAuthors(size int) (*authors, error) {
	known, err := lru.New[authorKey, author](size)
	if err != nil {
		return nil, fmt.Errorf("remember authors: %w", err)
	}
	return &authors{known: known, searches: make(map[authorKey]*search)}, nil
}

// find returns the records of an author, and whether they come from memory.
func (a *authors) find(ctx context.Context, key authorKey, look func() (author, error)) (found author, remembered bool, err error) {
	for {
		a.mu.Lock()
		if found, ok := a.known.Get(key); ok {
			a.mu.Unlock()
			return found, true, nil
		}
		running, ok := a.searches[key]
		if !ok {
			running = &search{done: make(chan struct{})}
			a.searches[key] = running
			a.mu.Unlock()
			a.run(ctx, key, running, look)
			return running.found, false, running.err
		}
		a.mu.Unlock()
		select {
		case <-running.done:
			if running.err != nil && !running.canceled {
				return author{}, false, running.err
			}
		case <-ctx.Done():
			return author{}, false, fmt.Errorf("wait for the author's social profile: %w", ctx.Err())
		}
	}
}

// run makes a search and publishes its result. The search ends in any case, even when look panics, since its waiters would hang
// otherwise.
func (a *authors) run(ctx context.Context, key authorKey, s *search, look func() (author, error)) {
	s.canceled = true // in case look panics
	defer func() {
		a.mu.Lock()
		delete(a.searches, key)
		if s.err == nil && !s.canceled {
			a.known.Add(key, s.found)
		}
		a.mu.Unlock()
		close(s.done)
	}()
	s.found, s.err = look()
	s.canceled = s.err != nil && ctx.Err() != nil
}

// forget drops an author whose records are gone, unless another goroutine has found others since.
func (a *authors) forget(key authorKey, gone author) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if found, ok := a.known.Peek(key); ok && found == gone {
		a.known.Remove(key)
	}
}

// author finds the records of the activity's author, or makes them. Both records have GUIDs of ours, so that two workers that
// meet a new author at the same time make one pair. The contact comes first, because the profile refers to it.
func (c *Client) author(ctx context.Context, a Activity) (author, error) {
	id := a.Author.ID
	// Two kinds of author cannot be looked up by id and are found by our own GUID alone: those whose id does not fit the column,
	// and those of the networks that share the community "other", where two people may have the same id.
	storable := id == column(id, payload.MaxUniqueProfileID)
	if storable && a.Community != communityOther {
		found, ok, err := c.profile(ctx, a.Community, id)
		if ok || err != nil {
			return found, err
		}
	}
	instance := c.opts.Instance.Name
	made := author{
		profile:  payload.ProfileID(instance, a.Network, id),
		customer: payload.ContactID(instance, a.Network, id),
	}
	if err := c.create(ctx, "contact", "contacts", made.customer, newContact(a.Author)); err != nil {
		return author{}, err
	}
	profile := newProfile(a, made.customer)
	if storable {
		profile.UniqueProfileID = id
	}
	return made, c.create(ctx, "social profile", "socialprofiles", made.profile, profile)
}

// profile looks for a social profile that has the network's id of an author. Of several it takes the first: active before
// inactive, older before younger.
func (c *Client) profile(ctx context.Context, community int, id string) (found author, ok bool, err error) {
	filter := fmt.Sprintf("community eq %d and uniqueprofileid eq '%s'", community, strings.ReplaceAll(id, "'", "''"))
	type profile struct {
		ID           uuid.UUID  `json:"socialprofileid"`
		Author       string     `json:"uniqueprofileid"`
		Customer     *uuid.UUID `json:"_customerid_value"`
		CustomerType string     `json:"_customerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"`
	}
	var answer struct {
		Value []profile `json:"value"`
	}
	op := "find social profile"
	err = c.do(ctx, request{
		op:     op,
		method: http.MethodGet,
		path: "socialprofiles?$select=socialprofileid,uniqueprofileid,_customerid_value&$filter=" + escape(filter) +
			"&$orderby=statecode%20asc,createdon%20asc&$top=2",
		prefer: `odata.include-annotations="` + annotationTable + `"`,
	}, &answer)
	switch {
	case err != nil:
		return author{}, false, err
	case answer.Value == nil:
		return author{}, false, c.odd(op)
	}
	for _, row := range answer.Value {
		switch {
		case row.ID == uuid.Nil:
			return author{}, false, c.odd(op)
		case row.Author != id: // the database compares without regard to case, networks do not
			continue
		}
		found.profile = row.ID
		if row.Customer != nil && (row.CustomerType == "contact" || row.CustomerType == "account") {
			found.customer, found.account = *row.Customer, row.CustomerType == "account"
		}
		return found, true, nil
	}
	return author{}, false, nil
}

// escape encodes a value of a query, with %20 for spaces: Dynamics does not read the plus sign of forms.
func escape(value string) string {
	return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// profileRow is a social profile as we create it. It is never updated: what people change in it stays, and a new name or link of
// the author does not reach it.
type profileRow struct {
	Name            string `json:"profilename,omitempty"`
	UniqueProfileID string `json:"uniqueprofileid,omitempty"`
	FullName        string `json:"profilefullname,omitempty"`
	Link            string `json:"profilelink,omitempty"`
	Community       int    `json:"community"`
	Contact         string `json:"customerid_contact@odata.bind"`
}

func newProfile(a Activity, contact uuid.UUID) profileRow {
	p := profileRow{
		Name:      column(firstOf(a.Author.Handle, a.Author.Name, a.Author.ID), payload.MaxProfileName),
		FullName:  column(firstOf(a.Author.FullName, a.Author.Name), payload.MaxFullName),
		Community: a.Community,
		Contact:   bind("contacts", contact),
	}
	if payload.Units(a.Author.Link) <= payload.MaxProfileLink {
		p.Link = column(a.Author.Link, payload.MaxProfileLink)
	}
	return p
}

// contactRow is a contact as we create it. The last name is always set: forms require it.
type contactRow struct {
	FirstName string `json:"firstname,omitempty"`
	LastName  string `json:"lastname"`
}

func newContact(a payload.Author) contactRow {
	first, last := a.Names()
	return contactRow{FirstName: column(first, payload.MaxContactName), LastName: column(last, payload.MaxContactName)}
}

// firstOf returns the first text that has a visible character.
func firstOf(texts ...string) string {
	for _, t := range texts {
		if t = strings.TrimSpace(payload.Clean(t)); t != "" {
			return t
		}
	}
	return ""
}

// column makes a text fit a column.
func column(text string, limit int) string { return payload.Cut(payload.Clean(text), limit) }
