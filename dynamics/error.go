package dynamics

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Answers that do not come from a Dynamics 365 organization, or not as an answer to us. They are found in an *Error.
var (
	// ErrLogin: the instance redirected, as to a sign-in page. Redirects are never followed.
	ErrLogin = errors.New("the answer is a redirect, as to a sign-in page: check the instance's URL and its authentication")
	// ErrNotDynamics: what answered is not a Web API: a page, an empty success, or JSON of another shape.
	ErrNotDynamics = errors.New("the answer is not from the Dynamics 365 Web API: check the instance's URL")
	// ErrTooLarge: the answer is longer than Options.MaxBody.
	ErrTooLarge = errors.New("the answer is too large")
)

// Error codes of Dynamics that decide what happens to a link, in the spelling of Error.Code.
const (
	CodeDuplicateRecord     = "0x80040237" // a record of that id exists
	CodeObjectDoesNotExist  = "0x80040217" // the record, or one that it is bound to, is gone
	CodeNotFoundByKey       = "0x80060891" // likewise, in other versions
	CodeSocialCareDisabled  = "0x80060621" // the organization refuses social data
	CodeUnknownResource     = "0x80060888" // no such table, or no such column in a query
	CodeDuplicatesFound     = "0x80040333" // duplicate detection refused the record, with status 500
	CodeThrottledRequests   = "0x80072322" // too many requests in five minutes
	CodeThrottledTime       = "0x80072321" // too much execution time in five minutes
	CodeThrottledConcurrent = "0x80072326" // too many requests at once
)

const (
	maxMessage    = 500       // characters kept of an error message of Dynamics
	maxErrorBody  = 64 << 10  // bytes read of an error's body
	maxRetryAfter = time.Hour // longest wait that an answer can ask for
)

// Error is an answer of an instance other than success. What did not bring an answer at all (DNS, TLS, connect, reset,
// timeout) is not an Error, but is wrapped as it is.
type Error struct {
	Op       string // what was being done, to which one: "create social activity 5b1f..."
	Instance string // name of the instance
	Status   int    // HTTP status
	Code     string // Dynamics' code, lower case hexadecimal as in 0x80040237; a gateway may send a word; empty when there is none
	Message  string // Dynamics' text in at most 500 characters; never a page. May name columns and values
	// RetryAfter is how long the answer asks to wait, from 0 to one hour whatever it says. Zero when it does not say.
	RetryAfter time.Duration
	// RetryAfterSent reports whether the answer has a Retry-After, understood or not.
	RetryAfterSent bool
	RequestID      string // the answer's id in Dynamics' traces, else the one that we sent
	Err            error  // ErrLogin, ErrNotDynamics or ErrTooLarge; nil for Dynamics' own answers

	described bool // the body is an error in one of Dynamics' shapes, and not of a gateway that resembles them
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s: status %d", e.Op, e.Instance, e.Status)
	if text := http.StatusText(e.Status); text != "" {
		b.WriteString(" " + text)
	}
	if e.Code != "" {
		b.WriteString(", code " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Gone reports whether Dynamics says that the record asked for, or one that the request binds to, does not exist.
func (e *Error) Gone() bool {
	return e.Err == nil && (e.Code == CodeObjectDoesNotExist || e.Code == CodeNotFoundByKey)
}

// exists reports whether the answer to a create-only request says that the record is there already. The documentation shows
// an empty code where live organizations send CodeDuplicateRecord.
func (e *Error) exists() bool {
	return e.Err == nil && e.Status == http.StatusPreconditionFailed && (e.Code == CodeDuplicateRecord || e.Code == "")
}

// describe fills in code and message from an error's body, if it has one of the two shapes that Dynamics uses.
func (e *Error) describe(body []byte) {
	var answer struct {
		Error *struct {
			Code    json.RawMessage `json:"code"`
			Message string          `json:"message"`
		} `json:"error"`
		Message          string          `json:"Message"` // the older shape
		ExceptionMessage string          `json:"ExceptionMessage"`
		ErrorCode        json.RawMessage `json:"ErrorCode"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return
	}
	if answer.Error != nil {
		e.described = true
		e.Code, e.Message = code(answer.Error.Code), excerpt(answer.Error.Message)
		return
	}
	e.Code, e.Message = code(answer.ErrorCode), excerpt(cmp.Or(answer.Message, answer.ExceptionMessage))
	e.described = e.Code != "" // gateways answer with a message alone, too
}

// code brings an error code, sent as hexadecimal text or as a signed or unsigned decimal, to one spelling.
func code(raw json.RawMessage) string {
	text := strings.ToLower(strings.Trim(string(raw), `" `))
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n != 0 {
		return fmt.Sprintf("0x%08x", uint32(n))
	}
	if text == "null" {
		return ""
	}
	return excerpt(text)
}

// excerpt keeps the start of a message, on one line.
func excerpt(message string) string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(message, "�")), " ")
	n := 0
	for i := range text {
		if n++; n > maxMessage {
			return text[:i] + "…"
		}
	}
	return text
}

// isPage reports whether a body is a web page, whatever its content type says.
func isPage(contentType string, body []byte) bool {
	return strings.HasPrefix(contentType, "text/html") || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// retryAfter reads a Retry-After header: seconds, or a date, which counts from the answer's own Date so that the two clocks
// need not agree. What it cannot read is zero.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		// Compared as numbers, since huge ones overflow a Duration. NaN is no number of seconds.
		switch {
		case seconds >= maxRetryAfter.Seconds():
			return maxRetryAfter
		case seconds > 0:
			return time.Duration(seconds * float64(time.Second))
		}
		return 0
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(h.Get("Date")); err == nil {
		now = sent
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
