package payload

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"
)

// Limits of what a post may bring.
const (
	MaxID    = 512 // bytes of Post.ID; a longer id is an error
	MaxNames = 400 // of Post.Tags and of Post.Topics, which conditions walk without a time limit; the rest is dropped
)

// DecodeError says why a document is no post. Its text names fields and types and quotes nothing from the post, so that it may be
// logged and shown.
type DecodeError struct {
	Field  string // where, such as "post.sentiment.polarity" or "post.tags[3].tag"; "post" when it is the whole
	Reason string // what is wrong there
}

func (e *DecodeError) Error() string { return e.Field + ": " + e.Reason }

// DecodePost reads one post: an MSE event {"metadata": ..., "post": {...}}, or the object under "post" alone.
//
// It is strict about the fields that it reads. Other fields are only checked to be JSON. Names
// are compared exactly, in the case of MSE's documentation; when one comes twice in an object, the last counts. A missing field,
// and a null, is the zero value. Ids may be strings or whole numbers. Dates need an offset; a blank one is missing, as is
// midnight of the year 1 in UTC, which programs write for "none". Characters that Dynamics refuses (NUL and other controls)
// are dropped from texts and are an error in ids. A byte order mark before the document is ignored.
//
// The post keeps nothing of data, which the caller may use again. An event is walked once; an object without an envelope is
// walked twice, because only the end of it shows that it has no envelope.
//
// Every error is a *DecodeError: for a document that is empty, truncated, not UTF-8, followed by another, or nested 64 levels
// deep; for a value of the wrong kind in a field of Post; for an id that is missing, blank, or over MaxID bytes.
func DecodePost(data []byte) (*Post, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &DecodeError{Field: "post", Reason: "the text is empty"}
	}
	r := newReader(data, 1)
	p, found := r.event()
	if !found {
		// This is a post without an envelope, or no post. Reading it as a post names the broken field in both cases.
		r = newReader(data, 0)
		p = r.post()
	}
	r.end()
	if r.err != nil {
		return nil, r.err
	}
	switch {
	case p.ID == "":
		return nil, &DecodeError{Field: "post.id", Reason: "missing or blank"}
	case len(p.ID) > MaxID:
		return nil, &DecodeError{Field: "post.id", Reason: strconv.Itoa(len(p.ID)) + " bytes long, want at most " + strconv.Itoa(MaxID)}
	}
	return &p, nil
}

// event reads an envelope. found is false when it has no post, or a null for one.
func (r *reader) event() (p Post, found bool) {
	for ok := r.object(); ok; ok = r.next() {
		if string(r.name()) != "post" {
			r.skip()
			continue
		}
		found = r.peek() != 'n'
		p = r.post()
	}
	return p, found
}

// post reads the object under post. Its fields come in any order, so what depends on two of them is made at the end.
func (r *reader) post() Post {
	var p Post
	var author profile
	var shared original
	for ok := r.object(); ok; ok = r.next() {
		switch string(r.name()) {
		case "id":
			p.ID = r.id()
		case "externalId":
			p.ExternalID = r.id()
		case "postType":
			p.Type = r.word()
		case "contentType":
			p.ContentType = r.text()
		case "uri":
			p.URL = strings.TrimSpace(r.text())
		case "title":
			p.Title = r.text()
		case "content":
			p.Text = r.member("text")
		case "language":
			p.Language = strings.ToLower(strings.TrimSpace(r.member("code")))
		case "source":
			p.Network = strings.ToLower(strings.TrimSpace(r.member("param")))
		case "sentiment":
			p.Sentiment, p.SentimentScore = r.sentiment()
		case "score":
			p.Score = r.score()
		case "publicationDate":
			p.PublishedAt = r.date()
		case "acquisitionDate":
			p.AcquiredAt = r.date()
		case "profile":
			author = r.profile()
		case "postLocation":
			p.Location = r.location()
		case "matchingSearchTopics":
			p.Topics = r.names("")
		case "tags":
			p.Tags = r.names("tag")
		case "origin":
			p.Origin = r.member("name")
		case "fullContentLength":
			p.Length = r.whole()
		case "referencedPost":
			p.Referenced, shared = r.reference()
		default:
			r.skip()
		}
	}
	// The source, which decides about links, may stand after the profiles, and the type after the texts.
	p.Author = author.on(p.Network)
	if p.Referenced != nil {
		p.Referenced.Author = shared.author.on(p.Network)
		if p.IsShare() {
			p.Text = whole(p.Text, shared.text)
		}
	}
	return p
}

