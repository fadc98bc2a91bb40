package worker

import "postlink/worker/ledger"

// Kinds of refusal. They are stable names: programs branch on them.
const (
	RefusedPostUnknown      = "post-unknown"       // no such post in the stream or the ledger
	RefusedPostAmbiguous    = "post-ambiguous"     // the id stands for posts of several networks
	RefusedPostInvalid      = "post-invalid"       // the post given cannot be read
	RefusedPostForgotten    = "post-forgotten"     // the ledger knows the post, but the stream keeps it no longer
	RefusedNoCatalog        = "no-catalog"         // nothing is configured yet
	RefusedNoDefault        = "no-default"         // no instance was named and none is the default
	RefusedInstanceUnknown  = "instance-unknown"   // not configured
	RefusedInstanceDisabled = "instance-disabled"  // takes no new links, shows no details
	RefusedInstanceDown     = "instance-down"      // does not answer as it should
	RefusedSocialData       = "social-data"        // the organization refuses social data
	RefusedEntityUnknown    = "entity-unknown"     // not configured for the instance
	RefusedEntityUnnamed    = "entity-unnamed"     // several are configured and none was named
	RefusedEntityUnrelated  = "entity-unrelated"   // cannot be the record of a social activity
	RefusedFieldUnknown     = "field-unknown"      // the entity has no such field
	RefusedNotes            = "notes-too-long"     // over 250 characters
	RefusedAlreadyLinked    = "already-linked"     // the post has a link
	RefusedNotLinked        = "not-linked"         // the post has none that could be shown or removed
	RefusedNotSettled       = "not-settled"        // the link is still on its way
	RefusedRecordGone       = "record-gone"        // the link was just found broken
	RefusedLetterUnknown    = "dead-letter-absent" // no such dead letter
)

// Refusal says why something that a person asked for cannot be done, and what to do instead. Nothing was changed, except that
// a link may have been found broken.
type Refusal struct {
	Kind  string        // one of the kinds above
	Text  string        // for people
	Entry *ledger.Entry // of the post, where that helps
}

func (r *Refusal) Error() string { return r.Text }
