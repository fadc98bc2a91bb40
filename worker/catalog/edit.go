package catalog

import (
	"slices"

	"postlink/dynamics"
)

// The edits below change a catalog that the caller owns, usually inside Store.Change. They check names only. Store.Change decides
// whether the result may be committed.

// AddInstance adds an instance. One that is marked as the default takes the mark from any other. The error is an *ExistsError when
// the name is taken.
func (c *Catalog) AddInstance(in dynamics.Instance) error {
	if _, err := c.instance(in.Name); err == nil {
		return &ExistsError{Kind: "instance", Name: in.Name}
	}
	if in.Default {
		c.clearDefault()
	}
	c.Instances = append(c.Instances, in)
	return nil
}

// EditInstance changes the address and the credentials of an instance. Its name cannot change: it is part of the identity of every
// record made there. Attempts under way finish at the old address. The error is a *NotFoundError.
func (c *Catalog) EditInstance(name, url string, auth dynamics.Auth) error {
	in, err := c.instance(name)
	if err != nil {
		return err
	}
	in.URL, in.Auth = url, auth
	return nil
}

// EnableInstance lets an instance take links again. The error is a *NotFoundError.
func (c *Catalog) EnableInstance(name string) error { return c.setDisabled(name, false) }

// DisableInstance keeps new links away from an instance. Links that are queued wait until it is enabled again. Store.Change refuses
// the result with an *InUseError while an active rule links there. The error is a *NotFoundError.
func (c *Catalog) DisableInstance(name string) error { return c.setDisabled(name, true) }

func (c *Catalog) setDisabled(name string, disabled bool) error {
	in, err := c.instance(name)
	if err != nil {
		return err
	}
	in.Disabled = disabled
	return nil
}

// SetDefault makes an instance the one that is preselected for manual links, in place of any other. The error is a
// *NotFoundError.
func (c *Catalog) SetDefault(name string) error {
	in, err := c.instance(name)
	if err != nil {
		return err
	}
	c.clearDefault()
	in.Default = true
	return nil
}

func (c *Catalog) clearDefault() {
	for i := range c.Instances {
		c.Instances[i].Default = false
	}
}

// DeleteInstance removes an instance with its entities. Links that still wait for it become dead letters; records in Dynamics stay.
// Store.Change refuses the result as for DisableInstance. The error is a *NotFoundError.
func (c *Catalog) DeleteInstance(name string) error {
	if _, err := c.instance(name); err != nil {
		return err
	}
	c.Instances = slices.DeleteFunc(c.Instances, func(in dynamics.Instance) bool { return in.Name == name })
	return nil
}

// AddEntity configures a record type for an instance. The error is a *NotFoundError for the instance, or an *ExistsError.
func (c *Catalog) AddEntity(instance string, entity dynamics.Entity) error {
	in, err := c.instance(instance)
	if err != nil {
		return err
	}
	if _, taken := in.Entity(entity.Name); taken {
		return &ExistsError{Kind: "entity", Name: entity.Name, Instance: instance}
	}
	in.Entities = append(in.Entities, entity)
	return nil
}

// RemoveEntity takes a record type away from an instance. Links that were decided before are still delivered. Store.Change refuses
// the result with an *InUseError while an active rule links to the entity. The error is a *NotFoundError.
func (c *Catalog) RemoveEntity(instance, name string) error {
	if _, err := c.entity(instance, name); err != nil {
		return err
	}
	in, err := c.instance(instance)
	if err != nil {
		return err
	}
	in.Entities = slices.DeleteFunc(in.Entities, func(e dynamics.Entity) bool { return e.Name == name })
	return nil
}

// SetFields replaces the fields that record details show for an entity, in order. The error is a *NotFoundError.
func (c *Catalog) SetFields(instance, entity string, fields []string) error {
	e, err := c.entity(instance, entity)
	if err != nil {
		return err
	}
	e.Fields = slices.Clone(fields)
	return nil
}

// ActivateRule lets a rule act on the posts that arrive from the commit on. An active rule keeps the time of its activation.
// Store.Change refuses the result with an *UnconfiguredError when the rule's entity is not configured. The error is a
// *NotFoundError.
func (c *Catalog) ActivateRule(name string) error { return c.setActive(name, true) }

// DeactivateRule stops a rule, which keeps its age. Posts under way may still be matched by it. The error is a *NotFoundError.
func (c *Catalog) DeactivateRule(name string) error { return c.setActive(name, false) }

func (c *Catalog) setActive(name string, active bool) error {
	r, err := c.rule(name)
	if err != nil {
		return err
	}
	r.Active = active
	return nil
}
