package catalog

import (
	"fmt"
	"slices"
	"strings"

	"postlink/dynamics"
	"postlink/rules"
)

// Plan is what a commit changes, one line each: instances with their entities by name, then rules, the oldest first.
type Plan []Difference

// Operations of a Difference.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Difference is one instance, entity or rule that a commit adds, removes or changes.
type Difference struct {
	Op       string   `json:"op"`                 // Added, Removed or Changed
	Kind     string   `json:"kind"`               // instance, entity or rule
	Name     string   `json:"name"`               // its name
	Instance string   `json:"instance,omitempty"` // the instance of an entity
	Details  []string `json:"details,omitempty"`  // what changed in it, in words
}

// String is one line of text: ~ rule "delays": deactivated, condition.
func (d Difference) String() string {
	sign := map[string]string{Added: "+", Removed: "-", Changed: "~"}[d.Op]
	var b strings.Builder
	switch d.Kind {
	case "rule":
		fmt.Fprintf(&b, "%s rule %q", sign, d.Name)
	case "entity":
		fmt.Fprintf(&b, "%s entity %s of instance %s", sign, d.Name, d.Instance)
	default:
		fmt.Fprintf(&b, "%s %s %s", sign, d.Kind, d.Name)
	}
	if len(d.Details) > 0 {
		b.WriteString(": " + strings.Join(d.Details, ", "))
	}
	return b.String()
}

// Empty reports whether nothing changes.
func (p Plan) Empty() bool { return len(p) == 0 }

// String is the plan as text, one line for each difference.
func (p Plan) String() string {
	var b strings.Builder
	for _, d := range p {
		b.WriteString(d.String() + "\n")
	}
	return b.String()
}

// compare says what changes from one normalized catalog to another.
func compare(from, to *Catalog) Plan {
	plan := Plan{}
	eachPair(from.Instances, to.Instances, func(in dynamics.Instance) string { return in.Name },
		func(a, b *dynamics.Instance) { plan = append(plan, compareInstances(a, b)...) })
	eachPair(from.Rules, to.Rules, func(r rules.Rule) string { return r.Name },
		func(a, b *rules.Rule) {
			switch {
			case a == nil:
				d := Difference{Op: Added, Kind: "rule", Name: b.Name}
				if !b.Active {
					d.Details = []string{"inactive"}
				}
				plan = append(plan, d)
			case b == nil:
				plan = append(plan, Difference{Op: Removed, Kind: "rule", Name: a.Name})
			default:
				if details := compareRules(a, b); len(details) > 0 {
					plan = append(plan, Difference{Op: Changed, Kind: "rule", Name: b.Name, Details: details})
				}
			}
		})
	return plan
}

// compareInstances says what changes in an instance and its entities. One of a and b is nil for an instance that comes or goes.
func compareInstances(a, b *dynamics.Instance) []Difference {
	var ds []Difference
	switch {
	case a == nil:
		d := Difference{Op: Added, Kind: "instance", Name: b.Name}
		if b.Disabled {
			d.Details = []string{"disabled"}
		}
		ds, a = append(ds, d), &dynamics.Instance{}
	case b == nil:
		ds, b = append(ds, Difference{Op: Removed, Kind: "instance", Name: a.Name}), &dynamics.Instance{Name: a.Name}
	default:
		var details []string
		if a.URL != b.URL {
			details = append(details, fmt.Sprintf("url %s -> %s", a.URL, b.URL))
		}
		if a.Auth != b.Auth {
			details = append(details, "auth")
		}
		details = appendSwitch(details, a.Disabled, b.Disabled, "disabled", "enabled")
		details = appendSwitch(details, a.Default, b.Default, "default", "no longer default")
		if len(details) > 0 {
			ds = append(ds, Difference{Op: Changed, Kind: "instance", Name: b.Name, Details: details})
		}
	}
	eachPair(a.Entities, b.Entities, func(e dynamics.Entity) string { return e.Name }, func(x, y *dynamics.Entity) {
		switch {
		case x == nil:
			ds = append(ds, Difference{Op: Added, Kind: "entity", Name: y.Name, Instance: b.Name})
		case y == nil:
			ds = append(ds, Difference{Op: Removed, Kind: "entity", Name: x.Name, Instance: b.Name})
		case !slices.Equal(x.Fields, y.Fields):
			ds = append(ds, Difference{Op: Changed, Kind: "entity", Name: y.Name, Instance: b.Name,
				Details: []string{fieldsOf(y)}})
		}
	})
	return ds
}

// fieldsOf lists the fields of an entity.
func fieldsOf(e *dynamics.Entity) string {
	if len(e.Fields) == 0 {
		return "no fields"
	}
	return "fields " + strings.Join(e.Fields, " ")
}

// compareRules says in words what changes in a rule. Its age and the time of its activation follow from the commit, so they do not
// count.
func compareRules(a, b *rules.Rule) []string {
	details := appendSwitch(nil, a.Active, b.Active, "activated", "deactivated")
	if a.When != b.When {
		details = append(details, "condition")
	}
	if a.Link.Instance != b.Link.Instance || a.Link.Entity != b.Link.Entity {
		details = append(details, fmt.Sprintf("links to %s of %s -> %s of %s", a.Link.Entity, a.Link.Instance, b.Link.Entity, b.Link.Instance))
	}
	if a.Link.Notes != b.Link.Notes {
		details = append(details, "notes")
	}
	return details
}

// appendSwitch adds one of two words where a switch was turned on or off.
func appendSwitch(details []string, a, b bool, on, off string) []string {
	switch {
	case a == b:
		return details
	case b:
		return append(details, on)
	default:
		return append(details, off)
	}
}

// eachPair calls visit for every name in from, in order, and then for every name that only to has. A side without the name is nil.
// It looks names up in maps, since a catalog may have 100,000 rules.
func eachPair[T any](from, to []T, name func(T) string, visit func(a, b *T)) {
	index := make(map[string]*T, len(to))
	for i := range to {
		index[name(to[i])] = &to[i]
	}
	old := make(map[string]bool, len(from))
	for i := range from {
		old[name(from[i])] = true
		visit(&from[i], index[name(from[i])])
	}
	for i := range to {
		if !old[name(to[i])] {
			visit(nil, &to[i])
		}
	}
}
