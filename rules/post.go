package rules

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"postlink/payload"
)

// env holds the variables of a condition.
type env struct {
	Post *post `expr:"post"`
}

// post is a payload.Post as conditions see it: each field has a value, and the name that users know. The names are a promise to
// rule authors: a catalog with a condition that uses a dropped name is refused. One goroutine at a time uses a post.
type post struct {
	ID             string    `expr:"id"`
	ExternalID     string    `expr:"externalId"`
	Type           string    `expr:"type"`
	ContentType    string    `expr:"contentType"`
	URL            string    `expr:"url"`
	Title          string    `expr:"title"`
	Text           string    `expr:"text"`
	Language       string    `expr:"language"`
	Source         string    `expr:"source"`
	Sentiment      string    `expr:"sentiment"`
	SentimentScore float64   `expr:"sentimentScore"`
	Reach          int       `expr:"reach"`     // 0 when unknown
	Influence      float64   `expr:"influence"` // 0 when unknown
	PublishedAt    time.Time `expr:"publishedAt"`
	AcquiredAt     time.Time `expr:"acquiredAt"`
	Author         author    `expr:"author"`
	Country        string    `expr:"country"`
	Region         string    `expr:"region"`
	City           string    `expr:"city"`
	Topics         []string  `expr:"topics"`
	Tags           []string  `expr:"tags"`
	Origin         string    `expr:"origin"`
	Length         int       `expr:"length"`
	IsRetweet      bool      `expr:"isRetweet"`
	IsPrivate      bool      `expr:"isPrivate"`
	IsReply        bool      `expr:"isReply"`

	Mentions func(keyword string, more ...string) bool `expr:"mentions"`

	title, text words // of Title and Text, for mentions; their memory is used again for the next post
	split       bool  // whether title and text are filled
	work        int   // what is left of the current condition's budget
}

type author struct {
	ID       string `expr:"id"`
	Handle   string `expr:"handle"`
	Name     string `expr:"name"`
	FullName string `expr:"fullName"`
	Link     string `expr:"link"`
	Country  string `expr:"country"`
	Region   string `expr:"region"`
	City     string `expr:"city"`
}

// lowerCase are the fields that are always in lower case: payload.DecodePost lowers them. grammar refuses to compare them with other
// texts.
var lowerCase = map[string]bool{"source": true, "sentiment": true, "language": true, "type": true}

var postNames, authorNames = namesOf(reflect.TypeFor[post]()), namesOf(reflect.TypeFor[author]())

// namesOf lists the fields of a type that rule authors can use.
func namesOf(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		if name := f.Tag.Get("expr"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// set fills the post from a decoded one, and keeps the buffers of the post before it. Words are split when a condition first asks.
// Texts and lists are shared with p, and not changed: conditions cannot write. Mentions is bound to v and stays.
func (v *post) set(p *payload.Post) {
	mentions, title, text := v.Mentions, v.title, v.text
	*v = post{
		ID: p.ID, ExternalID: p.ExternalID, Type: p.Type, ContentType: p.ContentType, URL: p.URL,
		Title: p.Title, Text: p.Text, Language: p.Language, Source: p.Network,
		Sentiment: p.Sentiment, SentimentScore: p.SentimentScore,
		PublishedAt: p.PublishedAt, AcquiredAt: p.AcquiredAt,
		Author: author{
			ID: p.Author.ID, Handle: p.Author.Handle, Name: p.Author.Name, FullName: p.Author.FullName, Link: p.Author.Link,
			Country: p.Author.Location.Country, Region: p.Author.Location.Region, City: p.Author.Location.City,
		},
		Country: p.Location.Country, Region: p.Location.Region, City: p.Location.City,
		Topics: p.Topics, Tags: p.Tags, Origin: p.Origin, Length: p.Length,
		IsRetweet: p.IsShare(), IsPrivate: p.IsPrivate(), IsReply: p.IsReply(),
		Mentions: mentions, title: title, text: text,
	}
	if p.Score != nil {
		v.Reach, v.Influence = p.Score.Reach, p.Score.Influence
	}
}

// clear drops the post, and keeps the buffers.
func (v *post) clear() {
	*v = post{Mentions: v.Mentions, title: v.title.reset(), text: v.text.reset()}
}

// mentions serves calls whose keywords are not constant.
func (v *post) mentions(keyword string, more ...string) bool {
	if v.holds(newKeyword(keyword)) {
		return true
	}
	for _, k := range more {
		if v.holds(newKeyword(k)) {
			return true
		}
	}
	return false
}

// holdsAny reports whether one of the keywords occurs in the title or in the text.
func (v *post) holdsAny(ks []keyword) bool {
	return slices.ContainsFunc(ks, v.holds)
}

// holds reports whether a keyword occurs in the title or in the text. It splits both into words on the first call for a post.
func (v *post) holds(k keyword) bool {
	if !v.split {
		v.title, v.text, v.split = v.title.of(v.Title), v.text.of(v.Text), true
	}
	return k.in(&v.title) || k.in(&v.text)
}

// own replaces the names of our types by the names that rule authors use.
func own(message string) string {
	return strings.NewReplacer("*rules.post", "post", "rules.post", "post", "rules.author", "post.author").Replace(message)
}
