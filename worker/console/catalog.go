package console

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing/fstest"

	"postlink/worker/catalog"
)

// catalogFile is what a catalog that was sent is called in problems.
const catalogFile = "catalog.yaml"

func (a *api) catalog() {
	register(a, operation{
		id: "show-catalog", method: http.MethodGet, path: PathCatalog, role: Reader,
		summary: "Show which revision of the catalog is in force",
	}, func(ctx context.Context, _ caller, _ *struct{}) (*tagged[Catalog], error) {
		revision, err := a.opts.Catalog.Current(ctx)
		if err != nil {
			return nil, err
		}
		c := revision.Catalog
		shown := Catalog{Revision: showRevision(revision.Header), Instances: len(c.Instances), Rules: len(c.Rules)}
		for _, r := range c.Rules {
			if r.Active {
				shown.Active++
			}
		}
		return &tagged[Catalog]{etag(revision.Number), shown}, nil
	})
	register(a, operation{
		id: "list-revisions", method: http.MethodGet, path: PathCatalogHistory, role: Reader,
		summary: "List the last revisions of the catalog, the newest first",
	}, func(ctx context.Context, _ caller, _ *struct{}) (*body[List[Revision]], error) {
		headers, err := a.opts.Catalog.History(ctx)
		if err != nil {
			return nil, err
		}
		shown := make([]Revision, len(headers))
		for i, h := range headers {
			shown[i] = showRevision(h)
		}
		return &body[List[Revision]]{all(shown)}, nil
	})
	register(a, operation{
		id: "apply-catalog", method: http.MethodPut, path: PathCatalog, role: Administrator, change: true, maxBody: maxCatalogBody, timeout: catalogTime,
		summary: "Replace the whole catalog, or tell what that would change",
	}, a.applyCatalog)
	register(a, operation{
		id: "export-catalog", method: http.MethodGet, path: PathCatalogExport, role: Reader, timeout: catalogTime,
		summary: "Write the catalog as one YAML file",
	}, func(ctx context.Context, _ caller, _ *struct{}) (*file, error) {
		revision, err := a.opts.Catalog.Current(ctx)
		if err != nil {
			return nil, err
		}
		var text bytes.Buffer
		if err := revision.Catalog.Export(&text); err != nil {
			return nil, err
		}
		return &file{"application/yaml", etag(revision.Number), text.Bytes()}, nil
	})
	a.produces(PathCatalogExport, "application/yaml")
}

// file is an answer that is not JSON.
type file struct {
	ContentType string `header:"Content-Type"`
	ETag        string `header:"ETag"`
	Body        []byte
}

func (a *api) applyCatalog(ctx context.Context, by caller, in *struct {
	Precondition
	DryRun  bool   `query:"dry_run" doc:"Change nothing"`
	Message string `query:"message" maxLength:"500" doc:"Why, for the history"`
	RawBody []byte `contentType:"application/yaml"`
}) (*tagged[Plan], error) {
	// The body goes back to be used for other requests; nothing of a catalog may refer to it.
	next, err := catalog.LoadFS(fstest.MapFS{catalogFile: {Data: bytes.Clone(in.RawBody)}})
	if err != nil {
		return nil, err
	}
	commit, err := a.commit(ctx, by, in.Precondition, cmp.Or(in.Message, "apply"))
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		revision, err := a.current(ctx)
		if err != nil {
			return nil, err
		}
		if commit.Base != 0 && commit.Base != revision.Number {
			return nil, catalog.ErrConflict
		}
		plan, err := a.opts.Catalog.Plan(ctx, next)
		if err != nil {
			return nil, err
		}
		return planned(true, revision, plan), nil
	}
	revision, plan, err := a.opts.Catalog.Apply(ctx, next, commit)
	if err != nil {
		return nil, err
	}
	return planned(false, revision, plan), nil
}

func planned(dryRun bool, revision *catalog.Revision, plan catalog.Plan) *tagged[Plan] {
	answer := &tagged[Plan]{ETag: etag(revision.Number), Body: Plan{DryRun: dryRun, Changes: showPlan(plan)}}
	if revision.Number != 0 {
		shown := showRevision(revision.Header)
		answer.Body.Revision = &shown
	}
	return answer
}

// current is the revision in force, or an empty one before the first.
func (a *api) current(ctx context.Context) (*catalog.Revision, error) {
	revision, err := a.opts.Catalog.Current(ctx)
	if errors.Is(err, catalog.ErrEmpty) {
		return &catalog.Revision{Catalog: &catalog.Catalog{}}, nil
	}
	return revision, err
}

// commit says who makes a change of the catalog, and for which revision.
func (a *api) commit(ctx context.Context, by caller, on Precondition, message string) (catalog.Commit, error) {
	commit := catalog.Commit{Author: by.name, Message: message}
	tag := strings.TrimSpace(on.IfMatch)
	if tag == "" || tag == "*" {
		return commit, nil
	}
	number, err := strconv.ParseUint(strings.Trim(strings.TrimPrefix(tag, "W/"), `"`), 10, 64)
	if err != nil || number == 0 {
		return commit, fmt.Errorf("If-Match %s is not the ETag of a revision: %w", tag, catalog.ErrConflict)
	}
	revision, err := a.current(ctx)
	if err != nil {
		return commit, err
	}
	if number > revision.Number { // never to come
		return commit, fmt.Errorf("the catalog is at %d, not at %d: %w", revision.Number, number, catalog.ErrConflict)
	}
	commit.Base = number
	return commit, nil
}

// etag is the number of a revision in the form of a header; none before the first revision.
func etag(number uint64) string {
	if number == 0 {
		return ""
	}
	return fmt.Sprintf("%q", strconv.FormatUint(number, 10))
}
