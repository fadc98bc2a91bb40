package payload

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// NotesError says that notes are too long. They are refused, not cut: what a person wrote is sent whole or not at all.
type NotesError struct {
	Length int // in UTF-16 units, as Dynamics counts
}

func (e *NotesError) Error() string {
	return fmt.Sprintf("notes are %d characters long (an emoji counts as two), at most %d can be sent: shorten them by %d", e.Length, MaxNotes, e.Length-MaxNotes)
}

// EntityError says that a name cannot be that of a Dynamics record type.
type EntityError struct {
	Entity string
}

func (e *EntityError) Error() string {
	return fmt.Sprintf("entity %q is no logical name of a record type: use the lower-case name that Dynamics shows for the table, such as incident, lead or new_ticket", e.Entity)
}

var logicalName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,127}$`)

// LogicalName reports whether a name can be that of a table or column of Dynamics. Whether an instance has it is known to its
// metadata only.
func LogicalName(name string) bool { return logicalName.MatchString(name) }

// Values of community that every instance has. Customer Service adds values for chat channels, but none for the other networks
// that posts come from, such as videos, blogs and boards.
const (
	communityOther = iota
	communityFacebook
	communityTwitter
)

// Build makes the social activity that p becomes. It decides what the sample payload leaves open:
//
//   - Texts are cut to their limits without an ellipsis and never within a character. Notes are not cut: over MaxNotes they
//     are a *NotesError. An entity that is not a logical name is an *EntityError. There is no other error.
//   - The subject is the title, else the start of the text, in one line.
//   - What is unknown is left out, except the sentiment, which is null. So is what Dynamics would refuse: a URL that is not an
//     absolute http or https one, a date before 1753, an influence outside 0 to 1,000,000,000.
//   - Of a share, the author is the original one when the event names it, else the one who shared; who shared is in
//     retweetedBy_* in any case.
//   - The additional parameters are kept within MaxAdditional (see fit), so that the rest of the activity always arrives.
//
// Dynamics refuses a whole record for one text that is too long. So a text goes into its column cut, and a URL or an id, which is
// worth nothing when it is cut, goes in whole or not at all.
func Build(p *Post, o Options) (SocialActivity, error) {
	if !LogicalName(o.Entity) {
		return SocialActivity{}, &EntityError{Entity: o.Entity}
	}
	notes := Clean(o.Notes)
	if n := Units(notes); n > MaxNotes {
		return SocialActivity{}, &NotesError{Length: n}
	}
	author := p.Author
	if p.IsShare() && p.Referenced != nil && p.Referenced.Author.Known() {
		author = p.Referenced.Author
	}
	text := Clean(p.Text)
	a := SocialActivity{
		Community:      community(p.Network),
		SentimentValue: sentimentValue(p.Sentiment),
		PostURL:        webURL(p.URL),
		Description:    Cut(text, MaxDescription),
		Subject:        Cut(cmp.Or(oneLine(Clean(p.Title)), oneLine(text)), MaxSubject),
		PostedOn:       postedOn(p.PublishedAt),
		PostID:         Clean(cmp.Or(p.ExternalID, p.ID)),
		Author:         author,
	}
	if p.IsPrivate() {
		a.PostMessageType = 1
	}
	name := screenName(author)
	a.Additional = AdditionalParameters{
		TargetEntityName:          "socialactivity",
		UserPreferredTargetEntity: o.Entity,
		SocialHandle:              name,
		ProfileName:               name,
		FullName:                  displayName(author),
		Community:                 a.Community,
		InfluenceScore:            influence(p.Score),
		Notes:                     notes,
		IsRetweet:                 p.IsShare(),
		BacklinkPost:              Clean(o.Backlink),
	}
	if a.Community != communityOther {
		a.Additional.ProfileLink = Clean(author.Link)
	}
	if p.IsShare() {
		a.Additional.RetweetedByDisplayName = displayName(p.Author)
		a.Additional.RetweetedByExternalID = Clean(p.Author.ExternalID)
		a.Additional.RetweetedByScreenName = screenName(p.Author)
	}
	if Units(a.PostURL) > MaxPostURL {
		a.Additional.PostURL, a.PostURL = a.PostURL, ""
	}
	if Units(a.PostID) > MaxPostID {
		a.PostID = ""
	}
	a.Additional.fit()
	return a, nil
}

// fit empties fields until the text is within MaxAdditional. Only URLs of thousands of characters exceed it. fit empties the least
// useful field that is enough alone; when none is, it empties the least useful one and tries again. Handle and notes always stay:
// they have limits of their own. The length is that of the encoded text, since escapes make it longer than its fields, so every
// trial encodes the parameters again: 36 times at the worst, once for a usual post.
func (a *AdditionalParameters) fit() {
	expendable := []*string{ // least useful first
		&a.RetweetedByDisplayName, &a.RetweetedByScreenName, &a.RetweetedByExternalID,
		&a.FullName,
		&a.ProfileLink, &a.PostURL,
		&a.BacklinkPost,
	}
	for Units(a.Text()) > MaxAdditional && len(expendable) > 0 {
		enough := 0
		for i, field := range expendable {
			kept := *field
			*field = ""
			fits := Units(a.Text()) <= MaxAdditional
			*field = kept
			if fits {
				enough = i
				break
			}
		}
		*expendable[enough] = ""
		expendable = append(expendable[:enough], expendable[enough+1:]...)
	}
}

// screenName is the name that readers know an author by.
func screenName(a Author) string {
	return Cut(Clean(cmp.Or(a.Handle, a.Name, a.ExternalID)), MaxProfileName)
}

func displayName(a Author) string {
	return Cut(Clean(cmp.Or(a.FullName, a.Name)), MaxFullName)
}

func community(network string) int {
	switch network {
	case "facebook":
		return communityFacebook
	case "twitter":
		return communityTwitter
	}
	return communityOther
}

// sentimentValue returns nil for a polarity that is missing or unknown, since 0 means neutral.
func sentimentValue(polarity string) *int {
	switch polarity {
	case "positive":
		return new(1)
	case "neutral":
		return new(0)
	case "negative":
		return new(-1)
	}
	return nil
}

// influence returns the score, or nil when the influencescore column cannot hold it. The comparison is negated so that NaN, for
// which every comparison is false, is refused as well.
func influence(s *Score) *Influence {
	if s == nil || s.Unrated || !(s.Influence >= 0 && s.Influence <= 1e9) {
		return nil
	}
	return new(Influence(s.Influence))
}

// webURL returns an absolute http or https URL, which is safe to follow from Dynamics; else "". Blanks around it are removed,
// and spaces within it are encoded. Nothing else is repaired.
func webURL(raw string) string {
	raw = strings.ReplaceAll(strings.TrimSpace(Clean(raw)), " ", "%20")
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return raw
}

// postedOn writes whole seconds in the post's own offset; in UTC when the offset is more than the 14 hours of .NET.
func postedOn(t time.Time) string {
	if _, offset := t.Zone(); offset < -14*3600 || offset > 14*3600 {
		t = t.UTC()
	}
	if t.Year() < 1753 || t.Year() > 9999 { // what SQL Server's datetime holds
		return ""
	}
	return t.Format(time.RFC3339)
}
