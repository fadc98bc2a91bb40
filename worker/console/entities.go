package console

import (
	"context"
	"net/http"

	"postlink/dynamics"
	"postlink/worker/catalog"
)

func (a *api) entities() {
	register(a, operation{
		id: "list-record-types", method: http.MethodGet, path: PathRecordTypes, role: Reader, timeout: askingTime,
		summary: "Ask an instance which record types it offers",
	}, func(ctx context.Context, _ caller, in *InstanceName) (*body[List[RecordType]], error) {
		revision, err := a.current(ctx)
		if err != nil {
			return nil, err
		}
		configured, err := revision.Catalog.Instance(in.Instance)
		if err != nil {
			return nil, err
		}
		offered, err := a.opts.Administrator.Offered(ctx, in.Instance)
		if err != nil {
			return nil, err
		}
		shown := make([]RecordType, len(offered))
		for i, t := range offered {
			_, taken := configured.Entity(t.Name)
			shown[i] = RecordType{Name: t.Name, Label: t.Label, Custom: t.Custom, Configured: taken}
		}
		return &body[List[RecordType]]{all(shown)}, nil
	})
	register(a, operation{
		id: "list-record-type-fields", method: http.MethodGet, path: PathRecordTypeFields, role: Reader, timeout: askingTime,
		summary: "Ask an instance which fields a record type has",
	}, func(ctx context.Context, _ caller, in *RecordTypeName) (*body[List[Field]], error) {
		fields, err := a.opts.Administrator.Fields(ctx, in.Instance, in.Entity)
		if err != nil {
			return nil, err
		}
		shown := make([]Field, len(fields))
		for i, f := range fields {
			shown[i] = Field(f)
		}
		return &body[List[Field]]{all(shown)}, nil
	})
	register(a, operation{
		id: "list-entities", method: http.MethodGet, path: PathEntities, role: Reader,
		summary: "List the record types configured for an instance",
	}, func(ctx context.Context, _ caller, in *InstanceName) (*tagged[List[Entity]], error) {
		revision, err := a.current(ctx)
		if err != nil {
			return nil, err
		}
		configured, err := revision.Catalog.Instance(in.Instance)
		if err != nil {
			return nil, err
		}
		return &tagged[List[Entity]]{etag(revision.Number), all(showEntities(configured.Entities))}, nil
	})
	register(a, operation{
		id: "add-entity", method: http.MethodPost, path: PathEntities, role: Administrator, change: true, status: http.StatusCreated, timeout: askingTime,
		summary: "Configure a record type that the instance offers",
	}, func(ctx context.Context, by caller, in *struct {
		InstanceName
		Precondition
		Body Entity
	}) (*tagged[Entity], error) {
		commit, err := a.commit(ctx, by, in.Precondition, "add entity "+in.Body.Name+" to instance "+in.Instance)
		if err != nil {
			return nil, err
		}
		revision, err := a.opts.Administrator.AddEntity(ctx, commit, in.Instance, dynamics.Entity(in.Body))
		if err != nil {
			return nil, err
		}
		return entityOf(revision, in.Instance, in.Body.Name)
	})
	register(a, operation{
		id: "remove-entity", method: http.MethodDelete, path: PathEntity, role: Administrator, change: true, status: http.StatusNoContent,
		summary: "Take a record type away from an instance, unless an active rule uses it",
	}, func(ctx context.Context, by caller, in *struct {
		RecordTypeName
		Precondition
	}) (*done, error) {
		commit, err := a.commit(ctx, by, in.Precondition, "remove entity "+in.Entity+" from instance "+in.Instance)
		if err != nil {
			return nil, err
		}
		revision, _, err := a.opts.Catalog.Change(ctx, commit, func(c *catalog.Catalog) error { return c.RemoveEntity(in.Instance, in.Entity) })
		if err != nil {
			return nil, err
		}
		return &done{etag(revision.Number)}, nil
	})
	register(a, operation{
		id: "set-entity-fields", method: http.MethodPut, path: PathEntityFields, role: Administrator, change: true, timeout: askingTime,
		summary: "Replace the ordered list of fields that record details show",
	}, func(ctx context.Context, by caller, in *struct {
		RecordTypeName
		Precondition
		Body Fields
	}) (*tagged[Entity], error) {
		commit, err := a.commit(ctx, by, in.Precondition, "set the fields of entity "+in.Entity+" of instance "+in.Instance)
		if err != nil {
			return nil, err
		}
		revision, err := a.opts.Administrator.SetFields(ctx, commit, in.Instance, in.Entity, in.Body.Fields)
		if err != nil {
			return nil, err
		}
		return entityOf(revision, in.Instance, in.Entity)
	})
}

func entityOf(revision *catalog.Revision, instance, name string) (*tagged[Entity], error) {
	e, err := revision.Catalog.Entity(instance, name)
	if err != nil {
		return nil, err
	}
	return &tagged[Entity]{etag(revision.Number), showEntity(e)}, nil
}
