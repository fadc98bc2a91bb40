package api

import "strings"

// ProblemType is what the type of every problem begins with; the rest is its kind.
const ProblemType = "urn:postlink:problem:"

// Kinds of problems with the request itself, whatever it asks for.
const (
	KindMalformed       = "malformed-request"
	KindInvalid         = "invalid-request"
	KindUnauthenticated = "unauthenticated"
	KindForbidden       = "forbidden"       // the role does not allow it
	KindForeign         = "foreign-request" // without tokens, only this machine is served
	KindNotFound        = "not-found"       // no such address
	KindMethod          = "method-not-allowed"
	KindSlow            = "request-too-slow"
	KindTooLarge        = "request-too-large"
	KindMediaType       = "unsupported-media-type"
	KindInternal        = "internal"
	KindUnreachable     = "nats-unreachable"
	KindTimeout         = "timeout"
)

// Kinds of problems with the catalog and what stands in it.
const (
	KindRuleUnknown      = "rule-unknown"
	KindInstanceExists   = "instance-exists"
	KindEntityExists     = "entity-exists"
	KindInUse            = "in-use"            // active rules use what was to be removed
	KindRuleUnconfigured = "rule-unconfigured" // the rule's instance or entity cannot take links
	KindCatalogInvalid   = "catalog-invalid"
	KindCatalogChanged   = "catalog-changed" // If-Match names an older revision
	KindCatalogBusy      = "catalog-busy"    // too many changes at once
)

// Kinds of problems with posts, links, dead letters and instances.
const (
	KindPostUnknown      = "post-unknown"   // neither the stream nor the ledger has it
	KindPostAmbiguous    = "post-ambiguous" // several networks have a post with this id
	KindPostInvalid      = "post-invalid"   // the event given cannot be read
	KindPostForgotten    = "post-forgotten" // the ledger knows the post, the stream no longer keeps it
	KindNoCatalog        = "no-catalog"     // no catalog was applied yet
	KindNoDefault        = "no-default"     // no instance was named and none is the default
	KindInstanceUnknown  = "instance-unknown"
	KindInstanceDisabled = "instance-disabled"
	KindInstanceDown     = "instance-down" // Dynamics does not answer as it should
	KindSocialData       = "social-data"   // the organization refuses social data
	KindEntityUnknown    = "entity-unknown"
	KindEntityUnnamed    = "entity-unnamed"   // several are configured and none was named
	KindEntityUnrelated  = "entity-unrelated" // its records cannot belong to a social activity
	KindFieldUnknown     = "field-unknown"
	KindNotesTooLong     = "notes-too-long"
	KindAlreadyLinked    = "already-linked"
	KindLinkUnknown      = "link-unknown"
	KindNotLinked        = "not-linked"
	KindStillQueued      = "still-queued" // the link is still queued
	KindRecordGone       = "record-gone"  // the record was deleted in Dynamics
	KindLetterUnknown    = "dead-letter-absent"
)

// Problem says why a request was refused, as RFC 9457 has it. Type is stable; the texts are for people. Programs branch on Kind and
// not on Status, which several kinds share. Errors, Rules, Link and Catalog are filled in by some kinds only.
type Problem struct {
	Type      string           `json:"type" example:"urn:postlink:problem:already-linked"`
	Title     string           `json:"title" example:"The post is already linked"`
	Status    int              `json:"status" example:"409"`
	Detail    string           `json:"detail" doc:"What happened, and what to do next"`
	RequestID string           `json:"request_id" doc:"Names the request in the log"`
	Errors    []InvalidValue   `json:"errors,omitempty" nullable:"false" doc:"What is wrong with the request"`
	Rules     []string         `json:"rules,omitempty" nullable:"false" doc:"Active rules that use what was to be taken away"`
	Link      *Link            `json:"link,omitempty" doc:"The post's link"`
	Catalog   []CatalogProblem `json:"catalog,omitempty" nullable:"false" doc:"What is wrong with a catalog"`
}

// Error is the problem's detail.
func (p *Problem) Error() string { return p.Detail }

// Kind is what the type ends with, one of the constants above; empty when the type is not one of postlink's.
func (p *Problem) Kind() string {
	kind, ours := strings.CutPrefix(p.Type, ProblemType)
	if !ours {
		return ""
	}
	return kind
}

// InvalidValue is one thing that is wrong with a request.
type InvalidValue struct {
	Location string `json:"location" example:"body.notes"`
	Message  string `json:"message"`
}

// CatalogProblem is one thing that is wrong with a catalog, and where.
type CatalogProblem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Message string `json:"message"`
	Snippet string `json:"snippet,omitempty" doc:"The line it stands in, and a caret under the place"`
}
