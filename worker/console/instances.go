package console

import (
	"context"
	"net/http"

	"postlink/dynamics"
	"postlink/worker"
	"postlink/worker/catalog"
)

func (a *api) instances() {
	register(a, operation{
		id: "list-instances", method: http.MethodGet, path: PathInstances, role: Reader,
		summary: "List the instances with their state",
	}, func(ctx context.Context, _ caller, _ *struct{}) (*tagged[List[Instance]], error) {
		revision, err := a.current(ctx)
		if err != nil {
			return nil, err
		}
		shown := make([]Instance, len(revision.Catalog.Instances))
		for i, in := range revision.Catalog.Instances {
			if shown[i], err = a.instance(ctx, in); err != nil {
				return nil, err
			}
		}
		return &tagged[List[Instance]]{etag(revision.Number), all(shown)}, nil
	})
	register(a, operation{
		id: "show-instance", method: http.MethodGet, path: PathInstance, role: Reader,
		summary: "Show an instance with its state",
	}, func(ctx context.Context, _ caller, in *InstanceName) (*tagged[Instance], error) {
		revision, err := a.current(ctx)
		if err != nil {
			return nil, err
		}
		return a.named(ctx, revision, in.Instance)
	})
	register(a, operation{
		id: "add-instance", method: http.MethodPost, path: PathInstances, role: Administrator, change: true, status: http.StatusCreated,
		summary: "Add an instance",
	}, func(ctx context.Context, by caller, in *struct {
		Precondition
		Body NewInstance
	}) (*tagged[Instance], error) {
		b := in.Body
		added := dynamics.Instance{Name: b.Name, URL: b.URL, Default: b.Default, Disabled: b.Enabled != nil && !*b.Enabled, Auth: b.Auth.auth()}
		return a.change(ctx, by, in.Precondition, "add instance "+b.Name, b.Name, func(c *catalog.Catalog) error { return c.AddInstance(added) })
	})
	register(a, operation{
		id: "edit-instance", method: http.MethodPatch, path: PathInstance, role: Administrator, change: true,
		summary: "Change how an instance is reached",
	}, func(ctx context.Context, by caller, in *struct {
		InstanceName
		Precondition
		Body InstanceChange
	}) (*tagged[Instance], error) {
		return a.change(ctx, by, in.Precondition, "edit instance "+in.Instance, in.Instance, func(c *catalog.Catalog) error {
			now, err := c.Instance(in.Instance)
			if err != nil {
				return err
			}
			if in.Body.URL != "" {
				now.URL = in.Body.URL
			}
			if in.Body.Auth != nil {
				now.Auth = in.Body.Auth.auth()
			}
			return c.EditInstance(in.Instance, now.URL, now.Auth)
		})
	})
	for _, s := range []struct {
		id, path, message, summary string
		edit                       func(c *catalog.Catalog, instance string) error
	}{
		{"enable-instance", PathEnableInstance, "enable instance", "Let an instance take links again", (*catalog.Catalog).EnableInstance},
		{"disable-instance", PathDisableInstance, "disable instance", "Keep new links away from an instance", (*catalog.Catalog).DisableInstance},
		{"default-instance", PathDefaultInstance, "make the default instance", "Preselect an instance for manual links", (*catalog.Catalog).SetDefault},
	} {
		register(a, operation{
			id: s.id, method: http.MethodPost, path: s.path, role: Administrator, change: true, summary: s.summary,
		}, func(ctx context.Context, by caller, in *instanceChange) (*tagged[Instance], error) {
			return a.change(ctx, by, in.Precondition, s.message+" "+in.Instance, in.Instance, func(c *catalog.Catalog) error { return s.edit(c, in.Instance) })
		})
	}
	register(a, operation{
		id: "refresh-instance", method: http.MethodPost, path: PathRefreshInstance, role: Administrator, change: true, timeout: askingTime,
		summary: "Read the metadata of an instance again, and remove what is gone",
	}, func(ctx context.Context, by caller, in *instanceChange) (*body[Refresh], error) {
		commit, err := a.commit(ctx, by, in.Precondition, "refresh instance "+in.Instance)
		if err != nil {
			return nil, err
		}
		found, err := a.opts.Administrator.Refresh(ctx, commit, in.Instance)
		if err != nil {
			return nil, err
		}
		return &body[Refresh]{Refresh{
			At: found.At, Organization: showID(found.Organization.ID), Version: found.Organization.Version,
			Removed: showMissing(found.Removed), Kept: showMissing(found.Kept),
		}}, nil
	})
	register(a, operation{
		id: "delete-instance", method: http.MethodDelete, path: PathInstance, role: Administrator, change: true, status: http.StatusNoContent,
		summary: "Delete an instance; its links are forgotten until its organization is added again",
	}, func(ctx context.Context, by caller, in *instanceChange) (*done, error) {
		commit, err := a.commit(ctx, by, in.Precondition, "delete instance "+in.Instance)
		if err != nil {
			return nil, err
		}
		revision, err := a.opts.Administrator.DeleteInstance(ctx, commit, in.Instance)
		if err != nil {
			return nil, err
		}
		return &done{etag(revision.Number)}, nil
	})
}

// instance adds to an instance of the catalog what is known of its state.
func (a *api) instance(ctx context.Context, in dynamics.Instance) (Instance, error) {
	state, err := worker.State(ctx, a.opts.Bus, in.Name)
	return showInstance(in, state), err
}

func (a *api) named(ctx context.Context, revision *catalog.Revision, name string) (*tagged[Instance], error) {
	in, err := revision.Catalog.Instance(name)
	if err != nil {
		return nil, err
	}
	shown, err := a.instance(ctx, in)
	return &tagged[Instance]{etag(revision.Number), shown}, err
}

// change edits the catalog, and shows an instance as it is then.
func (a *api) change(ctx context.Context, by caller, on Precondition, message, name string, edit func(*catalog.Catalog) error) (*tagged[Instance], error) {
	commit, err := a.commit(ctx, by, on, message)
	if err != nil {
		return nil, err
	}
	revision, _, err := a.opts.Catalog.Change(ctx, commit, edit)
	if err != nil {
		return nil, err
	}
	return a.named(ctx, revision, name)
}
