package desk

import (
	"context"
	"errors"
	"slices"
	"time"

	"postlink/dynamics"
	"postlink/worker/catalog"
	"postlink/worker/instance"
)

// Refreshed is what a refresh found.
type Refreshed struct {
	Organization dynamics.Organization
	At           time.Time
	Removed      []Missing // gone in Dynamics, and taken out of the catalog
	Kept         []Missing // gone in Dynamics, but an active rule needs the entity
}

// Missing is an entity, or a field of one, that the catalog has and Dynamics has not, or does not show to our user. Fields are taken
// out of the catalog in any case, since no rule depends on them.
type Missing struct {
	Entity string   `json:"entity"`
	Field  string   `json:"field,omitempty"` // empty when the whole entity is gone
	Rules  []string `json:"rules,omitempty"` // the active rules that need the entity
}

// Refresh reads again what Dynamics has, and takes configured entities and fields out of the catalog that are gone. An entity
// that an active rule uses is kept, and remembered as missing. An instance that was parked is sent links again, unless its
// organization refuses social data. All questions are asked before the catalog is changed: when one of them fails, nothing is
// changed. The status is written last. When that fails, what was found is returned beside the error.
func (i *Instances) Refresh(ctx context.Context, by catalog.Commit, name string) (Refreshed, error) {
	client, configured, err := i.client(ctx, name)
	if err != nil {
		return Refreshed{}, err
	}
	r := Refreshed{At: i.opts.Now().UTC()}
	if r.Organization, err = client.Organization(ctx); err != nil {
		return Refreshed{}, unanswered(ctx, name, err)
	}
	fields, err := present(ctx, client, configured)
	if err != nil {
		return Refreshed{}, unanswered(ctx, name, err)
	}
	if _, err = i.change(ctx, by, func(c *catalog.Catalog) error {
		var err error
		r.Removed, r.Kept, err = prune(c, name, fields)
		return err
	}); err != nil {
		return Refreshed{}, err
	}
	return r, i.opts.Statuses.Update(ctx, name, func(s *instance.Status) {
		if r.Organization.RefusesSocialData() != nil {
			s.LastSeen = r.At
		} else {
			s.Answered(r.At)
		}
		s.Organization, s.Version, s.RefreshedAt = r.Organization.ID, r.Organization.Version, r.At
		s.Missing = nil
		for _, m := range r.Kept {
			s.Missing = append(s.Missing, m.Entity)
		}
	})
}

// present reads the fields of the configured entities; nil for an entity that Dynamics has not.
func present(ctx context.Context, client *dynamics.Client, configured dynamics.Instance) (map[string][]string, error) {
	metadata, err := client.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	fields := map[string][]string{}
	for _, e := range configured.Entities {
		fields[e.Name] = nil
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

// prune takes out of an instance what Dynamics has not. Entities that came into the catalog after Dynamics was asked stay. It may be
// called again with a newer catalog, when the compare-and-set was lost. What an active rule uses is kept, because the guard would
// refuse the whole commit otherwise.
func prune(c *catalog.Catalog, name string, present map[string][]string) (removed, kept []Missing, err error) {
	in, err := c.Instance(name)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range slices.Clone(in.Entities) { // which removing changes
		known, asked := present[e.Name]
		if !asked {
			continue
		}
		if known == nil {
			if rules := c.Users(name, e.Name); len(rules) > 0 {
				kept = append(kept, Missing{Entity: e.Name, Rules: rules})
				continue
			}
			removed = append(removed, Missing{Entity: e.Name})
			if err := c.RemoveEntity(name, e.Name); err != nil {
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
		if err := c.SetFields(name, e.Name, without(e.Fields, gone)); err != nil {
			return nil, nil, err
		}
	}
	return removed, kept, nil
}
