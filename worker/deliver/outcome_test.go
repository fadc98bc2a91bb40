package deliver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"postlink/dynamics"
	"postlink/worker/deliver"
)

// answer is what Dynamics answered, as the client returns it.
func answer(status int, code string) error {
	return fmt.Errorf("deliver: %w", &dynamics.Error{Op: "create", Instance: "contoso", Status: status, Code: code, Message: "text"})
}

func TestEveryEndOfAnAttemptHasItsConsequence(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err     error
		verdict deliver.Verdict
		code    string
		reason  string // a part of it
		wait    time.Duration
	}{
		"success": {nil, deliver.Linked, "", "", 0},

		"a field that is refused":          {answer(400, "0x80044331"), deliver.Dead, "0x80044331", "0x80044331: text", 0},
		"an unknown column":                {answer(400, "0x80060888"), deliver.Dead, "0x80060888", "text", 0},
		"a plug-in that refused":           {answer(400, "0x80040265"), deliver.Dead, "0x80040265", "text", 0},
		"a body that is too large":         {answer(413, ""), deliver.Dead, "http-413", "413", 0},
		"a duplicate that detection found": {answer(500, "0x80040333"), deliver.Dead, "0x80040333", "text", 0},

		"social data refused":                      {answer(400, "0x80060621"), deliver.Park, "0x80060621", "Dynamics 365 can’t receive social data from postlink", 0},
		"social data refused, whatever the status": {answer(503, "0x80060621"), deliver.Park, "0x80060621", "can’t receive social data", 0},
		"an organization that says so":             {fmt.Errorf("ask: %w", dynamics.ErrSocialData), deliver.Park, "0x80060621", "Dynamics 365 can’t receive", 0},
		"a token that is refused twice":            {answer(401, ""), deliver.Park, "login", "check the instance's auth", 0},
		"a token that is refused with a code":      {answer(401, "0x80072560"), deliver.Park, "login", "check the instance's auth", 0},
		"no token":                                 {&dynamics.TokenError{Instance: "contoso", Status: 401, Code: "invalid_client"}, deliver.Park, "login", "invalid_client", 0},
		"no secret to get a token with":            {deliver.ErrDial, deliver.Park, "login", "TOKEN is not set; check the instance's auth", 0},
		"a redirect to a login":                    {&dynamics.Error{Status: 302, Err: dynamics.ErrLogin}, deliver.Park, "login", "sign-in page", 0},
		"a privilege that is missing":              {answer(403, "0x80040220"), deliver.Park, "0x80040220", "security roles", 0},
		"a table that is missing":                  {answer(404, "0x80060888"), deliver.Park, "0x80060888", "lacks a table", 0},
		"a page instead of an answer":              {&dynamics.Error{Status: 200, Err: dynamics.ErrNotDynamics}, deliver.Park, "unreachable", "check the instance's URL", 0},
		"a page that says not found":               {&dynamics.Error{Status: 404, Err: dynamics.ErrNotDynamics}, deliver.Park, "unreachable", "check the instance's URL", 0},
		"a host that does not exist":               {&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}, deliver.Park, "unreachable", "check the instance's url", 0},
		"a certificate that has expired":           {&tls.CertificateVerificationError{Err: errors.New("expired")}, deliver.Park, "unreachable", "check the instance's url", 0},
		"a certificate of nobody known":            {fmt.Errorf("get: %w", x509.UnknownAuthorityError{}), deliver.Park, "unreachable", "authority", 0},
		"a certificate of another host":            {fmt.Errorf("get: %w", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}), deliver.Park, "unreachable", "", 0},
		"a server that does not speak TLS":         {tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, deliver.Park, "unreachable", "TLS", 0},
		"a handshake that the server refuses":      {tls.AlertError(40), deliver.Park, "unreachable", "handshake", 0},

		"throttled":                               {&dynamics.Error{Status: 429, Code: "0x80072322", RetryAfter: 7 * time.Second}, deliver.Throttle, "0x80072322", "429", 7 * time.Second},
		"throttled, without a word for how long":  {answer(429, ""), deliver.Throttle, "http-429", "429", 10 * time.Second},
		"throttled until a time that has gone by": {&dynamics.Error{Status: 429, RetryAfter: -time.Second}, deliver.Throttle, "http-429", "429", 10 * time.Second},

		"a time-out of the server":                   {answer(408, ""), deliver.Retry, "http-408", "", 0},
		"an error of the server":                     {answer(500, ""), deliver.Retry, "http-500", "", 0},
		"a server that is not available":             {answer(503, ""), deliver.Retry, "http-503", "", 0},
		"a page of a gateway":                        {&dynamics.Error{Status: 502, Err: dynamics.ErrNotDynamics}, deliver.Retry, "http-502", "", 0},
		"a 400 that is not from Dynamics":            {answer(400, ""), deliver.Retry, "http-400", "", 0},
		"a 404 that is not from Dynamics":            {answer(404, ""), deliver.Retry, "http-404", "", 0},
		"a plug-in that failed unexpectedly":         {answer(400, "0x80040224"), deliver.Retry, "0x80040224", "", 0},
		"an unexpected error with status 400":        {answer(400, "0x80040216"), deliver.Retry, "0x80040216", "", 0},
		"a database that is busy":                    {answer(400, "0x80044150"), deliver.Retry, "0x80044150", "", 0},
		"an attempt that took too long":              {fmt.Errorf("create: %w", context.DeadlineExceeded), deliver.Retry, "unanswered", "deadline", 0},
		"a connection that was reset":                {&net.OpError{Op: "read", Err: errors.New("reset")}, deliver.Retry, "unanswered", "reset", 0},
		"a connection that is refused":               {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, deliver.Retry, "unanswered", "refused", 0},
		"a name server that does not answer in time": {&net.DNSError{Err: "timeout", Name: "x", IsTimeout: true}, deliver.Retry, "unanswered", "", 0},
		"something that was never seen before":       {errors.New("new"), deliver.Retry, "unanswered", "new", 0},

		"a post of which nothing can be made":       {deliver.ErrUnbuildable, deliver.Dead, "unbuildable", "251 characters", 0},
		"a crash":                                   {deliver.ErrCrash, deliver.Dead, "crashed", "crash: index out of range", 0},
		"an instance that was deleted":              {deliver.ErrDeleted, deliver.Dead, "instance-deleted", "add it again", 0},
		"an entry of somebody else":                 {deliver.ErrForeign, deliver.Foreign, "foreign-entry", "no header", 0},
		"an entry of a former link":                 {deliver.ErrSuperseded, deliver.Superseded, "", "", 0},
		"an entry of a link that was finished":      {deliver.ErrRepeated, deliver.Repeated, "", "", 0},
		"NATS that does not answer":                 {deliver.ErrPostponed, deliver.Postpone, "", "NATS", 0},
		"a stop in the middle, whatever else it is": {fmt.Errorf("%w: %w", deliver.ErrPostponed, answer(400, "0x80044331")), deliver.Postpone, "", "", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := deliver.Classify(test.err, 0, time.Hour)
			if o.Verdict != test.verdict || o.Code != test.code || o.Wait != test.wait || !strings.Contains(o.Reason, test.reason) {
				t.Errorf("%s, code %q, after %s because %q; want %s, code %q, after %s because of %q",
					o.Verdict, o.Code, o.Wait, o.Reason, test.verdict, test.code, test.wait, test.reason)
			}
			if (o.Stack != "") != errors.Is(test.err, deliver.ErrCrash) {
				t.Errorf("stack %q", o.Stack)
			}
		})
	}
}

