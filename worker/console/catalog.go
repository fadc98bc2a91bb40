package console

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing/fstest"

	"postlink/worker/catalog"
	"postlink/worker/console/api"
)

// catalogFile is what problems call a catalog that was sent.
const catalogFile = "catalog.yaml"

// showCatalog answers 404 no-catalog before the first revision. Lists of what is in the catalog are empty then.
func (h *handlers) showCatalog(ctx context.Context, _ caller, _ *struct{}) (*tagged[api.Catalog], error) {
	revision, err := h.Catalog.Current(ctx)
	if err != nil {
		return nil, err
	}
	c := revision.Catalog
	shown := api.Catalog{Revision: showRevision(revision.Header), Instances: len(c.Instances), Rules: len(c.Rules)}
	for _, r := range c.Rules {
		if r.Active {
			shown.Active++
		}
	}
	return &tagged[api.Catalog]{etag(revision.Number), shown}, nil
}

// listRevisions has no pages: the bucket of the catalog keeps 64 revisions at most.
func (h *handlers) listRevisions(ctx context.Context, _ caller, _ *struct{}) (*body[api.List[api.Revision]], error) {
	headers, err := h.Catalog.History(ctx)
	if err != nil {
		return nil, err
	}
	shown := make([]api.Revision, len(headers))
	for i, header := range headers {
		shown[i] = showRevision(header)
	}
	return &body[api.List[api.Revision]]{all(shown)}, nil
}

// planCatalog is a POST because of its body. It changes nothing: any role may ask, and there is no audit line. It compares If-Match
// with the revision itself, since nothing is committed that would do so.
//
// The revision is read before the comparison, which reads the catalog again. When the catalog changes between the two, the ETag is
// the older one, and an apply with it is refused. In the other order a plan could be applied to a revision that it does not show.
func (h *handlers) planCatalog(ctx context.Context, by caller, in *struct {
	Precondition
	RawBody []byte `contentType:"application/yaml"`
},
) (*tagged[api.Plan], error) {
	next, err := sentCatalog(in.RawBody)
	if err != nil {
		return nil, err
	}
	commit, err := commitOf(by, in.Precondition, "")
	if err != nil {
		return nil, err
	}
	revision, err := h.current(ctx)
	if err != nil {
		return nil, err
	}
	if commit.Base != 0 && commit.Base != revision.Number {
		return nil, catalog.ErrConflict
	}
	plan, err := h.Catalog.Plan(ctx, next)
	if err != nil {
		return nil, err
	}
	answer := showPlan(revision, plan)
	return answer, h.countForgotten(ctx, answer.Body.Changes)
}

// countForgotten says of each instance that is removed how many links are forgotten with it. Counting reads the whole ledger, so
// it is done once, and only for a plan that removes an instance.
func (h *handlers) countForgotten(ctx context.Context, changes []api.Difference) error {
	var links map[string]int
	for i := range changes {
		d := &changes[i]
		if d.Op != catalog.Removed || d.Kind != "instance" {
			continue
		}
		if links == nil {
			var err error
			if links, err = h.Desk.Instances.LinkCounts(ctx); err != nil {
				return err
			}
		}
		d.Links = links[d.Name]
	}
	return nil
}

// applyCatalog answers with the revision in force afterwards. A catalog that equals the one in force makes no revision, so the
// request can be repeated when its answer was lost. With If-Match the repetition is refused if the first request made a revision.
func (h *handlers) applyCatalog(ctx context.Context, by caller, in *struct {
	Precondition
	Message string `query:"message" maxLength:"500" doc:"Why, for the history" example:"summer timetable"`
	RawBody []byte `contentType:"application/yaml"`
},
) (*tagged[api.Plan], error) {
	next, err := sentCatalog(in.RawBody)
	if err != nil {
		return nil, err
	}
	commit, err := commitOf(by, in.Precondition, cmp.Or(in.Message, "apply"))
	if err != nil {
		return nil, err
	}
	revision, plan, err := h.Catalog.Apply(ctx, next, commit)
	if err != nil {
		return nil, err
	}
	return showPlan(revision, plan), nil
}

func (h *handlers) exportCatalog(ctx context.Context, _ caller, _ *struct{}) (*file, error) {
	revision, err := h.Catalog.Current(ctx)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := revision.Catalog.Export(&text); err != nil {
		return nil, err
	}
	return &file{yamlMediaType, etag(revision.Number), text.Bytes()}, nil
}

// sentCatalog reads a catalog from the body of a request. The body's buffer is used again for other requests, so the catalog
// must not refer to it.
func sentCatalog(body []byte) (*catalog.Catalog, error) {
	return catalog.LoadFS(fstest.MapFS{catalogFile: {Data: bytes.Clone(body)}})
}

// current is the revision in force, or an empty one before the first.
func (h *handlers) current(ctx context.Context) (*catalog.Revision, error) {
	revision, err := h.Catalog.Current(ctx)
	if errors.Is(err, catalog.ErrEmpty) {
		return &catalog.Revision{Catalog: &catalog.Catalog{}}, nil
	}
	return revision, err
}

// commitOf makes the author, the message and the expected revision of a change from its request. Without If-Match, and with *, the
// change is made to whichever revision is in force. A weak ETag counts as a strong one, since proxies that compress weaken them.
//
// What is no revision at all is ErrConflict like one that is too old: the client has to look again in both cases.
func commitOf(by caller, on Precondition, message string) (catalog.Commit, error) {
	commit := catalog.Commit{Author: by.name, Message: message}
	tag := strings.TrimSpace(on.IfMatch)
	if tag == "" || tag == "*" {
		return commit, nil
	}
	number, err := strconv.ParseUint(strings.Trim(strings.TrimPrefix(tag, "W/"), `"`), 10, 64)
	if err != nil || number == 0 {
		return commit, fmt.Errorf("If-Match %s is not the ETag of a revision: %w", tag, catalog.ErrConflict)
	}
	commit.Base = number
	return commit, nil
}

// etag is the number of a revision in the form of a header; empty before the first revision.
func etag(number uint64) string {
	if number == 0 {
		return ""
	}
	return fmt.Sprintf("%q", strconv.FormatUint(number, 10))
}

func showRevision(h catalog.Header) api.Revision {
	return api.Revision{Number: h.Number, ID: h.ID, Author: h.Author, Message: h.Message, At: h.At}
}

// showPlan is what changes, with the revision in force. Before the first one there is neither Revision nor ETag.
func showPlan(revision *catalog.Revision, plan catalog.Plan) *tagged[api.Plan] {
	answer := &tagged[api.Plan]{etag(revision.Number), api.Plan{Changes: make([]api.Difference, len(plan))}}
	if revision.Number != 0 {
		shown := showRevision(revision.Header)
		answer.Body.Revision = &shown
	}
	for i, d := range plan {
		answer.Body.Changes[i] = api.Difference{Op: d.Op, Kind: d.Kind, Name: d.Name, Instance: d.Instance, Details: d.Details, Text: d.String()}
	}
	return answer
}
