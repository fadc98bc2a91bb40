package api

import (
	"encoding/json"
	"time"
)

// The resources of the API, as answers show them. Programs that use the API may decode answers into these types. Times are UTC;
// a member that has no value is absent.

// Page is a part of a list, the newest first. A page of a filtered list may be shorter than asked for, even empty, and still
// have a next one.
type Page[T any] struct {
	Items      []T    `json:"items" nullable:"false"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Give it as cursor to read the next page; absent on the last one"`
}

// List is a list that is never long.
type List[T any] struct {
	Items []T `json:"items" nullable:"false"`
}

// Instance is an organization that posts are linked to, with its observed status.
type Instance struct {
	Name     string   `json:"name" example:"contoso"`
	URL      string   `json:"url" example:"https://contoso.crm.dynamics.com"`
	Enabled  bool     `json:"enabled" doc:"Whether it takes new links"`
	Default  bool     `json:"default" doc:"Whether it is preselected for manual links"`
	Auth     Auth     `json:"auth"`
	Entities []Entity `json:"entities" nullable:"false" doc:"Record types that posts may be linked to, by name"`

	Organization string    `json:"organization,omitempty" doc:"Id of the organization; absent until the instance was seen"`
	Version      string    `json:"version,omitempty" doc:"Version of the organization" example:"9.2.24044.00186"`
	LastSeen     time.Time `json:"last_seen,omitzero" doc:"When it last answered"`
	RefreshedAt  time.Time `json:"refreshed_at,omitzero" doc:"When its metadata was last read"`
	Missing      []string  `json:"missing,omitempty" nullable:"false" doc:"Entities that are gone in Dynamics, but that active rules use"`

	Parked         string    `json:"parked,omitempty" doc:"Why it is sent nothing for now; absent while it is not parked"`
	ParkedSince    time.Time `json:"parked_since,omitzero"`
	NextTry        time.Time `json:"next_try,omitzero" doc:"When a parked instance is tried again"`
	ThrottledUntil time.Time `json:"throttled_until,omitzero" doc:"Until when it asked to be sent nothing (429)"`
	Retrying       string    `json:"retrying,omitempty" doc:"Why its links are tried again; absent while deliveries succeed"`
	RetryingSince  time.Time `json:"retrying_since,omitzero"`
	Waiting        uint64    `json:"waiting,omitempty" doc:"How many links wait to be delivered; absent when none"`
	Oldest         time.Time `json:"oldest,omitzero" doc:"Since when the oldest of them waits"`
	Links          *int      `json:"links,omitempty" doc:"How many active links it has; only when they were asked for"`
}

// Auth says how to log in to an instance. Secrets themselves are never part of it, only where they are.
type Auth struct {
	Kind         string `json:"kind" enum:"client_credentials,static" doc:"client_credentials for real organizations, static for a sandbox"`
	Tenant       string `json:"tenant,omitempty" doc:"Directory id or domain in Microsoft Entra ID"`
	ClientID     string `json:"client_id,omitempty" doc:"Application id of the app registration"`
	ClientSecret Secret `json:"client_secret,omitzero"`
	Authority    string `json:"authority,omitempty" doc:"Login host of a sovereign cloud"`
	Token        Secret `json:"token,omitzero" doc:"Of kind static"`
}

// Secret is where a secret is: an environment variable or a file of the server, one of them.
type Secret struct {
	Env  string `json:"env,omitempty" doc:"Name of an environment variable" example:"CONTOSO_SECRET"`
	File string `json:"file,omitempty" doc:"Path of a file"`
}

// NewInstance asks for an instance to be added.
type NewInstance struct {
	Name    string `json:"name" minLength:"1" maxLength:"63" doc:"Lower case letters, digits and dashes; it can never change" example:"contoso"`
	URL     string `json:"url" minLength:"1" maxLength:"2000" doc:"Address of the organization" example:"https://contoso.crm.dynamics.com"`
	Default bool   `json:"default,omitempty" doc:"Preselect it for manual links, in place of any other"`
	Enabled *bool  `json:"enabled,omitempty" doc:"Whether it takes links; true when absent"`
	Auth    Auth   `json:"auth"`
}

// InstanceChange changes how an instance is reached. Absent members stay as they are.
type InstanceChange struct {
	URL  string `json:"url,omitempty" maxLength:"2000" doc:"Address of the organization"`
	Auth *Auth  `json:"auth,omitempty" doc:"Replaces the whole of it"`
}

// Entity is a record type configured for an instance.
type Entity struct {
	Name   string   `json:"name" minLength:"1" maxLength:"128" doc:"Logical name" example:"incident"`
	Fields []string `json:"fields,omitempty" maxItems:"200" nullable:"false" doc:"Fields that record details show, in order; absent: a choice of postlink's" example:"[\"title\",\"ticketnumber\"]"`
}

