package desk

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"postlink/dynamics"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/instance"
	"postlink/worker/ledger"
)

// Instances shows how instances are, and makes the changes of the catalog that first ask Dynamics which record types and
// fields there are. Other changes go to the catalog itself. Errors are refusals, or those of catalog.Store.Change. But for Status, an
// instance that the catalog does not have is a *catalog.NotFoundError.
//
// Dynamics is asked before the commit and not during it, since a commit runs again after a lost race. A record type that is deleted
// in Dynamics in between comes into the catalog, and the next Refresh finds that it is missing.
type Instances struct{ opts *Options }

// Status is how an instance is, for people.
type Status struct {
	instance.Status
	Waiting uint64    // links that wait to be delivered, those under way included
	Oldest  time.Time // since when the oldest of them waits; zero when none does
}

// Status reads how an instance is; it is zero for one that was never seen.
func (i *Instances) Status(ctx context.Context, name string) (Status, error) {
	known, err := i.opts.Statuses.Read(ctx, name)
	if err != nil {
		return Status{}, err
	}
	waiting, err := i.opts.Outboxes.Waiting(ctx, name)
	return Status{Status: known, Waiting: waiting.Messages, Oldest: waiting.Oldest}, err
}

// LinkCounts counts the active links of each instance of the catalog: those that would be forgotten without it. It reads the
// whole ledger.
func (i *Instances) LinkCounts(ctx context.Context) (map[string]int, error) {
	homes, err := i.opts.homes(ctx)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	err = i.opts.Ledger.Scan(ctx, func(e ledger.Entry) error {
		if link := e.Current(); link.Active() {
			if name, ok := homes.Of(link); ok {
				counts[name]++
			}
		}
		return nil
	})
	return counts, err
}

// Offered lists the record types that may be added to an instance: those that can be the record of a social activity. A disabled
// instance is asked too. The refusal is RefusedInstanceDown or RefusedSocialData.
func (i *Instances) Offered(ctx context.Context, name string) ([]dynamics.RecordType, error) {
	client, _, err := i.client(ctx, name)
	if err != nil {
		return nil, err
	}
	metadata, err := client.Metadata(ctx)
	if err != nil {
		return nil, unanswered(ctx, name, err)
	}
	return metadata.RecordTypes, nil
}

// Fields lists the fields of a record type of an instance that record details can show.
func (i *Instances) Fields(ctx context.Context, name, entity string) ([]dynamics.Field, error) {
	client, _, err := i.client(ctx, name)
	if err != nil {
		return nil, err
	}
	fields, err := client.Fields(ctx, entity)
	if errors.Is(err, dynamics.ErrNoEntity) {
		return nil, refuse(RefusedEntityUnrelated, "instance %s has no record type %s, or our user may not see it; list what it offers and choose from that", name, entity)
	}
	if err != nil {
		return nil, unanswered(ctx, name, err)
	}
	return fields, nil
}

// AddEntity configures a record type, if the instance offers it and has its fields; else it is RefusedEntityUnrelated or
// RefusedFieldUnknown. An entity that is configured already is a *catalog.ExistsError.
func (i *Instances) AddEntity(ctx context.Context, by catalog.Commit, name string, entity dynamics.Entity) (*catalog.Revision, error) {
	offered, err := i.Offered(ctx, name)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(offered))
	for n, t := range offered {
		list[n] = t.Name
	}
	if !slices.Contains(list, entity.Name) {
		return nil, refuse(RefusedEntityUnrelated, "entity %s cannot be the record of a social activity in instance %s; choose from: %s",
			entity.Name, name, strings.Join(list, ", "))
	}
	if err := i.haveFields(ctx, name, entity.Name, entity.Fields); err != nil {
		return nil, err
	}
	return i.change(ctx, by, func(c *catalog.Catalog) error { return c.AddEntity(name, entity) })
}

// SetFields replaces the fields that record details show, in order, if the entity has them.
func (i *Instances) SetFields(ctx context.Context, by catalog.Commit, name, entity string, fields []string) (*catalog.Revision, error) {
	if err := i.haveFields(ctx, name, entity, fields); err != nil {
		return nil, err
	}
	return i.change(ctx, by, func(c *catalog.Catalog) error { return c.SetFields(name, entity, fields) })
}

func (i *Instances) haveFields(ctx context.Context, name, entity string, fields []string) error {
	if len(fields) == 0 {
		return nil
	}
	known, err := i.Fields(ctx, name, entity)
	if err != nil {
		return err
	}
	if missing := without(fields, fieldNames(known)); len(missing) > 0 {
		return refuse(RefusedFieldUnknown, "entity %s of instance %s has no field %s that can be shown; list its fields and choose from them",
			entity, name, strings.Join(missing, ", "))
	}
	return nil
}

// Delete takes an instance out of the catalog. Its links are forgotten, so that their posts can be linked elsewhere, until the
// same organization is added again; links that still wait for it become dead letters. Nothing changes in Dynamics. The error is a
// *catalog.InUseError while active rules link there.
//
// The catalog is changed first. When the status cannot be deleted afterwards, the revision is returned beside the error: the
// instance is gone, and a later one of that name starts with the old status.
func (i *Instances) Delete(ctx context.Context, by catalog.Commit, name string) (*catalog.Revision, error) {
	revision, err := i.change(ctx, by, func(c *catalog.Catalog) error { return c.DeleteInstance(name) })
	if err != nil {
		return nil, err
	}
	return revision, i.opts.Statuses.Forget(ctx, name)
}

func (i *Instances) change(ctx context.Context, by catalog.Commit, edit func(*catalog.Catalog) error) (*catalog.Revision, error) {
	revision, _, err := i.opts.Catalog.Change(ctx, by, edit)
	return revision, bus.Unreachable(err)
}

// client is the client of a configured instance, whatever state it is in.
func (i *Instances) client(ctx context.Context, name string) (*dynamics.Client, dynamics.Instance, error) {
	revision, err := i.opts.Catalog.Current(ctx)
	if err != nil {
		return nil, dynamics.Instance{}, bus.Unreachable(err)
	}
	in, err := revision.Catalog.Instance(name)
	if err != nil {
		return nil, in, err
	}
	client, err := i.opts.client(in)
	return client, in, err
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
