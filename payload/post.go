package payload

import (
	"cmp"
	"time"
)

// Kinds of post, as the event's postType spells them, lower case.
const (
	TypePost           = "post"
	TypeReply          = "reply"
	TypeShare          = "share"
	TypePrivateMessage = "privatemessage"
)

// Post is one social post, decoded from an MSE event (JSON v2.1). A field the event does not carry is its zero value. Texts have
// their full length, without the characters that Dynamics refuses. A post is identified by Network and ID together: two networks
// may use the same id.
type Post struct {
	ID          string // post.id: unique among the ingestion's posts, trimmed and NFC-normalised, never empty
	ExternalID  string // post.externalId: the post's id on its network
	Type        string // post.postType, lower case: one of the Type constants, or what a newer event says
	ContentType string // post.contentType as sent: POST, IMAGE, VIDEO, LINK
	URL         string // post.uri
	Title       string // post.title
	Text        string // post.content.text; of a share that shows only the start of its original, the whole original
	Language    string // post.language.code, lower case: ISO 639-1
	Network     string // post.source.param, lower case: twitter, facebook, youtubevideos, blogs, board, ...; rules call it post.source

	Sentiment      string  // post.sentiment.polarity, lower case: positive, neutral, negative, or empty
	SentimentScore float64 // post.sentiment.value, -1 to 1; 0 when not given, too
	Score          *Score  // post.score; nil when no provider scored the post

	PublishedAt time.Time // post.publicationDate, in the offset it was sent with
	AcquiredAt  time.Time // post.acquisitionDate, likewise

	Author     Author     // post.profile: for a share the person who shared it
	Location   Location   // post.postLocation
	Topics     []string   // names of post.matchingSearchTopics
	Tags       []string   // names of post.tags
	Origin     string     // post.origin.name: the page or board it stood on
	Length     int        // post.fullContentLength, in characters
	Referenced *Reference // post.referencedPost: what a reply answers or a share repeats
}

// IsShare reports whether the post repeats somebody else's post, on any network.
func (p *Post) IsShare() bool { return p.Type == TypeShare }

// IsReply reports whether the post answers another post.
func (p *Post) IsReply() bool { return p.Type == TypeReply }

// IsPrivate reports whether the post is a private message.
func (p *Post) IsPrivate() bool { return p.Type == TypePrivateMessage }

// Score is a provider's rating of the post or its author at the time of publication.
type Score struct {
	Reach     int     // score.normalScore, 1 (lowest) to 5; 0 when not given
	Influence float64 // score.providerScore, usually 0 to 99
	Unrated   bool    // the event gives no providerScore: Influence is unknown, not 0
}

// Author is a profile on a network. Every field may be empty: since 2018 Facebook hides most authors. An author without an ID has
// no identity, and gets no records of its own in Dynamics.
type Author struct {
	ID         string // what identifies the author on the network: externalId, else uri, else id, else the handle
	ExternalID string // profile.externalId
	Handle     string // profile.externalHandle, without a leading @
	Name       string // profile.name: the name that MSE shows, often "Display Name @handle"
	FullName   string // profile.displayName
	Link       string // the author's page: profile.uri when that is an http address, else built for Facebook and Twitter
	Location   Location
}

// Known reports whether the event says who the author is.
func (a Author) Known() bool {
	return a.ID != "" || a.Handle != "" || a.Name != "" || a.FullName != ""
}

// Names returns the first and last name of a contact for the author. It takes the full name, else the name, the handle or the id:
// the first of them that has a letter or a digit. The last word without emojis at its end is the last name. The last name is empty
// only when all four are.
func (a Author) Names() (first, last string) {
	names := [...]string{oneLine(Clean(a.FullName)), oneLine(Clean(a.Name)), oneLine(Clean(a.Handle)), oneLine(Clean(a.ID))}
	for _, name := range names {
		if first, last := lastName(name); last != "" {
			return first, last
		}
	}
	return "", cmp.Or(names[:]...)
}

// Location is where a post or its author is, as the network says. The names are free text and of any language; any may be empty.
type Location struct {
	Country string // countryRegion
	Region  string // adminDistrict
	City    string // locality
}

// Reference is the post that another one answers or repeats. Its text is not kept: of a clipped share it has become Post.Text.
type Reference struct {
	ID         string
	ExternalID string
	Author     Author
}
