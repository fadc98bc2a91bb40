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

// Answers that are not the Web API's. An *Error wraps them.
var (
	// ErrLogin: the instance redirected, as to a sign-in page. Redirects are never followed.
	ErrLogin = errors.New("the answer is a redirect, as to a sign-in page: check the instance's URL and its authentication")
	// ErrNotDynamics: the answer is a page, an empty success, or JSON of another shape.
	ErrNotDynamics = errors.New("the answer is not from the Dynamics 365 Web API: check the instance's URL")
	// ErrTooLarge: the answer is longer than the client reads.
	ErrTooLarge = errors.New("the answer is too large")
)

// Error codes of Dynamics that decide what happens to a link, in the spelling of Error.Code. Look at the code before the
// status, which Microsoft does not document for all of them.
const (
	CodeDuplicateRecord    = "0x80040237" // a record of that id exists
	CodeObjectDoesNotExist = "0x80040217" // the record, or one that it is bound to, is gone
	CodeNotFoundByKey      = "0x80060891" // the same, in other versions
	CodeSocialCareDisabled = "0x80060621" // the organization refuses social data
	CodeUnknownResource    = "0x80060888" // no such table, or no such column in a query
	CodeDuplicatesFound    = "0x80040333" // duplicate detection refused the record, with status 500
)

const (
	maxMessage    = 500       // characters kept of an error message of Dynamics
	maxErrorBody  = 64 << 10  // bytes read of an error's body
	maxRetryAfter = time.Hour // longest wait that an answer can ask for
)

// Error is an answer of an instance other than success. A request without an answer (DNS, TLS, connect, reset, timeout)
// gives no Error but the network's own error, wrapped.
type Error struct {
	Op       string // what was being done, to which one: "create social activity 5b1f..."
	Instance string // name of the instance
	Status   int    // HTTP status
	Code     string // Dynamics' code, lower case hexadecimal as in 0x80040237; a gateway may send a word; empty when there is none
	Message  string // Dynamics' text in at most 500 characters; never a page. May name columns and values
	// RetryAfter is how long the answer asks to wait, at most one hour. Zero when it does not ask.
	RetryAfter time.Duration
	RequestID  string // the answer's id in Dynamics' traces, else the one that we sent
	Err        error  // ErrLogin, ErrNotDynamics or ErrTooLarge; nil for Dynamics' own answers

	described bool // the body is an error document in one of Dynamics' shapes
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
	e.described = e.Code != "" // a message alone may be a gateway's
}

// code returns an error code in one spelling: it may be sent as hexadecimal text or as a signed or unsigned decimal.
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

// retryAfter reads a Retry-After header: seconds, or a date. A date is compared with the answer's own Date, because the clocks
// of the two machines may differ. A header that it cannot read counts as zero.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		// Compared as floats, since huge numbers overflow a Duration. NaN is zero.
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

// odd is the error for a JSON answer that lacks what the Web API always sends.
func (c *Client) odd(op string) error {
	return &Error{Op: op, Instance: c.opts.Instance.Name, Status: http.StatusOK, Err: ErrNotDynamics}
}
