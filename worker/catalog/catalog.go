package catalog

import (
	"cmp"
	"slices"
	"time"

	"postlink/dynamics"
	"postlink/rules"
)

// Catalog is what an administrator configures: instances with their entities, and rules. It is a plain value that its owner may
// edit. The catalog of a Revision is shared and must be cloned first. The zero value is an empty catalog, which a commit may put
// in force; only Load and LoadFS refuse it.
//
// All look-ups are linear. They are for people's requests and for instances, of which there are few; posts are matched by the
// compiled set of a Revision.
type Catalog struct {
	Instances []dynamics.Instance // in a revision: by name, each one's entities by name
	Rules     []rules.Rule        // in a revision: the oldest first
}

// Instance returns the instance of that name, or a *NotFoundError. Its entities are those of c, so they are not to be changed.
func (c *Catalog) Instance(name string) (dynamics.Instance, error) {
	i, err := c.instance(name)
	if err != nil {
		return dynamics.Instance{}, err
	}
	return *i, nil
}

// Entity returns an entity configured for an instance, or a *NotFoundError for the one that does not exist.
func (c *Catalog) Entity(instance, name string) (dynamics.Entity, error) {
	e, err := c.entity(instance, name)
	if err != nil {
		return dynamics.Entity{}, err
	}
	return *e, nil
}

// Rule returns the rule of that name, or a *NotFoundError.
func (c *Catalog) Rule(name string) (rules.Rule, error) {
	r, err := c.rule(name)
	if err != nil {
		return rules.Rule{}, err
	}
	return *r, nil
}

// Default returns the instance that is preselected for manual links: the one that is marked as default, if it is enabled; where
// none is marked, the only enabled one; else none.
func (c *Catalog) Default() (dynamics.Instance, bool) {
	var enabled []dynamics.Instance
	for _, i := range c.Instances {
		switch {
		case i.Default && i.Disabled: // another one would be a surprise
			return dynamics.Instance{}, false
		case i.Default:
			return i, true
		case i.Disabled:
			continue
		}
		enabled = append(enabled, i)
	}
	if len(enabled) != 1 {
		return dynamics.Instance{}, false
	}
	return enabled[0], true
}

// Users returns the names of the active rules that link to an instance, sorted; with an entity, only those that link to it.
func (c *Catalog) Users(instance, entity string) []string {
	var names []string
	for _, r := range c.Rules {
		if r.Active && r.Link.Instance == instance && (entity == "" || r.Link.Entity == entity) {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Clone returns a copy that can be edited without an effect on c. Only the origins of rules are shared, which nobody changes.
func (c *Catalog) Clone() *Catalog {
	d := &Catalog{Instances: slices.Clone(c.Instances), Rules: slices.Clone(c.Rules)}
	for i := range d.Instances {
		d.Instances[i].Entities = slices.Clone(d.Instances[i].Entities)
		for j := range d.Instances[i].Entities {
			e := &d.Instances[i].Entities[j]
			e.Fields = slices.Clone(e.Fields)
		}
	}
	return d
}

// normalize sorts instances and entities and gives URLs one spelling, so that equal catalogs have the same canonical form.
func (c *Catalog) normalize() {
	for i := range c.Instances {
		in := &c.Instances[i]
		in.URL = trimURL(in.URL)
		slices.SortStableFunc(in.Entities, func(a, b dynamics.Entity) int { return cmp.Compare(a.Name, b.Name) })
		if len(in.Entities) == 0 {
			in.Entities = nil
		}
		for j := range in.Entities {
			if len(in.Entities[j].Fields) == 0 {
				in.Entities[j].Fields = nil
			}
		}
	}
	slices.SortStableFunc(c.Instances, func(a, b dynamics.Instance) int { return cmp.Compare(a.Name, b.Name) })
}

// inherit gives every rule the age and the time of activation of the rule of the same name in base, and orders the rules by age.
// New names get higher ages, in the order they have in c. Rules that become active have no time yet; activate sets it. What c says
// of ages and times itself is ignored: they follow from the commits alone.
//
// A name that leaves the catalog loses its age: a rule that is removed and added again is the newest. Only the order of ages
// counts. An age may be given a second time after the youngest rule was removed.
func (c *Catalog) inherit(base *Catalog) {
	before := make(map[string]*rules.Rule, len(base.Rules))
	youngest := uint64(0)
	for i := range base.Rules {
		r := &base.Rules[i]
		before[r.Name] = r
		youngest = max(youngest, r.Age)
	}
	for i := range c.Rules {
		r := &c.Rules[i]
		r.Since = time.Time{}
		b := before[r.Name]
		if b == nil {
			youngest++
			r.Age = youngest
			continue
		}
		r.Age = b.Age
		if r.Active && b.Active {
			r.Since = b.Since
		}
	}
	slices.SortStableFunc(c.Rules, func(a, b rules.Rule) int { return cmp.Compare(a.Age, b.Age) })
}

// activate sets the time of activation of the rules that become active with a commit.
func (c *Catalog) activate(at time.Time) {
	for i := range c.Rules {
		if r := &c.Rules[i]; r.Active && r.Since.IsZero() {
			r.Since = at
		}
	}
}

// instance, entity and rule return pointers into the catalog, for edits.
func (c *Catalog) instance(name string) (*dynamics.Instance, error) {
	for i := range c.Instances {
		if c.Instances[i].Name == name {
			return &c.Instances[i], nil
		}
	}
	return nil, &NotFoundError{Kind: "instance", Name: name, Known: c.instanceNames()}
}

func (c *Catalog) entity(instance, name string) (*dynamics.Entity, error) {
	in, err := c.instance(instance)
	if err != nil {
		return nil, err
	}
	for i := range in.Entities {
		if in.Entities[i].Name == name {
			return &in.Entities[i], nil
		}
	}
	return nil, &NotFoundError{Kind: "entity", Name: name, Instance: instance, Known: entityNames(in)}
}

func (c *Catalog) rule(name string) (*rules.Rule, error) {
	for i := range c.Rules {
		if c.Rules[i].Name == name {
			return &c.Rules[i], nil
		}
	}
	known := make([]string, len(c.Rules))
	for i, r := range c.Rules {
		known[i] = r.Name
	}
	slices.Sort(known)
	return nil, &NotFoundError{Kind: "rule", Name: name, Known: known}
}

func (c *Catalog) instanceNames() []string {
	names := make([]string, len(c.Instances))
	for i, in := range c.Instances {
		names[i] = in.Name
	}
	slices.Sort(names)
	return names
}

func entityNames(in *dynamics.Instance) []string {
	names := make([]string, len(in.Entities))
	for i, e := range in.Entities {
		names[i] = e.Name
	}
	slices.Sort(names)
	return names
}
