package deliver

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"postlink/dynamics"
	"postlink/worker/deadletter"
)

// Verdict is what follows from an attempt. Only Retry counts the attempt in the ledger: Park, Throttle and Postpone say nothing about
// the link.
type Verdict int

// The verdicts.
const (
	Linked     Verdict = iota // the record is there
	Retry                     // this link again, later; the attempt counts
	Dead                      // a person has to look at this link
	Park                      // the whole instance waits until it answers a probe
	Throttle                  // the whole instance waits for a known time
	Postpone                  // this link again, soon; nothing was found out about it or its instance
	Superseded                // nothing: the entry is of a link that is not the post's current one
	Repeated                  // nothing but to publish again what became of the link
	Foreign                   // the entry is not ours, or the ledger contradicts it: it becomes a dead letter
)

var verdicts = [...]string{"linked", "retry", "dead", "park", "throttle", "postpone", "superseded", "repeated", "foreign"}

func (v Verdict) String() string { return verdicts[v] }

// Outcome is what an attempt means, and what is to be done. It is a value without any connection to the attempt, so that the
// table of outcomes can be tested without an instance.
type Outcome struct {
	Verdict Verdict
	Wait    time.Duration // of Throttle
	Reason  string        // for people: what happened and, where a person can do something, what to check
	Code    string        // what Dynamics calls it, or a word of our own; equal causes have equal codes
	Stack   string        // of a crash
}

// Codes of our own, for what is not a refusal by Dynamics.
const (
	codeUnbuildable     = "unbuildable"      // no social activity can be made of the post
	codeExpired         = "expired"          // not delivered within the maximum age
	codeInstanceDeleted = "instance-deleted" // before the link was delivered
	codeLogin           = "login"            // no token, or it is refused, or the answer is a sign-in page
	codeUnreachable     = "unreachable"      // unknown host, or one that is not to be trusted or is no Web API
	codeUnanswered      = "unanswered"       // no answer, or none that could be read
)

// Error codes of Dataverse that mean a passing fault, whatever HTTP status they come with ("Web service error codes").
const (
	codeUnexpected       = "0x80040216"
	codePluginUnexpected = "0x80040224"
	codeDatabase         = "0x80044150"
)

// defaultThrottle is used when a 429 carries no Retry-After.
const defaultThrottle = 10 * time.Second

// What an attempt can end with besides errors of Dynamics.
var (
	errSuperseded = errors.New("the post has another link by now")
	errRepeated   = errors.New("the link was finished before")
	errAddedAgain = errors.New("the instance was added to the catalog again, which this worker has not heard of yet")
	errDeleted    = errors.New("the instance was deleted before the link was delivered; add it again and redrive this letter, or link the post elsewhere")
)

// postponedError says that an attempt could not be made, or not be finished: NATS failed, or the worker stops.
type postponedError struct{ error }

func (e postponedError) Unwrap() error { return e.error }

// foreignError says that an entry of an outbox was not put there by postlink, or contradicts the ledger.
type foreignError struct{ error }

func (e foreignError) Unwrap() error { return e.error }

// unbuildableError says that no social activity can be made of a post that was matched.
type unbuildableError struct{ error }

func (e unbuildableError) Unwrap() error { return e.error }

// dialError says that no client can be made for an instance.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// crashError says that handling a link crashed.
type crashError struct {
	value any
	stack []byte
}

func (e *crashError) Error() string { return fmt.Sprintf("crash: %v", e.value) }

// failing is for how long the attempts of a link have failed, and for how long they may. The zero value never expires.
type failing struct{ age, most time.Duration }

// classify decides what follows from the end of an attempt. It is the only place that does, and what it does not know means
// Retry. The last failure of a link that has failed for too long is its end. Probes are classified here too, with an empty failing:
// a probe that would be retried parks the instance again.
func classify(err error, link failing) Outcome {
	o := outcome(err)
	if o.Verdict == Retry && link.age > link.most {
		return Outcome{Verdict: Dead, Code: codeExpired,
			Reason: fmt.Sprintf("not delivered within %s; the last attempt said: %s", link.most, o.Reason)}
	}
	return o
}

