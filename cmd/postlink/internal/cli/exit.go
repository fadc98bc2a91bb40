package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"os"
	"strings"
	"syscall"

	"postlink/rules/source"
	"postlink/worker/bus"
	"postlink/worker/console/api"
)

// Exit codes, the last two as in sysexits.h. Scripts branch on them: 69 is worth trying again later, 2 and 78 are not.
const (
	ExitFine        = 0
	ExitFindings    = 1  // what was asked for was refused or found wrong
	ExitUsage       = 2  // the command line is wrong
	ExitUnavailable = 69 // something that is needed cannot be reached
	ExitConfig      = 78 // the configuration or a catalog is wrong
)

// CodedError is an error that knows its exit code, where the error itself does not say whose mistake it is. It reads as Err does.
type CodedError struct {
	Code int
	Err  error
}

func (e *CodedError) Error() string { return e.Err.Error() }
func (e *CodedError) Unwrap() error { return e.Err }

// Usage makes an error of a wrong command line.
func Usage(format string, args ...any) error {
	return &CodedError{ExitUsage, fmt.Errorf(format, args...)}
}

// Config makes an error of a wrong configuration.
func Config(format string, args ...any) error {
	return &CodedError{ExitConfig, fmt.Errorf(format, args...)}
}

// CheckRate refuses a --rate that is no number of things a second; 0 is as fast as it goes.
func CheckRate(rate float64, things string) error {
	if rate < 0 || math.IsNaN(rate) || math.IsInf(rate, 0) {
		return Usage("--rate %v: give the %s a second, or 0 for as fast as it goes", rate, things)
	}
	return nil
}

// FileError is the usage error of a file that a command was given and cannot open; what says what belongs there.
func FileError(path, what string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Usage("there is no file %s; name %s", path, what)
	case errors.Is(err, fs.ErrPermission):
		return Usage("%s may not be read by this user; change its permissions, or name another", path)
	case errors.Is(err, syscall.EISDIR):
		return Usage("%s is a folder; name %s", path, what)
	}
	return Usage("open %s: %w; name %s", path, reason(err), what)
}

// Exists checks that the paths of a command line are there, before they are read.
func Exists(what string, paths ...string) error {
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			return FileError(path, what, err)
		}
	}
	return nil
}

// ListenError says why an address cannot be listened on, and what to do; code is that of where the address was written: ExitUsage
// for a flag, ExitConfig for a configuration. flag names that place for people.
func ListenError(code int, listen, flag string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		err = fmt.Errorf("listen on %s: another program uses this address; stop it, or choose another with %s", listen, flag)
	case errors.Is(err, syscall.EACCES):
		err = fmt.Errorf("listen on %s: this user may not use the port; choose one above 1023 with %s", listen, flag)
	default:
		err = fmt.Errorf("listen on %s: %w; write it as 127.0.0.1:8080, with %s", listen, reason(err), flag)
	}
	return &CodedError{code, err}
}

// reason is the innermost cause of an error of the system, without the name of the call.
func reason(err error) error {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number
	}
	return err
}

// ExitCode is the one place that says which error ends with which code.
//
// The order matters. A code that a command gave counts first. A 503 comes before a catalog that is wrong and before errors of
// reaching, since it is an answer: the server is there, and what it needs is not. Any other refusal is a finding, also for lack of
// a token or role. Of several errors joined, the first case that any of them matches decides; of several refusals only the first is
// looked at.
func ExitCode(err error) int {
	var (
		coded    *CodedError
		problems source.Problems
		refusal  *api.Problem
	)
	switch {
	case err == nil:
		return ExitFine
	case errors.As(err, &coded):
		return coded.Code
	case errors.As(err, &problems):
		return ExitConfig
	case errors.As(err, &refusal) && refusal.Status == http.StatusServiceUnavailable: // what the server needs is away
		return ExitUnavailable
	case errors.As(err, &refusal) && len(refusal.Catalog) > 0:
		return ExitConfig
	case errors.Is(err, bus.ErrForeign), errors.Is(err, bus.ErrOverlap): // names that somebody else has
		return ExitConfig
	case errors.Is(err, bus.ErrUnreachable), errors.Is(err, api.ErrUnreachable):
		return ExitUnavailable
	default:
		return ExitFindings
	}
}

// Message is an error with all that a refusal brings along, for people: on one line what happened, below it what is wrong where. It
// ends with what a person needs next: where the token goes after a 401, the request id for the administrator after a 500. Errors
// that were joined stand below each other.
func Message(err error) string {
	if several := joined(err); several != nil {
		texts := make([]string, len(several))
		for i, err := range several {
			texts[i] = Message(err)
		}
		return strings.Join(texts, "\n")
	}
	var problem *api.Problem
	if !errors.As(err, &problem) {
		return Harmless(err.Error())
	}
	lines := []string{err.Error()}
	for _, e := range problem.Errors {
		lines = append(lines, "  "+strings.TrimPrefix(e.Location+": ", ": ")+e.Message)
	}
	for _, rule := range problem.Rules {
		lines = append(lines, "  rule "+rule)
	}
	for _, p := range problem.Catalog {
		where := ""
		if p.Line > 0 {
			where = fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
		}
		if p.Rule != "" {
			where += fmt.Sprintf("rule %q: ", p.Rule)
		}
		lines = append(lines, "  "+where+p.Message)
		if p.Snippet != "" {
			lines = append(lines, p.Snippet)
		}
	}
	if link := problem.Link; link != nil {
		name := strings.TrimPrefix(link.Network+"/"+link.PostID, "/")
		lines = append(lines, fmt.Sprintf("  post %s is %s %s", name, link.State, link.Instance))
	}
	switch problem.Status {
	case http.StatusUnauthorized:
		lines = append(lines, "  put the token into "+TokenVariable)
	case http.StatusInternalServerError:
		lines = append(lines, "  request id "+problem.RequestID)
	}
	return Harmless(strings.Join(lines, "\n"))
}

// joined returns the errors that errors.Join put together, nil for any other error. An error that fmt made with several %w has a text
// of its own, which must not be taken apart; the texts differ then.
func joined(err error) []error {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(several.Unwrap()...).Error() != err.Error() {
		return nil
	}
	return several.Unwrap()
}
