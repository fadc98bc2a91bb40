package desk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"postlink/dynamics"
	"postlink/worker/ledger"
)

// Kinds of refusal. They are stable names: programs branch on them.
const (
	RefusedPostUnknown      = "post-unknown"       // no such post in the stream or the ledger
	RefusedPostAmbiguous    = "post-ambiguous"     // the id stands for posts of several networks
	RefusedPostInvalid      = "post-invalid"       // the post cannot be read, or not be queued
	RefusedPostForgotten    = "post-forgotten"     // the ledger knows the post, but its text is kept nowhere
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
	RefusedNotes            = "notes-too-long"     // longer than payload.MaxNotes
	RefusedAlreadyLinked    = "already-linked"     // the post has a link, or got one meanwhile
	RefusedNotLinked        = "not-linked"         // the post has none that could be shown or removed
	RefusedStillQueued      = "still-queued"       // the link still waits to be delivered
	RefusedRecordGone       = "record-gone"        // the link was just found broken
	RefusedLinkUnknown      = "link-unknown"       // no such link among the newest
	RefusedLetterUnknown    = "dead-letter-absent" // no such dead letter
)

// Refusal says why something that a person asked for cannot be done, and what to do instead. Nothing was changed, except that
// a link may have been found broken. Callers branch on Kind; Text may change, and may quote what Dynamics answered.
type Refusal struct {
	Kind  string        // one of the kinds above
	Text  string        // for people
	Entry *ledger.Entry // of the post, where that helps
}

func (r *Refusal) Error() string { return r.Text }

func refuse(kind, format string, args ...any) *Refusal {
	return &Refusal{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// of adds the entry of a post to a refusal.
func (r *Refusal) of(entry *ledger.Entry) *Refusal {
	r.Entry = entry
	return r
}

// is reports whether an error is a refusal of a kind.
func is(err error, kind string) bool {
	refusal, ok := errors.AsType[*Refusal](err)
	return ok && refusal.Kind == kind
}

// unanswered classifies for people what classify of package deliver does for links, but changes nothing: a person may ask again.
// It is what people read when an instance did not give what they asked for. It says whether the instance answered, and
// what to check. ctx is the caller's: when it ended, that is the error.
func unanswered(ctx context.Context, instance string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask instance %s: %w", instance, context.Cause(ctx))
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok { // there is no client to ask with
		return refusal
	}
	if answer, ok := errors.AsType[*dynamics.Error](err); ok {
		if answer.Code == dynamics.CodeSocialCareDisabled {
			return refuse(RefusedSocialData, "%v", dynamics.ErrSocialData)
		}
		return refuse(RefusedInstanceDown, "instance %s answered, but not with what was asked for: %v; %s", instance, err, remedy(answer))
	}
	what, check := "did not answer", "try again, and check its url in the catalog and the network"
	if _, ok := errors.AsType[*dynamics.TokenError](err); ok {
		what, check = "was not asked, since there is no access token for it", "check its auth in the catalog and its secret"
	} else if _, ok := errors.AsType[*net.DNSError](err); ok {
		what, check = "cannot be found", "check its url in the catalog"
	} else if errors.Is(err, context.DeadlineExceeded) {
		what, check = "did not answer in time", "try again later"
	}
	return refuse(RefusedInstanceDown, "instance %s %s: %v; %s", instance, what, err, check)
}

// remedy is what a person can do about an answer.
func remedy(answer *dynamics.Error) string {
	switch {
	case answer.Err != nil:
		return "check its url in the catalog"
	case answer.Status == http.StatusTooManyRequests && answer.RetryAfter > 0:
		return fmt.Sprintf("it has too many requests; try again in %s", answer.RetryAfter.Round(time.Second))
	case answer.Status == http.StatusTooManyRequests || answer.Status >= http.StatusInternalServerError:
		return "try again later"
	case answer.Status == http.StatusUnauthorized:
		return "check its auth in the catalog and its secret"
	case answer.Status == http.StatusForbidden:
		return "check the security roles of the application user in Dynamics 365"
	default:
		return "look into the organization with its Dynamics 365 administrator"
	}
}

// client is the client of an instance. Making one asks nobody; it fails when the secret of the instance cannot be read.
func (o *Options) client(in dynamics.Instance) (*dynamics.Client, error) {
	client, err := o.Client(in)
	if err != nil {
		return nil, refuse(RefusedInstanceDown, "instance %s cannot be asked: %v; check its url and auth in the catalog, and its secret", in.Name, err)
	}
	return client, nil
}
