package console

import (
	"context"

	"github.com/google/uuid"

	"postlink/dynamics"
	"postlink/worker/catalog"
	"postlink/worker/console/api"
	"postlink/worker/desk"
)

// listInstances reads the status and the outbox of each instance, one after the other. There are few instances; how many links each
// has is left out, since counting them reads the whole ledger.
func (h *handlers) listInstances(ctx context.Context, _ caller, _ *struct{}) (*tagged[api.List[api.Instance]], error) {
	revision, err := h.current(ctx)
	if err != nil {
		return nil, err
	}
	shown := make([]api.Instance, len(revision.Catalog.Instances))
	for i, in := range revision.Catalog.Instances {
		if shown[i], err = h.instance(ctx, in); err != nil {
			return nil, err
		}
	}
	return &tagged[api.List[api.Instance]]{etag(revision.Number), all(shown)}, nil
}

func (h *handlers) showInstance(ctx context.Context, _ caller, in *struct {
	InstanceName
	Links bool `query:"links" doc:"Count its active links too, which reads the whole ledger" example:"true"`
},
) (*tagged[api.Instance], error) {
	revision, err := h.current(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := h.instanceOf(ctx, revision, in.Instance)
	if err != nil || !in.Links {
		return shown, err
	}
	links, err := h.Desk.Instances.LinkCounts(ctx)
	if err != nil {
		return nil, err
	}
	n := links[in.Instance]
	shown.Body.Links = &n
	return shown, nil
}

// addInstance does not ask Dynamics: an instance may be added before its organization can be reached. The deliveries find out.
func (h *handlers) addInstance(ctx context.Context, by caller, in *struct {
	Precondition
	Body api.NewInstance
},
) (*added[api.Instance], error) {
	b := in.Body
	instance := dynamics.Instance{Name: b.Name, URL: b.URL, Default: b.Default, Disabled: b.Enabled != nil && !*b.Enabled, Auth: authOf(b.Auth)}
	answer, err := h.changeInstance(ctx, by, in.Precondition, "add instance "+b.Name, b.Name, func(c *catalog.Catalog) error { return c.AddInstance(instance) })
	if err != nil {
		return nil, err
	}
	return &added[api.Instance]{api.Path(api.PathInstance, b.Name), answer.ETag, answer.Body}, nil
}

// editInstance reads the present address and login inside the edit. The edit runs again when another commit comes first, and then
// keeps what that one changed.
func (h *handlers) editInstance(ctx context.Context, by caller, in *struct {
	InstanceName
	Precondition
	Body api.InstanceChange
},
) (*tagged[api.Instance], error) {
	return h.changeInstance(ctx, by, in.Precondition, "edit instance "+in.Instance, in.Instance, func(c *catalog.Catalog) error {
		now, err := c.Instance(in.Instance)
		if err != nil {
			return err
		}
		if in.Body.URL != "" {
			now.URL = in.Body.URL
		}
		if in.Body.Auth != nil {
			now.Auth = authOf(*in.Body.Auth)
		}
		return c.EditInstance(in.Instance, now.URL, now.Auth)
	})
}

// editing answers operations that change one instance in one way; what names the change in the history.
func editing(what string, edit func(c *catalog.Catalog, instance string) error,
) func(*handlers, context.Context, caller, *instanceRequest) (*tagged[api.Instance], error) {
	return func(h *handlers, ctx context.Context, by caller, in *instanceRequest) (*tagged[api.Instance], error) {
		return h.changeInstance(ctx, by, in.Precondition, what+" "+in.Instance, in.Instance, func(c *catalog.Catalog) error { return edit(c, in.Instance) })
	}
}

// refreshInstance answers without an ETag: what it found is about Dynamics, and often no revision is made. That the organization
// refuses social data is part of a successful answer: the metadata was read all the same.
func (h *handlers) refreshInstance(ctx context.Context, by caller, in *instanceRequest) (*body[api.Refresh], error) {
	commit, err := commitOf(by, in.Precondition, "refresh instance "+in.Instance)
	if err != nil {
		return nil, err
	}
	found, err := h.Desk.Instances.Refresh(ctx, commit, in.Instance)
	if err != nil {
		return nil, err
	}
	shown := api.Refresh{
		At: found.At, Organization: showID(found.Organization.ID), Version: found.Organization.Version,
		Removed: showMissing(found.Removed), Kept: showMissing(found.Kept),
	}
	if err := found.Organization.RefusesSocialData(); err != nil {
		shown.Refuses = err.Error()
	}
	return &body[api.Refresh]{shown}, nil
}

// deleteInstance goes through the desk, which also forgets the observed status, so that an instance added under this name later does
// not begin with it. When only that fails, the answer is a problem although the instance is deleted.
func (h *handlers) deleteInstance(ctx context.Context, by caller, in *instanceRequest) (*done, error) {
	commit, err := commitOf(by, in.Precondition, "delete instance "+in.Instance)
	if err != nil {
		return nil, err
	}
	revision, err := h.Desk.Instances.Delete(ctx, commit, in.Instance)
	if err != nil {
		return nil, err
	}
	return &done{etag(revision.Number)}, nil
}

// changeInstance edits the catalog, and shows an instance as it is then: with the catalog of the revision that was made, and the
// status of now. Its errors are those of catalog.Store.Change. After an error of the status the change was made all the same.
func (h *handlers) changeInstance(
	ctx context.Context, by caller, on Precondition, message, name string, edit func(*catalog.Catalog) error,
) (*tagged[api.Instance], error) {
	commit, err := commitOf(by, on, message)
	if err != nil {
		return nil, err
	}
	revision, _, err := h.Catalog.Change(ctx, commit, edit)
	if err != nil {
		return nil, err
	}
	return h.instanceOf(ctx, revision, name)
}

func (h *handlers) instanceOf(ctx context.Context, revision *catalog.Revision, name string) (*tagged[api.Instance], error) {
	in, err := revision.Catalog.Instance(name)
	if err != nil {
		return nil, err
	}
	shown, err := h.instance(ctx, in)
	return &tagged[api.Instance]{etag(revision.Number), shown}, err
}

// instance is an instance of the catalog with its observed status.
func (h *handlers) instance(ctx context.Context, in dynamics.Instance) (api.Instance, error) {
	status, err := h.Desk.Instances.Status(ctx, in.Name)
	return showInstance(in, status), err
}

func showInstance(in dynamics.Instance, s desk.Status) api.Instance {
	return api.Instance{
		Name: in.Name, URL: in.URL, Enabled: !in.Disabled, Default: in.Default, Auth: showAuth(in.Auth),
		Entities: showEntities(in.Entities), Organization: showID(s.Organization), Version: s.Version, LastSeen: s.LastSeen,
		RefreshedAt: s.RefreshedAt, Missing: s.Missing, Parked: s.Parked, ParkedSince: s.ParkedSince, NextTry: s.NextTry,
		ThrottledUntil: s.ThrottledUntil, Retrying: s.Retrying, RetryingSince: s.RetryingSince,
		Waiting: s.Waiting, Oldest: s.Oldest,
	}
}

// showAuth and authOf convert a login. An api.Secret and a dynamics.Secret say where a secret is; neither holds it.
func showAuth(a dynamics.Auth) api.Auth {
	return api.Auth{
		Kind: a.Kind, Tenant: a.Tenant, ClientID: a.ClientID, ClientSecret: api.Secret(a.ClientSecret),
		Authority: a.Authority, Token: api.Secret(a.Token),
	}
}

func authOf(a api.Auth) dynamics.Auth {
	return dynamics.Auth{
		Kind: a.Kind, Tenant: a.Tenant, ClientID: a.ClientID, ClientSecret: dynamics.Secret(a.ClientSecret),
		Authority: a.Authority, Token: dynamics.Secret(a.Token),
	}
}

func showMissing(missing []desk.Missing) []api.Missing {
	shown := make([]api.Missing, len(missing))
	for i, m := range missing {
		shown[i] = api.Missing(m)
	}
	return shown
}

// showID is empty for an id that is not known, so that answers leave it out instead of showing zeros.
func showID(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}