// member reads an object of which one text matters.
func (r *reader) member(name string) (text string) {
	for ok := r.object(); ok; ok = r.next() {
		if string(r.name()) == name {
			text = r.text()
		} else {
			r.skip()
		}
	}
	return text
}

func (r *reader) sentiment() (polarity string, value float64) {
	for ok := r.object(); ok; ok = r.next() {
		switch string(r.name()) {
		case "polarity":
			polarity = r.word()
		case "value":
			value = r.number()
		default:
			r.skip()
		}
	}
	return polarity, value
}

// score is nil unless the event gives one of the two scores.
func (r *reader) score() *Score {
	s := Score{Unrated: true}
	reached := false
	for ok := r.object(); ok; ok = r.next() {
		switch string(r.name()) {
		case "normalScore":
			reached = r.peek() != 'n'
			s.Reach = r.whole()
		case "providerScore":
			s.Unrated = r.peek() == 'n'
			s.Influence = r.number()
		default:
			r.skip()
		}
	}
	if s.Unrated && !reached {
		return nil
	}
	return &s
}

func (r *reader) location() (l Location) {
	for ok := r.object(); ok; ok = r.next() {
		switch string(r.name()) {
		case "countryRegion":
			l.Country = r.text()
		case "adminDistrict":
			l.Region = r.text()
		case "locality":
			l.City = r.text()
		default:
			r.skip()
		}
	}
	return l
}

// names reads the names of an array's objects, or of the objects that they hold under inner. Elements without a name, and
// those after the first MaxNames, leave none.
func (r *reader) names(inner string) (names []string) {
	for ok := r.array(); ok; ok = r.element() {
		if len(names) == MaxNames {
			r.skip()
			continue
		}
		var name string
		if inner == "" {
			name = r.member("name")
		} else {
			for ok := r.object(); ok; ok = r.next() {
				if string(r.name()) == inner {
					name = r.member("name")
				} else {
					r.skip()
				}
			}
		}
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// original is what the decoder needs of a referenced post besides its Reference.
type original struct {
	author profile
	text   string
}

func (r *reader) reference() (*Reference, original) {
	if r.err == nil && r.peek() == 'n' {
		r.null()
		return nil, original{}
	}
	var ref Reference
	var o original
	for ok := r.object(); ok; ok = r.next() {
		switch string(r.name()) {
		case "id":
			ref.ID = r.id()
		case "externalId":
			ref.ExternalID = r.id()
		case "profile":
			o.author = r.profile()
		case "content":
			o.text = r.originalText()
		default:
			r.skip()
		}
	}
	return &ref, o
}

// originalText reads the text of a referenced post. It is optional, so values of other kinds are skipped without an error.
func (r *reader) originalText() (text string) {
	if r.peek() != '{' {
		r.skip()
		return ""
	}
	for ok := r.object(); ok; ok = r.next() {
		if string(r.name()) == "text" && r.peek() == '"' {
			text = r.text()
		} else {
			r.skip()
		}
	}
	return text
}

// profile is an author as the event writes it, with up to four ids. Which of them becomes Author.ID, and what the link is, is
// known only with the network of the post: see on.
type profile struct {
	Author
	uri, id string
}

func (r *reader) profile() (p profile) {
	for ok := r.object(); ok; ok = r.next() {
		switch string(r.name()) {
		case "externalId":
			p.ExternalID = r.id()
		case "uri":
			p.uri = r.id()
		case "id":
			p.id = r.id()
		case "externalHandle":
			p.Handle = strings.TrimPrefix(strings.TrimSpace(r.text()), "@")
		case "name":
			p.Name = strings.TrimSpace(r.text())
		case "displayName":
			p.FullName = strings.TrimSpace(r.text())
		case "profileLocation":
			p.Location = r.location()
		default:
			r.skip()
		}
	}
	return p
}

// on returns the author with id and link, which depend on the network.
func (p profile) on(network string) Author {
	a := p.Author
	for _, id := range [...]string{a.ExternalID, p.uri, p.id, a.Handle} {
		if id != "" && !strings.HasSuffix(id, "#") { // "mse-fb://#" without an id after it names nobody
			a.ID = id
			break
		}
	}
	switch {
	case len(p.uri) > 4 && strings.EqualFold(p.uri[:4], "http") && webURL(p.uri) != "":
		a.Link = webURL(p.uri)
	case network == "twitter" && a.Handle != "":
		a.Link = "http://www.twitter.com/" + url.PathEscape(a.Handle)
	case network == "facebook" && a.ExternalID != "":
		a.Link = "http://www.facebook.com/" + url.PathEscape(a.ExternalID)
	}
	return a
}
