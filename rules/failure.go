package rules

import (
	"errors"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/file"
)

// Failure is a condition that could not be evaluated on a post.
type Failure struct {
	Rule *Rule
	Err  error // where in the condition and why, without anything that the post says
}

// failure tells where in the rule's condition something went wrong.
func (r *Rule) failure(err error) error {
	var f *file.Error
	if !errors.As(err, &f) {
		return err
	}
	p := r.problem(f.From, "%s", discreet(f.Message))
	return errors.New(p.Pos.String() + ": " + p.Message)
}

// harmless are messages of the library that cannot hold a text of the post.
var harmless = regexp.MustCompile(`^(?:index out of range: -?\d+ \(array length is \d+\)|memory budget exceeded|integer divide by zero|runtime error: [a-z ]+)$`)

// discreet is a message of the library without the text that it quotes: posts are private, errors are logged.
func discreet(message string) string {
	switch {
	case message == errWork.Error(), harmless.MatchString(message):
		return strings.TrimPrefix(message, "runtime error: ")
	case strings.Contains(message, "int("):
		return "int() needs a text that is a whole number"
	case strings.Contains(message, "float("):
		return "float() needs a text that is a number"
	case strings.HasPrefix(message, "invalid date"), strings.HasPrefix(message, "parsing time"):
		return "date() does not understand the text"
	case strings.HasPrefix(message, "time:"):
		return "duration() needs a text such as 1h30m"
	case strings.HasPrefix(message, "error parsing regexp"):
		return "the text behind matches is no regular expression"
	}
	return "this cannot be evaluated on this post"
}
