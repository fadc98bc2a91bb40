package console

import (
	"strconv"

	"postlink/worker/console/api"
)

// Parts of requests that several operations have. They are exported because huma passes over embedded types that are not.

// InstanceName names an instance.
type InstanceName struct {
	Instance string `path:"instance" maxLength:"63" doc:"Name of the instance" example:"contoso"`
}

// RecordTypeName names a record type of an instance.
type RecordTypeName struct {
	InstanceName
	Entity string `path:"entity" maxLength:"128" doc:"Logical name of the record type" example:"incident"`
}

// RuleName names a rule.
type RuleName struct {
	Rule string `path:"rule" maxLength:"400" doc:"Name of the rule, escaped as one segment" example:"cancelled-flights"`
}

// PostName names a post.
type PostName struct {
	Post string `path:"post" maxLength:"2000" doc:"@sequence, id, network/id, or the name that answers give it; escaped as one segment" example:"@17"`
}

// LinkName names a link.
type LinkName struct {
	ID string `path:"id" maxLength:"2000" doc:"The link's GUID, or a name of its post, escaped as one segment" example:"7182238c-c81f-5143-a77b-d3d3e3dd76dc"`
}

// LetterName names a dead letter.
type LetterName struct {
	Sequence uint64 `path:"sequence" minimum:"1" doc:"Sequence of the dead letter" example:"3"`
}

// Precondition lets a change happen only to the revision of the catalog that its author saw. It is optional: a
// change without it is validated on the revision in force, which is enough where nothing was looked at before.
type Precondition struct {
	IfMatch string `header:"If-Match" doc:"ETag of the revision that the change is made for; it is refused when there is a newer one" example:"\"17\""`
}

// instanceRequest is about an instance of a revision.
type instanceRequest struct {
	InstanceName
	Precondition
}

// Paging asks for a part of a list.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Most items to answer with"`
	Cursor string `query:"cursor" maxLength:"100" doc:"next_cursor of the page before; absent for the first page" example:"p2n"`
}

// list is a paged list, by the letter that its cursors begin with. A cursor holds where the next page begins: the letter keeps
// one list's from being taken for another's, and clients from counting with it.
//
// A position is the sequence of a post or letter, of the last change of a link's entry, or the age of a rule. Pages begin below
// a position and not after a count, so what arrives meanwhile neither shifts nor repeats a page. Cursors do not expire.
type list byte

const (
	listOfPosts   list = 'p'
	listOfLinks   list = 'l'
	listOfLetters list = 'd'
	listOfRules   list = 'r'
)

const cursorBase = 36

// cursor is what a client gives to read on below a position; empty for 0, at the end of a list.
func (l list) cursor(position uint64) string {
	if position == 0 {
		return ""
	}
	return string(l) + strconv.FormatUint(position, cursorBase)
}

// below is the position of a cursor that a client gave, 0 for none. The error is a *api.Problem for what is no cursor of this list.
func (l list) below(cursor string) (uint64, error) {
	if cursor == "" {
		return 0, nil
	}
	position, err := strconv.ParseUint(cursor[1:], cursorBase, 64)
	if err != nil || position == 0 || cursor[0] != byte(l) {
		return 0, invalid("query.cursor", "it is not a cursor of this list; give next_cursor of the page before, or none to begin at the newest")
	}
	return position, nil
}

// invalid is the problem of a parameter that huma cannot check; message says what is wrong and what to do.
func invalid(location, message string) *api.Problem {
	p := newProblem(api.KindInvalid, "the request was not carried out; correct what errors lists, and send it again")
	p.Errors = []api.InvalidValue{{Location: location, Message: message}}
	return p
}

// body is an answer without headers of its own. huma takes the field Body as what is sent, and the others as headers.
type body[T any] struct {
	Body T
}

// tagged is an answer with the catalog's revision, which can be sent back as If-Match. It is the revision that was read, or the one
// that the change made. The header is left out while there is no revision.
type tagged[T any] struct {
	ETag string `header:"ETag" doc:"Number of the catalog's revision"`
	Body T
}

// added is the answer to a request that added something to the catalog.
type added[T any] struct {
	Location string `header:"Location" doc:"Where it is shown"`
	ETag     string `header:"ETag" doc:"Number of the catalog's revision"`
	Body     T
}

// done is an answer without a body, with the catalog's revision.
type done struct {
	ETag string `header:"ETag" doc:"Number of the catalog's revision"`
}

// file is an answer that is not JSON.
type file struct {
	ContentType string `header:"Content-Type"`
	ETag        string `header:"ETag" doc:"Number of the catalog's revision"`
	Body        []byte
}

// paged is a page of a list; next is where the following one begins, 0 when there is none. Lists are never null.
func paged[T any](items []T, l list, next uint64) api.Page[T] {
	return api.Page[T]{Items: all(items).Items, NextCursor: l.cursor(next)}
}

func all[T any](items []T) api.List[T] {
	if items == nil {
		items = []T{}
	}
	return api.List[T]{Items: items}
}
