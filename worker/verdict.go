package worker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"postlink/dynamics"
)

// verdict is what follows from how a delivery ended.
type verdict int

const (
	delivered verdict = iota // the record is there
	retry                    // this link again, later
	dead                     // a person has to look at this link
	park                     // the whole instance waits until it answers a probe
	throttle                 // the whole instance waits for a known time
)

func (v verdict) String() string {
	return [...]string{"delivered", "retry", "dead", "park", "throttle"}[v]
}

// judgement is a verdict with its details.
type judgement struct {
	verdict verdict
	wait    time.Duration // of throttle
	reason  string        // for people: what happened and, where a person can do something, what to check
}

// Error codes of Dataverse that mean a passing fault, whatever HTTP status they come with ("Web service error codes").
const (
	codeUnexpected       = "0x80040216"
	codePluginUnexpected = "0x80040224"
	codeDatabase         = "0x80044150"
)

// untoldWait is how long a throttled instance is left alone that does not say how long.
const untoldWait = 10 * time.Second

// SocialDataDisabled is what people read when an instance refuses social data.
const SocialDataDisabled = "Dynamics 365 can’t receive social data from postlink. Ask the Dynamics 365 administrator to review the setting " +
	"that prevents social data (Disable Social Engagement) in the organization's system settings."

var errSocialDataDisabled = errors.New(SocialDataDisabled) //nolint:staticcheck // two sentences for people, not a link in a chain

// unbuildableError says that no social activity can be made of a post that was matched.
type unbuildableError struct{ err error }

func (e *unbuildableError) Error() string { return e.err.Error() }
func (e *unbuildableError) Unwrap() error { return e.err }

// crashError says that handling a link crashed.
type crashError struct {
	value any
	stack []byte
}

func (e *crashError) Error() string { return fmt.Sprintf("crash: %v\n%s", e.value, e.stack) }

// judge decides what follows from the end of a delivery. It is the only place that does, and what it does not know means
// retry.
func judge(err error) judgement {
	if err == nil {
		return judgement{verdict: delivered}
	}
	reason := errorText(err)
	var (
		answer      *dynamics.Error
		token       *dynamics.TokenError
		unbuildable *unbuildableError
		crash       *crashError
	)
	switch {
	case errors.As(err, &unbuildable), errors.As(err, &crash):
		return judgement{verdict: dead, reason: reason}
	case errors.Is(err, errSocialDataDisabled):
		return judgement{verdict: park, reason: SocialDataDisabled}
	case errors.As(err, &answer):
		return judgeAnswer(answer, reason)
	case errors.As(err, &token):
		return judgement{verdict: park, reason: reason + "; check the instance's auth in the catalog and its secret"}
	case unknownHost(err), untrusted(err):
		return judgement{verdict: park, reason: reason + "; check the instance's url in the catalog"}
	default:
		return judgement{verdict: retry, reason: reason}
	}
}

func judgeAnswer(answer *dynamics.Error, reason string) judgement {
	if errors.Is(answer, dynamics.ErrLogin) || errors.Is(answer, dynamics.ErrNotDynamics) && answer.Status < http.StatusInternalServerError {
		return judgement{verdict: park, reason: reason}
	}
	switch answer.Code {
	case dynamics.CodeSocialCareDisabled:
		return judgement{verdict: park, reason: SocialDataDisabled}
	case dynamics.CodeDuplicatesFound:
		return judgement{verdict: dead, reason: reason}
	case codeUnexpected, codePluginUnexpected, codeDatabase:
		return judgement{verdict: retry, reason: reason}
	}
	switch answer.Status {
	case http.StatusTooManyRequests:
		wait := answer.RetryAfter
		if wait <= 0 {
			wait = untoldWait
		}
		return judgement{verdict: throttle, wait: wait, reason: reason}
	case http.StatusUnauthorized:
		return judgement{verdict: park, reason: reason + "; check the instance's auth in the catalog and its secret"}
	case http.StatusForbidden:
		return judgement{verdict: park, reason: reason + "; check the security roles of the application user in Dynamics 365"}
	case http.StatusBadRequest:
		if answer.Code != "" { // without one it is not Dynamics that refused a field
			return judgement{verdict: dead, reason: reason}
		}
	case http.StatusRequestEntityTooLarge:
		return judgement{verdict: dead, reason: reason}
	case http.StatusNotFound:
		if answer.Code == dynamics.CodeUnknownResource {
			return judgement{verdict: park, reason: reason + "; the organization lacks a table that links need"}
		}
	}
	return judgement{verdict: retry, reason: reason}
}

func unknownHost(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && !dns.IsTimeout
}

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