// Fields is the whole ordered list of fields that record details show of an entity.
type Fields struct {
	Fields []string `json:"fields" maxItems:"200" nullable:"false" doc:"Logical names, in order" example:"[\"title\",\"ticketnumber\"]"`
}

// RecordType is a record type that an instance has and that may be configured as an entity.
type RecordType struct {
	Name       string `json:"name" doc:"Logical name" example:"incident"`
	Label      string `json:"label" doc:"What people call it" example:"Case"`
	Custom     bool   `json:"custom"`
	Configured bool   `json:"configured" doc:"Whether it is an entity of the instance already"`
}

// Field is a field that a record type has.
type Field struct {
	Name  string `json:"name" doc:"Logical name" example:"ticketnumber"`
	Label string `json:"label" doc:"What people call it" example:"Case Number"`
	Type  string `json:"type" doc:"Attribute type of Dynamics" example:"String"`
}

// Refresh is the result of reading the metadata of an instance again.
type Refresh struct {
	At           time.Time `json:"at"`
	Organization string    `json:"organization"`
	Version      string    `json:"version"`
	Removed      []Missing `json:"removed" nullable:"false" doc:"What is gone in Dynamics and was removed here"`
	Kept         []Missing `json:"kept" nullable:"false" doc:"Entities that are gone in Dynamics and were kept here, since active rules use them"`
	Refuses      string    `json:"refuses,omitempty" doc:"Why the organization takes no links although it answers"`
}

// Missing is an entity, or a field of one, that was configured and that Dynamics has not.
type Missing struct {
	Entity string   `json:"entity"`
	Field  string   `json:"field,omitempty" doc:"Absent when the whole entity is gone"`
	Rules  []string `json:"rules,omitempty" nullable:"false" doc:"Active rules that use the entity"`
}

// Rule is a rule of the catalog with what became of the posts that it took.
type Rule struct {
	Name      string    `json:"name" example:"cancelled-flights"`
	Active    bool      `json:"active"`
	Condition string    `json:"condition" example:"post.mentions(\"cancelled\")"`
	Instance  string    `json:"instance" example:"contoso"`
	Entity    string    `json:"entity" example:"incident"`
	Notes     string    `json:"notes,omitempty"`
	Age       uint64    `json:"age" doc:"Rank by age: of several rules that match, the active one with the highest acts"`
	LastMatch time.Time `json:"last_match,omitzero"`
	Counts    Counts    `json:"counts" doc:"Of the past 7 days"`
}

// Counts say what became of the posts of a rule.
type Counts struct {
	Matched int `json:"matched" doc:"Links decided"`
	Linked  int `json:"linked" doc:"Of these, records made"`
	Dead    int `json:"dead" doc:"Of these, given up"`
	Errors  int `json:"errors" doc:"Posts on which the condition failed"`
}

// Post is a post of the stream.
type Post struct {
	Name        string    `json:"name" doc:"How to name the post in paths and requests" example:"~dHdpdHRlcg.MQ"`
	Sequence    uint64    `json:"sequence,omitzero" doc:"Place in the posts stream; absent for a post that never was there"`
	ArrivedAt   time.Time `json:"arrived_at,omitzero"`
	Problem     string    `json:"problem,omitempty" doc:"Why the post cannot be read, or shown"`
	Network     string    `json:"network,omitempty" example:"twitter"`
	ID          string    `json:"id,omitempty"`
	ExternalID  string    `json:"external_id,omitempty" doc:"Id on its network"`
	Type        string    `json:"type,omitempty" example:"reply"`
	ContentType string    `json:"content_type,omitempty"`
	URL         string    `json:"url,omitempty"`
	Title       string    `json:"title,omitempty"`
	Text        string    `json:"text,omitempty"`
	Language    string    `json:"language,omitempty" example:"en"`
	Sentiment   string    `json:"sentiment,omitempty" example:"negative"`
	PublishedAt time.Time `json:"published_at,omitzero"`
	Author      *Author   `json:"author,omitempty" doc:"Absent when the network names no author"`
	Tags        []string  `json:"tags,omitempty" nullable:"false"`
	Topics      []string  `json:"topics,omitempty" nullable:"false"`

	Linked bool  `json:"linked" doc:"Whether the post has a link that is active, so that it cannot be linked again"`
	Link   *Link `json:"link,omitempty" doc:"The newest link; absent when it was never linked"`

	Dead       bool   `json:"dead,omitempty" doc:"A person has to look at the post: it cannot be read, its handling crashed, or its link was given up"`
	DeadLetter uint64 `json:"dead_letter,omitempty" doc:"Sequence of its dead letter; absent once that was dropped, and in lists where a link is dead" example:"3"`
	Reason     string `json:"reason,omitempty" doc:"Why it is dead"`
}

