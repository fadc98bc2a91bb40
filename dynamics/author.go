package dynamics

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unicode/utf16"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"postlink/payload"
)

// communityOther stands for every network but those with a community of their own.
const communityOther = 0

// Limits of the columns of a social profile and a contact, in UTF-16 units.
const (
	maxProfileName     = 100
	maxUniqueProfileID = 100
	maxProfileFullName = 160
	maxContactName     = 50 // of first and last name, each
)

// authorKey is what tells authors of one instance apart.
type authorKey struct {
	network   string
	id        string
	community int
}

// author is the pair of records that an author has in the instance.
type author struct {
	profile   uuid.UUID
	customer  uuid.UUID // contact or account of the profile; uuid.Nil when the profile has none
	account   bool      // customer is an account
	ambiguous bool      // more than one profile fits
}

// authors remembers the records of authors. Of several callers that look for one unknown author, one does and the others
// wait for what it finds.
type authors struct {
	mu    sync.Mutex // guards searches, and holds the look into known and into searches together
	known *lru.Cache[authorKey, author]
	// searches that are running, by author
	searches map[authorKey]*search
}

// search is one look-up of an author. Its result may be read once done is closed.
type search struct {
	done     chan struct{}
	found    author
	err      error
	canceled bool // the searcher's own context ended, which says nothing of the author
}

func newAuthors(size int) (*authors, error) {
	known, err := lru.New[authorKey, author](size)
	if err != nil {
		return nil, fmt.Errorf("remember authors: %w", err)
	}
	return &authors{known: known, searches: make(map[authorKey]*search)}, nil
}

// find returns the records of an author, from memory if it can, and whether they are from memory.
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

func (a *authors) run(ctx context.Context, key authorKey, s *search, look func() (author, error)) {
	s.canceled = true // should look panic
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

// forget drops an author whose records are gone, unless somebody has found others meanwhile.
func (a *authors) forget(key authorKey, gone author) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if found, ok := a.known.Peek(key); ok && found == gone {
		a.known.Remove(key)
	}
}

// author finds the records of the activity's author, or makes them.
func (c *Client) author(ctx context.Context, a Activity) (author, error) {
	id := a.Author.ID
	// An id that the column cannot hold is found under our own GUID alone, which is made of the whole id. So is one of the
	// other networks, which share a community: two people may have the same id there.
	storable := id == column(id, maxUniqueProfileID)
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
	if _, err := c.create(ctx, "contact", "contacts", made.customer, newContact(a.Author)); err != nil {
		return author{}, err
	}
	profile := newProfile(a, made.customer)
	if storable {
		profile.UniqueProfileID = id
	}
	_, err := c.create(ctx, "social profile", "socialprofiles", made.profile, profile)
	return made, err
}

// profile looks for a social profile that has the network's id of an author: an active one before an inactive, an older one
// before a younger.
func (c *Client) profile(ctx context.Context, community int, id string) (found author, ok bool, err error) {
	filter := fmt.Sprintf("community eq %d and uniqueprofileid eq '%s'", community, strings.ReplaceAll(id, "'", "''"))
	type profile struct {
		ID           uuid.UUID  `json:"socialprofileid"`
		Author       string     `json:"uniqueprofileid"`
		State        int        `json:"statecode"`
		Customer     *uuid.UUID `json:"_customerid_value"`
		CustomerType string     `json:"_customerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"`
	}
	var answer struct {
		Value []profile `json:"value"`
	}
	var best profile
	op := "find social profile"
	err = c.do(ctx, request{
		op:     op,
		method: http.MethodGet,
		path: "socialprofiles?$select=socialprofileid,uniqueprofileid,statecode,_customerid_value&$filter=" + escape(filter) +
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
		case !ok:
			best, ok = row, true
		default:
			found.ambiguous = true
			if row.State < best.State {
				best = row
			}
		}
	}
	found.profile = best.ID
	if best.Customer != nil && (best.CustomerType == "contact" || best.CustomerType == "account") {
		found.customer, found.account = *best.Customer, best.CustomerType == "account"
	}
	return found, ok, nil
}

// escape encodes a value of a query; Dynamics reads %20, not the plus of forms.
func escape(value string) string {
	return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// profileRow is a social profile as we create it.
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
		Name:      column(firstOf(a.Author.Handle, a.Author.Name, a.Author.ID), maxProfileName),
		FullName:  column(firstOf(a.Author.FullName, a.Author.Name), maxProfileFullName),
		Community: a.Community,
		Contact:   bind("contacts", contact),
	}
	if payload.Units(a.Author.Link) <= payload.MaxProfileLink {
		p.Link = column(a.Author.Link, payload.MaxProfileLink)
	}
	return p
}

// contactRow is a contact as we create it.
type contactRow struct {
	FirstName string `json:"firstname,omitempty"`
	LastName  string `json:"lastname"`
}

// newContact splits the author's name: the last word is the last name, what is before it the first name.
func newContact(a payload.Author) contactRow {
	words := strings.Fields(firstOf(a.FullName, a.Name, a.Handle, a.ID))
	last := len(words) - 1
	if last < 0 {
		return contactRow{LastName: column(a.ID, maxContactName)}
	}
	return contactRow{
		FirstName: column(strings.Join(words[:last], " "), maxContactName),
		LastName:  column(words[last], maxContactName),
	}
}

// firstOf returns the first text in which there is something to read.
func firstOf(texts ...string) string {
	for _, t := range texts {
		if t = strings.TrimSpace(strings.Map(printable, t)); t != "" {
			return t
		}
	}
	return ""
}

// column drops the characters that Dynamics refuses (0x80040278) and cuts to limit UTF-16 units, not within a character.
func column(text string, limit int) string {
	text = strings.Map(printable, text)
	units := 0
	for i, r := range text {
		if units += utf16.RuneLen(r); units > limit {
			return text[:i]
		}
	}
	return text
}

// printable drops the characters that XML 1.0 cannot hold.
func printable(r rune) rune {
	if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
		return -1
	}
	return r
}
