package catalog

import (
	"errors"
	"fmt"
	"strings"

	"postlink/rules"
	"postlink/rules/source"
)

var (
	// ErrEmpty says that no catalog was ever applied to the store.
	ErrEmpty = errors.New("there is no catalog yet; apply one with: postlink apply DIR")

	// ErrConflict says that the catalog is no longer at the revision that a commit was made for. A commit without a Base never
	// gets it.
	ErrConflict = errors.New("the catalog was changed by somebody else; look at it again and repeat the change")

	// ErrBusy says that others kept changing the catalog, so that a commit lost every race.
	ErrBusy = errors.New("the catalog is being changed too often; try again")
)

// NotFoundError says that the catalog has no instance, entity or rule of a name.
type NotFoundError struct {
	Kind     string   // instance, entity or rule
	Name     string   // what was asked for
	Instance string   // where an entity was looked for
	Known    []string // the names of that kind that exist, sorted
}

func (e *NotFoundError) Error() string {
	var b strings.Builder
	if e.Instance != "" {
		fmt.Fprintf(&b, "instance %q has no %s %q", e.Instance, e.Kind, e.Name)
	} else {
		fmt.Fprintf(&b, "there is no %s %q", e.Kind, e.Name)
	}
	if len(e.Known) == 0 {
		b.WriteString("; none is configured")
		return b.String()
	}
	b.WriteString("; configured: " + enumerate(e.Known))
	return b.String()
}

// ExistsError says that a name is taken.
type ExistsError struct {
	Kind     string // instance or entity
	Name     string
	Instance string // where the entity exists
}

func (e *ExistsError) Error() string {
	if e.Instance != "" {
		return fmt.Sprintf("instance %q has %s %q already; change its fields instead", e.Instance, e.Kind, e.Name)
	}
	return fmt.Sprintf("there is an %s %q already; edit it or choose another name", e.Kind, e.Name)
}

// InUseError says that active rules use an instance or entity that a change would remove or disable. There is one for each instance
// or entity, with all its rules, however many rules use it.
type InUseError struct {
	Instance string   // the instance
	Entity   string   // the entity that would be removed; empty when the instance would be disabled or deleted
	Rules    []string // all active rules that use it, sorted
}

func (e *InUseError) Error() string {
	what := fmt.Sprintf("instance %q", e.Instance)
	if e.Entity != "" {
		what = fmt.Sprintf("entity %q of instance %q", e.Entity, e.Instance)
	}
	noun, verb, those := "rule", "uses", "that rule"
	if len(e.Rules) != 1 {
		noun, verb, those = "rules", "use", "those rules"
	}
	quoted := make([]string, len(e.Rules))
	for i, r := range e.Rules {
		quoted[i] = fmt.Sprintf("%q", r)
	}
	return fmt.Sprintf("%s is in use: the active %s %s %s it; deactivate or delete %s first",
		what, noun, strings.Join(quoted, ", "), verb, those)
}

// UnconfiguredError says that a rule cannot be active, since it links to an entity that is not configured or to an instance that
// takes no links.
type UnconfiguredError struct {
	Rule     string
	Instance string
	Entity   string
	Disabled bool     // the instance exists, but is disabled
	Missing  string   // otherwise what does not exist: instance or entity
	Known    []string // names of that kind that exist, sorted
}

func (e *UnconfiguredError) Error() string {
	return fmt.Sprintf("rule %q cannot be active: %s", e.Rule, e.why())
}

// why is the message without the rule's name, which a Problem shows itself.
func (e *UnconfiguredError) why() string {
	switch {
	case e.Disabled:
		return fmt.Sprintf("instance %q is disabled; enable it, or link to another one", e.Instance)
	case e.Missing == "instance" && len(e.Known) == 0:
		return fmt.Sprintf("there is no instance %q; add it first", e.Instance)
	case e.Missing == "instance":
		return fmt.Sprintf("there is no instance %q; add it, or link to one of: %s", e.Instance, enumerate(e.Known))
	case len(e.Known) == 0:
		return fmt.Sprintf("entity %q is not configured for instance %q; add it first", e.Entity, e.Instance)
	default:
		return fmt.Sprintf("entity %q is not configured for instance %q; add it, or link to one of: %s", e.Entity, e.Instance, enumerate(e.Known))
	}
}

// problem is e with the position of the entity or instance in the rule's file.
func (e *UnconfiguredError) problem(r rules.Rule) source.Problem {
	at := r.Pos
	if r.Origin != nil && e.Missing == "entity" {
		at = r.Origin.Entity
	} else if r.Origin != nil {
		at = r.Origin.Instance
	}
	return source.Problem{Pos: at, Rule: r.Name, Message: e.why()}
}

// enumerate lists some of the names. Use it for hints only, never for names that a person has to act on.
func enumerate(names []string) string {
	const most = 20
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