// Author is the author of a post.
type Author struct {
	ID       string `json:"id,omitempty"`
	Handle   string `json:"handle,omitempty"`
	Name     string `json:"name,omitempty"`
	FullName string `json:"full_name,omitempty"`
	URL      string `json:"url,omitempty"`
}

// PostHistory is a post with all that was decided about it.
type PostHistory struct {
	Post
	Decision *Decision `json:"decision,omitempty" doc:"Who decided on the newest link; absent when it was never linked"`
	Links    []Link    `json:"links" nullable:"false" doc:"All links, the oldest first"`
}

// Decision is the decision on a link: by whom, when, and under which catalog.
type Decision struct {
	Rule    string    `json:"rule,omitempty" doc:"The rule that took the post; absent for a manual link"`
	Catalog string    `json:"catalog,omitempty" doc:"Id of the catalog revision in force then"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

// Link ties a post to a social activity, and to the record that Dynamics made of it.
type Link struct {
	ID         string    `json:"id" doc:"GUID of the social activity"`
	Post       string    `json:"post" doc:"How to name the post in paths and requests" example:"~dHdpdHRlcg.MQ"`
	Network    string    `json:"network,omitempty" example:"twitter"`
	PostID     string    `json:"post_id"`
	Sequence   uint64    `json:"sequence,omitzero" doc:"Place of the post in the posts stream"`
	Generation int       `json:"generation" doc:"How many times the post has been linked"`
	State      string    `json:"state" enum:"queued,linked,dead,removed,broken"`
	Instance   string    `json:"instance" doc:"Present name of the instance, else the name it had"`
	Gone       bool      `json:"gone,omitempty" doc:"The instance is not in the catalog any more"`
	Entity     string    `json:"entity" example:"incident"`
	Rule       string    `json:"rule,omitempty" doc:"Absent for a manual link"`
	Catalog    string    `json:"catalog,omitempty" doc:"Id of the catalog revision under which it was decided"`
	Notes      string    `json:"notes,omitempty"`
	Record     *Record   `json:"record,omitempty" doc:"The target record, once one was seen"`
	Attempts   int       `json:"attempts,omitempty" doc:"Deliveries that failed"`
	LastError  string    `json:"last_error,omitempty"`
	Reason     string    `json:"reason,omitempty" doc:"Why it is in its state"`
	Code       string    `json:"code,omitempty" doc:"Error code of Dynamics, or HTTP status, of the reason" example:"0x80048408"`
	DecidedAt  time.Time `json:"decided_at"`
	ChangedAt  time.Time `json:"changed_at" doc:"When it last changed its state"`
	Steps      []Step    `json:"steps" nullable:"false" doc:"Who did what when, the oldest first"`
}

// Step is one change of a link's state.
type Step struct {
	State  string    `json:"state" enum:"queued,linked,dead,removed,broken"`
	At     time.Time `json:"at"`
	By     string    `json:"by" doc:"A person, or rule NAME, or postlink"`
	Reason string    `json:"reason,omitempty"`
	Code   string    `json:"code,omitempty" doc:"Error code of Dynamics, or HTTP status, of the reason" example:"0x80048408"`
}

// Record names a record of an instance.
type Record struct {
	Entity string `json:"entity" example:"incident"`
	ID     string `json:"id"`
}

// NewLink asks for a post to be linked by hand. Either Post or Event is given.
type NewLink struct {
	Post     string          `json:"post,omitempty" maxLength:"1000" doc:"The post: @sequence, id, or network/id" example:"@17"`
	Event    json.RawMessage `json:"event,omitempty" doc:"The post itself, as an MSE event"`
	Instance string          `json:"instance,omitempty" maxLength:"63" doc:"The default one when absent"`
	Entity   string          `json:"entity,omitempty" maxLength:"128" doc:"The only configured one when absent"`
	Notes    string          `json:"notes,omitempty" doc:"At most 250 characters"`
}

// What the fields of LinkDetails are of.
const (
	OfRecord         = "record"          // the target record
	OfSocialActivity = "social-activity" // the activity itself, which nothing was made of
)

// LinkDetails are the present values of a link's record.
type LinkDetails struct {
	Link    Link         `json:"link"`
	Of      string       `json:"of" enum:"record,social-activity" doc:"Whose fields these are"`
	Comment string       `json:"comment,omitempty" doc:"Why it is the social activity, when it is"`
	Record  Record       `json:"record"`
	Label   string       `json:"label" doc:"What people call the record's type" example:"Case"`
	URL     string       `json:"url" doc:"Where people open the record"`
	Fields  []FieldValue `json:"fields" nullable:"false" doc:"In the configured order"`
}

// FieldValue is one field of a record, as Dynamics shows it.
type FieldValue struct {
	Name    string  `json:"name" example:"ticketnumber"`
	Label   string  `json:"label" example:"Case Number"`
	Value   string  `json:"value"`
	Record  *Record `json:"record,omitempty" doc:"What a lookup points to"`
	Missing bool    `json:"missing,omitempty" doc:"The record type has no such field, or it cannot be read"`
}

// LinkURL is where people open the record of a link.
type LinkURL struct {
	URL string `json:"url"`
}

// DeadLetter is a post or a link that a person has to look at.
type DeadLetter struct {
	Sequence      uint64    `json:"sequence" doc:"Names the letter in paths" example:"3"`
	At            time.Time `json:"at" doc:"When it was given up"`
	Kind          string    `json:"kind" enum:"post,link"`
	Reason        string    `json:"reason"`
	Code          string    `json:"code,omitempty" doc:"Error code of Dynamics, or HTTP status, of the reason" example:"0x80048408"`
	Instance      string    `json:"instance,omitempty" doc:"Of a link"`
	Entity        string    `json:"entity,omitempty" doc:"Of a link" example:"incident"`
	Rule          string    `json:"rule,omitempty" doc:"Of a link; absent when it was made by hand"`
	Post          string    `json:"post,omitempty" doc:"How to name its post in paths and requests: @sequence when the post's id cannot be read" example:"@17"`
	PostSequence  uint64    `json:"post_sequence,omitempty" doc:"Place of the post in the posts stream"`
	Network       string    `json:"network,omitempty"`
	PostID        string    `json:"post_id,omitempty"`
	Generation    int       `json:"generation,omitempty" doc:"Of a link: how many times its post had been linked"`
	Attempts      int       `json:"attempts,omitempty" doc:"Of a link: deliveries that failed"`
	FirstFailedAt time.Time `json:"first_failed_at,omitzero" doc:"Of a link: when the first of them failed"`
	Cut           bool      `json:"cut,omitempty" doc:"The post was too large to be kept whole, and cannot be sent again"`
}

// DeadLetterContent is a dead letter with the post that it holds.
type DeadLetterContent struct {
	DeadLetter
	Event string `json:"event" doc:"The post as it arrived"`
}

// DeadCount is how many dead letters there are.
type DeadCount struct {
	Count int `json:"count"`
}

// Redriven is what became of a dead letter that was sent on its way again.
type Redriven struct {
	Kind string `json:"kind" enum:"post,link"`
	Link *Link  `json:"link,omitempty" doc:"Of a link: the new one"`
}

// Revision names a revision of the catalog, with its author, time and message.
type Revision struct {
	Number  uint64    `json:"number" doc:"Grows with every change; also the ETag"`
	ID      string    `json:"id" doc:"SHA-256 of the content"`
	Author  string    `json:"author"`
	Message string    `json:"message,omitempty"`
	At      time.Time `json:"at"`
}

// Catalog is the catalog in force, in short.
type Catalog struct {
	Revision
	Instances int `json:"instances"`
	Rules     int `json:"rules"`
	Active    int `json:"active" doc:"Rules that are active"`
}

// Plan is what a change of the whole catalog changes.
type Plan struct {
	Revision *Revision    `json:"revision,omitempty" doc:"In force now; absent while there is none"`
	Changes  []Difference `json:"changes" nullable:"false"`
}

// Difference is one thing that a change of the catalog adds, removes or changes.
type Difference struct {
	Op       string   `json:"op" enum:"added,removed,changed"`
	Kind     string   `json:"kind" enum:"instance,entity,rule"`
	Name     string   `json:"name"`
	Instance string   `json:"instance,omitempty" doc:"Of an entity"`
	Links    int      `json:"links,omitempty" doc:"Of an instance that is removed: how many links it has, which are forgotten with it"`
	Details  []string `json:"details,omitempty" nullable:"false" doc:"What changed in it, in words"`
	Text     string   `json:"text" doc:"The whole of it in one line"`
}

// LinkEvent says that a link changed its state.
type LinkEvent struct {
	ID         string    `json:"id" doc:"GUID of the social activity"`
	State      string    `json:"state" enum:"queued,linked,dead,removed,broken"`
	Generation int       `json:"generation"`
	Post       string    `json:"post" doc:"How to name the post in paths and requests"`
	Network    string    `json:"network,omitempty"`
	PostID     string    `json:"post_id"`
	Sequence   uint64    `json:"sequence,omitzero"`
	Instance   string    `json:"instance"`
	Entity     string    `json:"entity"`
	Rule       string    `json:"rule,omitempty"`
	URL        string    `json:"url,omitempty" doc:"Of the record, once there is one"`
	By         string    `json:"by"`
	Reason     string    `json:"reason,omitempty"`
	At         time.Time `json:"at"`
}

// Alive is the first event of the stream. It is sent again while there are no others, to keep the connection open.
type Alive struct {
	At time.Time `json:"at"`
}
