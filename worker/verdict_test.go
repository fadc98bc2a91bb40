package worker_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"postlink/dynamics"
	"postlink/worker"
)

func TestEveryEndOfADeliveryHasItsConsequence(t *testing.T) {
	t.Parallel()
	answer := func(status int, code string) error {
		return fmt.Errorf("deliver: %w", &dynamics.Error{Op: "create", Instance: "contoso", Status: status, Code: code, Message: "text"})
	}
	tests := map[string]struct {
		err     error
		verdict string
		wait    time.Duration
		reason  string
	}{
		"success":                                    {nil, "delivered", 0, ""},
		"a field that is refused":                    {answer(400, "0x80044331"), "dead", 0, "0x80044331: text"},
		"a 400 that is not from Dynamics":            {answer(400, ""), "retry", 0, ""},
		"an unknown column":                          {answer(400, "0x80060888"), "dead", 0, "text"},
		"a body that is too large":                   {answer(413, ""), "dead", 0, ""},
		"a duplicate that detection found":           {answer(500, "0x80040333"), "dead", 0, ""},
		"social data refused":                        {answer(400, "0x80060621"), "park", 0, "Dynamics 365 can’t receive social data from postlink"},
		"social data refused, whatever the status":   {answer(503, "0x80060621"), "park", 0, "can’t receive social data"},
		"a token that is refused twice":              {answer(401, ""), "park", 0, "check the instance's auth"},
		"a privilege that is missing":                {answer(403, "0x80040220"), "park", 0, "security roles"},
		"a table that is missing":                    {answer(404, "0x80060888"), "park", 0, "lacks a table"},
		"a page instead of an answer":                {&dynamics.Error{Status: 200, Err: dynamics.ErrNotDynamics}, "park", 0, "check the instance's URL"},
		"a redirect to a login":                      {&dynamics.Error{Status: 302, Err: dynamics.ErrLogin}, "park", 0, ""},
		"a page of a gateway":                        {&dynamics.Error{Status: 502, Err: dynamics.ErrNotDynamics}, "retry", 0, ""},
		"no token":                                   {&dynamics.TokenError{Instance: "contoso", Status: 401, Code: "invalid_client"}, "park", 0, "invalid_client"},
		"a host that does not exist":                 {&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}, "park", 0, "check the instance's url"},
		"a name server that does not answer in time": {&net.DNSError{Err: "timeout", Name: "x", IsTimeout: true}, "retry", 0, ""},
		"a certificate that is not trusted":          {&tls.CertificateVerificationError{Err: errors.New("expired")}, "park", 0, ""},
		"throttled":                                  {&dynamics.Error{Status: 429, Code: "0x80072322", RetryAfter: 7 * time.Second}, "throttle", 7 * time.Second, ""},
		"throttled, without a word for how long":     {answer(429, ""), "throttle", 10 * time.Second, ""},
		"a time-out of the server":                   {answer(408, ""), "retry", 0, ""},
		"an error of the server":                     {answer(500, ""), "retry", 0, ""},
		"a plug-in that failed unexpectedly":         {answer(400, "0x80040224"), "retry", 0, ""},
		"a plug-in that refused":                     {answer(400, "0x80040265"), "dead", 0, "text"},
		"a server that is not available":             {answer(503, ""), "retry", 0, ""},
		"a connection that was reset":                {&net.OpError{Op: "read", Err: errors.New("reset")}, "retry", 0, "reset"},
		"something that was never seen before":       {errors.New("new"), "retry", 0, "new"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verdict, wait, reason := worker.Judge(test.err)
			if verdict != test.verdict || wait != test.wait || !strings.Contains(reason, test.reason) {
				t.Errorf("%s after %s because %q, want %s after %s because of %q", verdict, wait, reason, test.verdict, test.wait, test.reason)
			}
		})
	}
}