// outcome goes from our own errors, whose meaning is certain, over the answers of Dynamics, to failures of the network.
func outcome(err error) Outcome {
	if err == nil {
		return Outcome{Verdict: Linked}
	}
	reason := err.Error()
	var (
		answer      *dynamics.Error
		token       *dynamics.TokenError
		crash       *crashError
		unbuildable unbuildableError
		foreign     foreignError
		postponed   postponedError
		dial        dialError
	)
	switch {
	case errors.As(err, &postponed):
		return Outcome{Verdict: Postpone, Reason: reason}
	case errors.Is(err, errSuperseded):
		return Outcome{Verdict: Superseded, Reason: reason}
	case errors.Is(err, errRepeated):
		return Outcome{Verdict: Repeated, Reason: reason}
	case errors.As(err, &foreign):
		return Outcome{Verdict: Foreign, Reason: reason, Code: deadletter.CodeForeign}
	case errors.Is(err, errDeleted):
		return Outcome{Verdict: Dead, Reason: reason, Code: codeInstanceDeleted}
	case errors.As(err, &unbuildable):
		return Outcome{Verdict: Dead, Reason: reason, Code: codeUnbuildable}
	case errors.As(err, &crash):
		return Outcome{Verdict: Dead, Reason: reason, Code: deadletter.CodeCrashed, Stack: string(crash.stack)}
	case errors.Is(err, dynamics.ErrSocialData):
		return Outcome{Verdict: Park, Reason: dynamics.ErrSocialData.Error(), Code: dynamics.CodeSocialCareDisabled}
	case errors.As(err, &answer):
		return answered(answer, reason)
	case errors.As(err, &token), errors.As(err, &dial):
		return Outcome{Verdict: Park, Reason: reason + "; check the instance's auth in the catalog and its secret", Code: codeLogin}
	case unknownHost(err), untrusted(err):
		return Outcome{Verdict: Park, Reason: reason + "; check the instance's url in the catalog", Code: codeUnreachable}
	default:
		return Outcome{Verdict: Retry, Reason: reason, Code: codeUnanswered}
	}
}

// answered classifies what Dynamics answered. The code decides before the status: passing faults of the database and of
// plug-ins come with status 400 too, and no document names the status of an instance whose social care is disabled.
func answered(answer *dynamics.Error, reason string) Outcome {
	o := Outcome{Verdict: Retry, Reason: reason, Code: cmp.Or(answer.Code, fmt.Sprintf("http-%d", answer.Status))}
	park := func(check string) Outcome {
		o.Verdict, o.Reason = Park, o.Reason+check
		return o
	}
	switch {
	case errors.Is(answer, dynamics.ErrLogin):
		o.Code = codeLogin
		return park("")
	case errors.Is(answer, dynamics.ErrNotDynamics) && answer.Status < http.StatusInternalServerError:
		o.Code = codeUnreachable // whatever answers there, it is not the instance
		return park("")
	}
	switch answer.Code {
	case dynamics.CodeSocialCareDisabled:
		o.Reason = dynamics.ErrSocialData.Error()
		return park("")
	case dynamics.CodeDuplicatesFound:
		o.Verdict = Dead
		return o
	case codeUnexpected, codePluginUnexpected, codeDatabase:
		return o
	}
	switch answer.Status {
	case http.StatusTooManyRequests:
		o.Verdict, o.Wait = Throttle, cmp.Or(max(answer.RetryAfter, 0), defaultThrottle)
	case http.StatusUnauthorized:
		o.Code = codeLogin
		return park("; check the instance's auth in the catalog and its secret")
	case http.StatusForbidden:
		return park("; check the security roles of the application user in Dynamics 365")
	case http.StatusBadRequest:
		if answer.Code != "" { // without one it is not Dynamics that refused a field
			o.Verdict = Dead
		}
	case http.StatusRequestEntityTooLarge:
		o.Verdict = Dead
	case http.StatusNotFound:
		if answer.Code == dynamics.CodeUnknownResource {
			return park("; the organization lacks a table that links need")
		}
	}
	return o
}

// unknownHost reports whether a name does not exist. A name server that is late is a failure like any other of the network.
func unknownHost(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && !dns.IsTimeout
}

// untrusted reports whether TLS failed in a way that does not pass by itself: a wrong or expired certificate, or no TLS at all.
func untrusted(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		record       tls.RecordHeaderError
		alert        tls.AlertError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &invalid) || errors.As(err, &record) || errors.As(err, &alert)
}
