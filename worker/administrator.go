package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postlink/dynamics"
	"postlink/worker/bus"
	"postlink/worker/catalog"
)

// AdministratorOptions configure an Administrator.
type AdministratorOptions struct {
	Bus     *bus.Bus
	Catalog *catalog.Store
	Clients *Clients
	Now     func() time.Time // default time.Now
}

// Administrator makes the changes of the catalog that need Dynamics' word: which record types and fields there are. What needs
// none goes to the catalog itself. Errors are of type *Refusal, or those of catalog.Store.Change.
type Administrator struct {
	opts AdministratorOptions
}

// NewAdministrator makes an Administrator.
func NewAdministrator(opts AdministratorOptions) (*Administrator, error) {
	if opts.Bus == nil || opts.Catalog == nil || opts.Clients == nil {
		return nil, errors.New("make an administrator: bus, catalog and clients are needed")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Administrator{opts}, nil
}

// Offered lists the record types that may be added to an instance: those that can be the record of a social activity.
func (a *Administrator) Offered(ctx context.Context, instance string) ([]dynamics.RecordType, error) {
	client, _, err := a.client(ctx, instance)
	if err != nil {
		return nil, err
	}
	metadata, err := client.Metadata(ctx)
	if err != nil {
		return nil, unanswered(instance, err)
	}
	return metadata.RecordTypes, nil
}

// Fields lists the fields of a record type of an instance.
func (a *Administrator) Fields(ctx context.Context, instance, entity string) ([]dynamics.Field, error) {
	client, _, err := a.client(ctx, instance)
	if err != nil {
		return nil, err
	}
	fields, err := client.Fields(ctx, entity)
	if errors.Is(err, dynamics.ErrNoEntity) {
		return nil, unrelated(instance, entity, nil)
	}
	if err != nil {
		return nil, unanswered(instance, err)
	}
	return fields, nil
}

// AddEntity configures a record type, if the instance offers it and has its fields.
func (a *Administrator) AddEntity(ctx context.Context, by catalog.Commit, instance string, entity dynamics.Entity) (*catalog.Revision, error) {
	offered, err := a.Offered(ctx, instance)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(offered, func(t dynamics.RecordType) bool { return t.Name == entity.Name }) {
		return nil, unrelated(instance, entity.Name, offered)
	}
	if err := a.haveFields(ctx, instance, entity.Name, entity.Fields); err != nil {
		return nil, err
	}
	revision, _, err := a.opts.Catalog.Change(ctx, by, func(c *catalog.Catalog) error { return c.AddEntity(instance, entity) })
	return revision, err
}

// SetFields replaces the fields that record details show, in order, if the entity has them.
func (a *Administrator) SetFields(ctx context.Context, by catalog.Commit, instance, entity string, fields []string) (*catalog.Revision, error) {
	if err := a.haveFields(ctx, instance, entity, fields); err != nil {
		return nil, err
	}
	revision, _, err := a.opts.Catalog.Change(ctx, by, func(c *catalog.Catalog) error { return c.SetFields(instance, entity, fields) })
	return revision, err
}

func (a *Administrator) haveFields(ctx context.Context, instance, entity string, fields []string) error {
	if len(fields) == 0 {
		return nil
	}
	known, err := a.Fields(ctx, instance, entity)
	if err != nil {
		return err
	}
	if missing := without(fields, fieldNames(known)); len(missing) > 0 {
		return &Refusal{Kind: RefusedFieldUnknown, Text: fmt.Sprintf(
			"entity %s of instance %s has no field %s; list its fields and choose from them", entity, instance, strings.Join(missing, ", "))}
	}
	return nil
}

// Refreshed is what a refresh found.
type Refreshed struct {
	Organization dynamics.Organization
	At           time.Time
	Removed      []Missing // gone in Dynamics, and taken out of the catalog
	Kept         []Missing // gone in Dynamics, but an active rule needs the entity
}

// Missing is an entity, or a field of one, that the catalog has and Dynamics has not.
type Missing struct {
	Entity string   `json:"entity"`
	Field  string   `json:"field,omitempty"` // empty when the whole entity is gone
	Rules  []string `json:"rules,omitempty"` // the active rules that need the entity
}

// Refresh reads again what Dynamics has, and takes configured entities and fields out of the catalog that are gone. An entity
// that an active rule uses is kept, and remembered as missing.
func (a *Administrator) Refresh(ctx context.Context, by catalog.Commit, instance string) (Refreshed, error) {
	client, configured, err := a.client(ctx, instance)
	if err != nil {
		return Refreshed{}, err
	}
	r := Refreshed{At: a.opts.Now().UTC()}
	if r.Organization, err = client.Organization(ctx); err != nil {
		return Refreshed{}, unanswered(instance, err)
	}
	fields, err := present(ctx, client, configured)
	if err != nil {
		return Refreshed{}, unanswered(instance, err)
	}
	_, _, err = a.opts.Catalog.Change(ctx, by, func(c *catalog.Catalog) error {
		var err error
		r.Removed, r.Kept, err = prune(c, instance, fields)
		return err
	})
	if err != nil {
		return Refreshed{}, err
	}
	return r, update(ctx, a.opts.Bus, instance, func(s *InstanceState) {
		s.Organization, s.Version = r.Organization.ID, r.Organization.Version
		s.LastSeen, s.RefreshedAt = r.At, r.At
		s.Missing = nil
		for _, m := range r.Kept {
			s.Missing = append(s.Missing, m.Entity)
		}
	})
}

// present reads which configured entities Dynamics has, with their fields.
func present(ctx context.Context, client *dynamics.Client, configured dynamics.Instance) (map[string][]string, error) {
	metadata, err := client.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	fields := map[string][]string{}
	for _, e := range configured.Entities {
		if _, ok := metadata.RecordType(e.Name); !ok {
			continue
		}
		known, err := client.Fields(ctx, e.Name)
		if errors.Is(err, dynamics.ErrNoEntity) {
			continue
		}
		if err != nil {
			return nil, err
		}
		fields[e.Name] = fieldNames(known)
	}
	return fields, nil
}

// prune takes out of an instance what Dynamics has not. Entities that came into the catalog after Dynamics was asked stay.
func prune(c *catalog.Catalog, instance string, present map[string][]string) (removed, kept []Missing, err error) {
	in, err := c.Instance(instance)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range slices.Clone(in.Entities) { // which removing changes
		known, there := present[e.Name]
		if !there {
			if rules := c.Users(instance, e.Name); len(rules) > 0 {
				kept = append(kept, Missing{Entity: e.Name, Rules: rules})
				continue
			}
			removed = append(removed, Missing{Entity: e.Name})
			if err := c.RemoveEntity(instance, e.Name); err != nil {
				return nil, nil, err
			}
			continue
		}
		gone := without(e.Fields, known)
		if len(gone) == 0 {
			continue
		}
		for _, f := range gone {
			removed = append(removed, Missing{Entity: e.Name, Field: f})
		}
		if err := c.SetFields(instance, e.Name, without(e.Fields, gone)); err != nil {
			return nil, nil, err
		}
	}
	return removed, kept, nil
}

// DeleteInstance takes an instance out of the catalog. Its links are forgotten, so that their posts can be linked elsewhere,
// until the same organization is added again; links that are still queued for it become dead letters. Nothing changes in
// Dynamics.
func (a *Administrator) DeleteInstance(ctx context.Context, by catalog.Commit, instance string) (*catalog.Revision, error) {
	revision, _, err := a.opts.Catalog.Change(ctx, by, func(c *catalog.Catalog) error { return c.DeleteInstance(instance) })
	if err != nil {
		return nil, err
	}
	return revision, forget(ctx, a.opts.Bus, instance)
}

// client is the client of a configured instance, whatever state it is in.
func (a *Administrator) client(ctx context.Context, name string) (*dynamics.Client, dynamics.Instance, error) {
	revision, err := a.opts.Catalog.Current(ctx)
	if err != nil {
		return nil, dynamics.Instance{}, err
	}
	instance, err := revision.Catalog.Instance(name)
	if err != nil {
		return nil, instance, err
	}
	client, err := a.opts.Clients.Client(instance)
	if err != nil {
		return nil, instance, unanswered(name, err)
	}
	return client, instance, nil
}

func unanswered(instance string, err error) error {
	return &Refusal{Kind: RefusedInstanceDown, Text: fmt.Sprintf("instance %s cannot be asked: %s", instance, judge(err).reason)}
}

func unrelated(instance, entity string, offered []dynamics.RecordType) error {
	text := fmt.Sprintf("entity %s cannot be the record of a social activity in instance %s", entity, instance)
	if len(offered) > 0 {
		list := make([]string, len(offered))
		for i, t := range offered {
			list[i] = t.Name
		}
		text += "; choose from: " + strings.Join(list, ", ")
	}
	return &Refusal{Kind: RefusedEntityUnrelated, Text: text}
}

func fieldNames(fields []dynamics.Field) []string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.Name
	}
	return list
}

// without is what a has and b has not.
func without(a, b []string) []string {
	var rest []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			rest = append(rest, s)
		}
	}
	return rest
}
