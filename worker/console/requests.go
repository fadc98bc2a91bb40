package console

// Parts of requests that several have. They are exported since huma passes over embedded types that are not.

// InstanceName names an instance.
type InstanceName struct {
	Instance string `path:"instance" maxLength:"63" example:"contoso"`
}

// RecordTypeName names a record type of an instance.
type RecordTypeName struct {
	InstanceName
	Entity string `path:"entity" maxLength:"128" example:"incident"`
}

// RuleName names a rule.
type RuleName struct {
	Rule string `path:"rule" maxLength:"400" example:"cancelled-flights"`
}

// PostName names a post.
type PostName struct {
	Post string `path:"post" maxLength:"2000" doc:"@sequence, id, network/id, or the name that answers give it; escaped as one segment" example:"@17"`
}

// LetterName names a dead letter.
type LetterName struct {
	Sequence uint64 `path:"sequence" minimum:"1" example:"3"`
}

// Paging asks for a part of a list.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Most items to answer with"`
	Cursor uint64 `query:"cursor" doc:"next_cursor of the page before"`
}

// Precondition lets a change happen only to the revision of the catalog that its author saw.
type Precondition struct {
	IfMatch string `header:"If-Match" doc:"ETag of the revision that the change is made for; it is refused when there is a newer one" example:"\"17\""`
}

// instanceChange changes an instance.
type instanceChange struct {
	InstanceName
	Precondition
}
