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

// logicalName is how Dynamics names tables, in no more characters than it allows.
var logicalName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,127}$`)

// Values of community.
const (
	communityOther = iota
	communityFacebook
	communityTwitter
)

// Build makes the social activity that p becomes. It decides what the sample payload leaves open:
//
//   - Texts are cut to their limits without an ellipsis and never within a character. Notes are not cut: over MaxNotes they
//     are a *NotesError. An entity that is not a logical name is an *EntityError. There is no other error.
//   - The subject is the title, else the start of the text.
//   - What is unknown is left out, except the sentiment, which is null. So is what Dynamics would refuse: a URL that is not an
//     absolute http or https one, a date before 1753, an influence outside 0 to 1,000,000,000.
//   - Of a share, the author is the original one when the event names it, else the one who shared; who shared is in
//     retweetedBy_* in any case.
//   - The additional parameters are kept within MaxAdditional (see fit), so that the rest of the activity always arrives.
func Build(p *Post, t Target) (SocialActivity, error) {
	if !logicalName.MatchString(t.Entity) {
		return SocialActivity{}, &EntityError{Entity: t.Entity}
	}
	notes := clean(t.Notes)
	if n := Units(notes); n > MaxNotes {
		return SocialActivity{}, &NotesError{Length: n}
	}
	author := p.Author
	if p.IsShare() && p.Referenced != nil && p.Referenced.Author.Known() {
		author = p.Referenced.Author
	}
	text := clean(p.Text)
	title := clean(p.Title)
	if strings.TrimSpace(title) == "" {
		title = text
	}
	a := SocialActivity{
		Community:      community(p.Source),
		SentimentValue: sentimentValue(p.Sentiment),
		PostURL:        webURL(p.URL),
		Description:    cut(text, MaxDescription),
		Subject:        cut(title, MaxSubject),
		PostedOn:       postedOn(p.PublishedAt),
		PostID:         clean(cmp.Or(p.ExternalID, p.ID)),
		Author:         author,
	}
	if p.IsPrivate() {
		a.PostMessageType = 1
	}
	name := screenName(author)
	a.Additional = AdditionalParameters{
		TargetEntityName:          "socialactivity",
		UserPreferredTargetEntity: t.Entity,
		SocialHandle:              name,
		ProfileName:               name,
		FullName:                  displayName(author),
		Community:                 a.Community,
		InfluenceScore:            influence(p.Score),
		Notes:                     notes,
		IsRetweet:                 p.IsShare(),
		BacklinkPost:              clean(t.Backlink),
	}
	if a.Community != communityOther {
		a.Additional.ProfileLink = clean(author.Link)
	}
	if p.IsShare() {
		a.Additional.RetweetedByDisplayName = displayName(p.Author)
		a.Additional.RetweetedByExternalID = clean(p.Author.ExternalID)
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

// fit empties fields until the text is within MaxAdditional, which takes a URL of thousands of characters to overstep. Of the
// fields whose loss is enough it takes the least useful; when none alone is enough, the least useful goes and the next are
// tried. Handle and notes always stay: their own limits bound them.
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

// screenName is what identifies an author to readers.
func screenName(a Author) string {
	return cut(clean(cmp.Or(a.Handle, a.Name, a.ExternalID)), MaxProfileName)
}

func displayName(a Author) string {
	return cut(clean(cmp.Or(a.FullName, a.Name)), MaxFullName)
}

func community(source string) int {
	switch source {
	case "facebook":
		return communityFacebook
	case "twitter":
		return communityTwitter
	}
	return communityOther
}

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

// influence keeps a score that the influencescore column can hold.
func influence(s *Score) *Influence {
	if s == nil || s.Unrated || !(s.Influence >= 0 && s.Influence <= 1e9) {
		return nil
	}
	return new(Influence(s.Influence))
}

// webURL keeps a URL that a person can follow from Dynamics without harm.
func webURL(raw string) string {
	raw = strings.ReplaceAll(strings.TrimSpace(clean(raw)), " ", "%20")
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