func TestOnlyALinkThatWouldBeTriedAgainDiesOfAge(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err     error
		age     time.Duration
		verdict deliver.Verdict
		code    string
	}{
		"a failure at the age that is allowed": {answer(503, ""), time.Hour, deliver.Retry, "http-503"},
		"a failure at a greater age":           {answer(503, ""), time.Hour + 1, deliver.Dead, "expired"},
		"an unknown failure at a greater age":  {errors.New("new"), 2 * time.Hour, deliver.Dead, "expired"},
		"a throttled link of a greater age":    {answer(429, ""), 2 * time.Hour, deliver.Throttle, "http-429"},
		"a parked link of a greater age":       {answer(403, ""), 2 * time.Hour, deliver.Park, "http-403"},
		"a success at a greater age":           {nil, 2 * time.Hour, deliver.Linked, ""},
		"a stop at a greater age":              {deliver.ErrPostponed, 2 * time.Hour, deliver.Postpone, ""},
		"a refusal at a greater age":           {answer(400, "0x80044331"), 2 * time.Hour, deliver.Dead, "0x80044331"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := deliver.Classify(test.err, test.age, time.Hour)
			if o.Verdict != test.verdict || o.Code != test.code {
				t.Errorf("%s, code %q; want %s, code %q", o.Verdict, o.Code, test.verdict, test.code)
			}
			if o.Code == "expired" && (!strings.Contains(o.Reason, "within 1h0m0s") || !strings.Contains(o.Reason, test.err.Error())) {
				t.Errorf("reason %q", o.Reason)
			}
		})
	}
}

func TestPausesDoubleUpToTheLongest(t *testing.T) {
	t.Parallel()
	p := deliver.Pauses{First: time.Second, Most: 10 * time.Second}
	for attempt, want := range map[int]float64{1: 1, 2: 2, 3: 4, 4: 8, 5: 10, 6: 10, 100000: 10} {
		if pause := p.Backoff(attempt); pause.Seconds() != want {
			t.Errorf("after attempt %d: %s, want %g s", attempt, pause, want)
		}
	}
}
