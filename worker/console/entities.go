package console

import (
	"context"

	"postlink/dynamics"
	"postlink/worker/catalog"
	"postlink/worker/console/api"
)

// listRecordTypes compares two sources: Dynamics knows what the instance offers, the catalog what is configured of it. An instance
// that is disabled or parked is asked like any other: whoever mends it has to see what is there.
func (h *handlers) listRecordTypes(ctx context.Context, _ caller, in *InstanceName) (*body[api.List[api.RecordType]], error) {
	_, configured, err := h.configured(ctx, in.Instance)
	if err != nil {
		return nil, err
	}
	offered, err := h.Desk.Instances.Offered(ctx, in.Instance)
	if err != nil {
		return nil, err
	}
	shown := make([]api.RecordType, len(offered))
	for i, t := range offered {
		_, taken := configured.Entity(t.Name)
		shown[i] = api.RecordType{Name: t.Name, Label: t.Label, Custom: t.Custom, Configured: taken}
	}
	return &body[api.List[api.RecordType]]{all(shown)}, nil
}

func (h *handlers) listFields(ctx context.Context, _ caller, in *RecordTypeName) (*body[api.List[api.Field]], error) {
	fields, err := h.Desk.Instances.Fields(ctx, in.Instance, in.Entity)
	if err != nil {
		return nil, err
	}
	shown := make([]api.Field, len(fields))
	for i, f := range fields {
		shown[i] = api.Field(f)
	}
	return &body[api.List[api.Field]]{all(shown)}, nil
}

func (h *handlers) listEntities(ctx context.Context, _ caller, in *InstanceName) (*tagged[api.List[api.Entity]], error) {
	revision, configured, err := h.configured(ctx, in.Instance)
	if err != nil {
		return nil, err
	}
	return &tagged[api.List[api.Entity]]{etag(revision.Number), all(showEntities(configured.Entities))}, nil
}

// addEntity asks Dynamics before the catalog is changed, since the catalog itself cannot know whether a record type exists. When
// Dynamics does not answer, nothing is changed.
func (h *handlers) addEntity(ctx context.Context, by caller, in *struct {
	InstanceName
	Precondition
	Body api.Entity
},
) (*tagged[api.Entity], error) {
	commit, err := commitOf(by, in.Precondition, "add entity "+in.Body.Name+" to instance "+in.Instance)
	if err != nil {
		return nil, err
	}
	revision, err := h.Desk.Instances.AddEntity(ctx, commit, in.Instance, dynamics.Entity(in.Body))
	if err != nil {
		return nil, err
	}
	return entityOf(revision, in.Instance, in.Body.Name)
}

// removeEntity asks nobody: what is configured can be taken away also while Dynamics does not answer. The guard of the catalog
// refuses it while an active rule uses the entity.
func (h *handlers) removeEntity(ctx context.Context, by caller, in *struct {
	RecordTypeName
	Precondition
},
) (*done, error) {
	commit, err := commitOf(by, in.Precondition, "remove entity "+in.Entity+" from instance "+in.Instance)
	if err != nil {
		return nil, err
	}
	revision, _, err := h.Catalog.Change(ctx, commit, func(c *catalog.Catalog) error { return c.RemoveEntity(in.Instance, in.Entity) })
	if err != nil {
		return nil, err
	}
	return &done{etag(revision.Number)}, nil
}

// setEntityFields replaces the list. An empty list chooses the fields that postlink shows by itself; Dynamics is not asked then.
func (h *handlers) setEntityFields(ctx context.Context, by caller, in *struct {
	RecordTypeName
	Precondition
	Body api.Fields
},
) (*tagged[api.Entity], error) {
	commit, err := commitOf(by, in.Precondition, "set the fields of entity "+in.Entity+" of instance "+in.Instance)
	if err != nil {
		return nil, err
	}
	revision, err := h.Desk.Instances.SetFields(ctx, commit, in.Instance, in.Entity, in.Body.Fields)
	if err != nil {
		return nil, err
	}
	return entityOf(revision, in.Instance, in.Entity)
}

// configured is an instance of the catalog in force, with the revision.
func (h *handlers) configured(ctx context.Context, instance string) (*catalog.Revision, dynamics.Instance, error) {
	revision, err := h.current(ctx)
	if err != nil {
		return nil, dynamics.Instance{}, err
	}
	in, err := revision.Catalog.Instance(instance)
	return revision, in, err
}

// entityOf shows an entity of the revision that a change made, and not of the one in force, which may be newer.
func entityOf(revision *catalog.Revision, instance, name string) (*tagged[api.Entity], error) {
	e, err := revision.Catalog.Entity(instance, name)
	if err != nil {
		return nil, err
	}
	return &tagged[api.Entity]{etag(revision.Number), showEntity(e)}, nil
}

func showEntity(e dynamics.Entity) api.Entity { return api.Entity{Name: e.Name, Fields: e.Fields} }

func showEntities(entities []dynamics.Entity) []api.Entity {
	shown := make([]api.Entity, len(entities))
	for i, e := range entities {
		shown[i] = showEntity(e)
	}
	return shown
}
