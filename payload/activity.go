package payload

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// Limits of what Dynamics stores, in UTF-16 code units, and of what people may write.
const (
	MaxSubject     = 200
	MaxDescription = 2000
	MaxNotes       = 250
	MaxPostURL     = 200  // of the column; a longer URL is kept in the additional parameters
	MaxProfileLink = 100  // of the column; a longer link is kept in the additional parameters
	MaxProfileName = 100  // of socialHandle, profileName, retweetedBy_screenName and a social profile, which are cut
	MaxFullName    = 160  // of fullName, retweetedBy_displayName and a social profile's full name, which are cut
	MaxPostID      = 160  // of the column; a longer id is left out
	MaxAdditional  = 8192 // of AdditionalParameters as JSON text

	MaxContactName     = 50  // of a contact's first and last name, each; they are cut
	MaxUniqueProfileID = 100 // of an author's id on a social profile; a longer id is left out
)

// SocialActivity is what a linked post becomes in Dynamics 365, in the spelling of Microsoft's sample payload
// ("Create a record from a post in Social Engagement", 2018-01-31). Build is its only maker, and keeps each field within its limit.
// An empty text is left out of the JSON form. Dynamics wants the additional parameters as JSON text in a column: see Text.
type SocialActivity struct {
	PostMessageType int                  `json:"postmessagetype"` // 0 public, 1 private
	Community       int                  `json:"community"`       // 1 Facebook, 2 Twitter, 0 other
	SentimentValue  *int                 `json:"sentimentvalue"`  // 1, 0, -1, or null when unknown
	PostURL         string               `json:"posturl,omitempty"`
	Description     string               `json:"description,omitempty"`
	Subject         string               `json:"subject,omitempty"`
	PostedOn        string               `json:"postedon,omitempty"` // RFC 3339 with the offset of the post
	Additional      AdditionalParameters `json:"activityadditionalparams"`

	// PostID and Author travel in columns and records of their own, not in the document.
	PostID string `json:"-"` // the post's external id, else its id; empty when over MaxPostID
	Author Author `json:"-"` // whose social profile the activity belongs to; of a retweet the original author, when named
}

// AdditionalParameters are the inner object of the payload: flat, since record-creation rules cannot read nested values. The
// names must not change: such rules of an instance refer to them. Empty texts are left out.
type AdditionalParameters struct {
	TargetEntityName          string     `json:"targetEntityName"`          // always "socialactivity"
	UserPreferredTargetEntity string     `json:"userPreferredTargetEntity"` // logical name of the record to make; Options.Entity
	SocialHandle              string     `json:"socialHandle,omitempty"`
	ProfileName               string     `json:"profileName,omitempty"`
	ProfileLink               string     `json:"profilelink,omitempty"`
	FullName                  string     `json:"fullName,omitempty"`
	Community                 int        `json:"community"`
	InfluenceScore            *Influence `json:"influencescore,omitempty"`
	Notes                     string     `json:"notes,omitempty"`
	RetweetedByDisplayName    string     `json:"retweetedBy_displayName,omitempty"`
	RetweetedByExternalID     string     `json:"retweetedBy_externalId,omitempty"`
	RetweetedByScreenName     string     `json:"retweetedBy_screenName,omitempty"`
	IsRetweet                 bool       `json:"isRetweet"`
	BacklinkPost              string     `json:"MSEbacklinkPost,omitempty"`
	PostURL                   string     `json:"posturl,omitempty"` // only when too long for the posturl column
}

// Text is the JSON text that goes into the activityadditionalparams column: flat, in the sample's order, with <, > and & as
// they are.
func (a AdditionalParameters) Text() string {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a); err != nil {
		panic(err) // strings, numbers and booleans always have a JSON form
	}
	return string(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
}

// Influence is a reach score that keeps a decimal in JSON ("41.0"), as the sample payload does; a float64 would be written as 41.
// 0 is a score like others. A score that is not known is a nil pointer in AdditionalParameters.
type Influence float64

// MarshalJSON writes the score with at least one decimal, and null when it is no finite number.
func (i Influence) MarshalJSON() ([]byte, error) {
	f := float64(i)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	text := strconv.AppendFloat(nil, f, 'f', -1, 64)
	if !bytes.ContainsRune(text, '.') {
		text = append(text, ".0"...)
	}
	return text, nil
}

// Options are what a link adds to the post. Entity is required.
type Options struct {
	Entity   string // logical name of the preferred record type
	Notes    string // at most MaxNotes
	Backlink string // URL of the post in our console
}
