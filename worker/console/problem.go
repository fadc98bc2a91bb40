package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"postlink/rules/source"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/console/api"
	"postlink/worker/desk"
)

// kinds lists every kind of problem with its status and title. Kinds are part of the API: programs branch on them, so they are
// never renamed. Package desk names its refusals in the same way; explain puts together those of some errors of the catalog.
var kinds = map[string]struct {
	status int
	title  string
}{
	api.KindMalformed:       {http.StatusBadRequest, "The request cannot be read"},
	api.KindInvalid:         {http.StatusUnprocessableEntity, "The request is not valid"},
	api.KindUnauthenticated: {http.StatusUnauthorized, "A token is needed"},
	api.KindForbidden:       {http.StatusForbidden, "The role does not allow this"},
	api.KindForeign:         {http.StatusForbidden, "The request comes from elsewhere"},
	api.KindNotFound:        {http.StatusNotFound, "There is nothing here"},
	api.KindMethod:          {http.StatusMethodNotAllowed, "This cannot be done here"},
	api.KindSlow:            {http.StatusRequestTimeout, "The request took too long to arrive"},
	api.KindTooLarge:        {http.StatusRequestEntityTooLarge, "The request is too large"},
	api.KindMediaType:       {http.StatusUnsupportedMediaType, "The body is of another type"},
	api.KindInternal:        {http.StatusInternalServerError, "Something went wrong"},
	api.KindUnreachable:     {http.StatusServiceUnavailable, "NATS cannot be reached"},
	api.KindTimeout:         {http.StatusGatewayTimeout, "It took too long"},

	api.KindRuleUnknown:      {http.StatusNotFound, "There is no such rule"},
	api.KindInstanceExists:   {http.StatusConflict, "The instance exists already"},
	api.KindEntityExists:     {http.StatusConflict, "The entity exists already"},
	api.KindInUse:            {http.StatusConflict, "Active rules use it"},
	api.KindRuleUnconfigured: {http.StatusConflict, "The rule leads nowhere"},
	api.KindCatalogInvalid:   {http.StatusUnprocessableEntity, "The catalog is not valid"},
	api.KindCatalogChanged:   {http.StatusPreconditionFailed, "The catalog was changed meanwhile"},
	api.KindCatalogBusy:      {http.StatusServiceUnavailable, "The catalog is being changed"},

	api.KindPostUnknown:      {http.StatusNotFound, "There is no such post"},
	api.KindPostAmbiguous:    {http.StatusConflict, "Several posts have this id"},
	api.KindPostInvalid:      {http.StatusUnprocessableEntity, "The post cannot be read"},
	api.KindPostForgotten:    {http.StatusGone, "The post is no longer kept"},
	api.KindNoCatalog:        {http.StatusNotFound, "Nothing is configured yet"},
	api.KindNoDefault:        {http.StatusUnprocessableEntity, "No instance is the default"},
	api.KindInstanceUnknown:  {http.StatusNotFound, "There is no such instance"},
	api.KindInstanceDisabled: {http.StatusConflict, "The instance is disabled"},
	api.KindInstanceDown:     {http.StatusBadGateway, "The instance does not answer"},
	api.KindSocialData:       {http.StatusConflict, "The instance refuses social data"},
	api.KindEntityUnknown:    {http.StatusNotFound, "There is no such entity"},
	api.KindEntityUnnamed:    {http.StatusUnprocessableEntity, "No entity is named"},
	api.KindEntityUnrelated:  {http.StatusUnprocessableEntity, "The record type cannot be used"},
	api.KindFieldUnknown:     {http.StatusUnprocessableEntity, "There is no such field"},
	api.KindNotesTooLong:     {http.StatusUnprocessableEntity, "The notes are too long"},
	api.KindAlreadyLinked:    {http.StatusConflict, "The post is already linked"},
	api.KindLinkUnknown:      {http.StatusNotFound, "There is no such link"},
	api.KindNotLinked:        {http.StatusNotFound, "The post is not linked"},
	api.KindStillQueued:      {http.StatusConflict, "The link is still queued"},
	api.KindRecordGone:       {http.StatusGone, "The record is gone"},
	api.KindLetterUnknown:    {http.StatusNotFound, "There is no such dead letter"},
}

// newProblem makes the problem of a kind; detail says what happened and what to do next. A kind without a row in kinds becomes
// internal, so that a name that was forgotten is a 500 and not an answer without a status.
func newProblem(kind, detail string) *api.Problem {
	k, ok := kinds[kind]
	if !ok {
		k, kind = kinds[api.KindInternal], api.KindInternal
	}
	return &api.Problem{Type: api.ProblemType + kind, Title: k.title, Status: k.status, Detail: detail}
}

// refusal is a problem in the form in which huma answers a request with it: huma asks an error for its status (huma.StatusError)
// and a body for its media type (huma.ContentTypeFilter).
type refusal struct{ *api.Problem }

// GetStatus is the status that the problem is answered with.
func (r refusal) GetStatus() int { return r.Status }

// ContentType is that of problems, whatever the answer would have had.
func (r refusal) ContentType(string) string { return problemMediaType }

const problemMediaType = "application/problem+json"

// writeProblem answers a request with a problem.
func writeProblem(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", problemMediaType)
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="postlink"`)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}

// explain is the one place that turns the errors of operations into problems; ctx is that of the operation. The text of an
// error that it does not know may hold what is not meant for clients: it is left out, and known is false.
//
// The order of the cases matters. When NATS is lost, whatever was under way fails in a way of its own, so the cause of the context
// counts before the error, except for a problem of this package. An error may match several cases, as when the guard of the
// catalog joins what it found: an entity in use is said before a rule without one, and the detail has the text of both.
//
// A time limit that is over means NATS, unless the operation asks Dynamics, which may have been the slow one.
func explain(ctx context.Context, err error) (p *api.Problem, known bool) {
	var (
		problem  *api.Problem
		refusal  *desk.Refusal
		notFound *catalog.NotFoundError
		exists   *catalog.ExistsError
		missing  *catalog.UnconfiguredError
		used     *catalog.InUseError
		invalid  source.Problems
	)
	switch {
	case errors.As(err, &problem):
		return problem, true
	case errors.Is(context.Cause(ctx), bus.ErrUnreachable): // whatever other error it became on the way here
		return interrupted(ctx, api.KindUnreachable, "NATS cannot be reached"), true
	case errors.As(err, &refusal):
		p := newProblem(refusal.Kind, refusal.Text)
		if refusal.Entry != nil {
			link := showLink(*refusal.Entry, refusal.Entry.Current())
			p.Link = &link
		}
		return p, true
	case errors.As(err, &used):
		p := newProblem(api.KindInUse, err.Error())
		p.Rules = used.Rules
		return p, true
	case errors.As(err, &missing):
		return newProblem(api.KindRuleUnconfigured, err.Error()), true
	case errors.As(err, &notFound):
		return newProblem(notFound.Kind+"-unknown", err.Error()), true
	case errors.As(err, &exists):
		return newProblem(exists.Kind+"-exists", err.Error()), true
	case errors.As(err, &invalid):
		p := newProblem(api.KindCatalogInvalid, "the catalog was not changed; correct what catalog lists, and try again")
		if len(invalid) == 1 {
			p.Detail = invalid[0].Message + "; the catalog was not changed, correct it and try again"
		}
		p.Catalog = showProblems(invalid)
		return p, true
	case errors.Is(err, catalog.ErrEmpty):
		return newProblem(api.KindNoCatalog, err.Error()), true
	case errors.Is(err, catalog.ErrConflict):
		return newProblem(api.KindCatalogChanged, err.Error()), true
	case errors.Is(err, catalog.ErrBusy):
		return newProblem(api.KindCatalogBusy, err.Error()), true
	case errors.Is(err, bus.ErrUnreachable):
		return interrupted(ctx, api.KindUnreachable, "NATS cannot be reached"), true
	case errors.Is(err, context.DeadlineExceeded) && !exchangeOf(ctx).op.asks: // nothing else was waited for
		return interrupted(ctx, api.KindUnreachable, "NATS does not answer in time"), true
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return interrupted(ctx, api.KindTimeout, "the answer took too long"), true
	}
	return newProblem(api.KindInternal, "the request could not be carried out; look for the request id in the log of the server, and try again"), false
}

// interrupted is the problem of an operation that ended half-way. Only a change may have been made before that: a program must
// look before it repeats one, and may repeat a read at once.
func interrupted(ctx context.Context, kind, what string) *api.Problem {
	if exchangeOf(ctx).op.change {
		return newProblem(kind, what+"; the change may have been made or not: look, and try again in a moment")
	}
	return newProblem(kind, what+"; try again in a moment")
}

func showProblems(problems source.Problems) []api.CatalogProblem {
	shown := make([]api.CatalogProblem, len(problems))
	for i, p := range problems {
		shown[i] = api.CatalogProblem{
			File: p.Pos.File, Line: p.Pos.Line, Column: p.Pos.Column, Rule: p.Rule, Message: p.Message, Snippet: p.Snippet,
		}
	}
	return shown
}

// restate makes a problem of what huma says of a request that it cannot read. Values that were sent are left out: they may be
// secrets. The status stays the one that huma chose, also where no kind has it.
func restate(model *huma.ErrorModel) *api.Problem {
	kind, detail := api.KindInternal, "the request could not be carried out; try again"
	switch model.Status {
	case http.StatusBadRequest:
		kind, detail = api.KindMalformed, "the request was not carried out; correct it and send it again"
	case http.StatusUnprocessableEntity:
		kind, detail = api.KindInvalid, "the request was not carried out; correct what errors lists, and send it again"
	case http.StatusUnsupportedMediaType:
		kind, detail = api.KindMediaType, "the body was not read; send it as application/json"
	}
	p := newProblem(kind, detail)
	p.Status = cmp.Or(model.Status, p.Status)
	for _, e := range model.Errors {
		if e != nil {
			p.Errors = append(p.Errors, api.InvalidValue{Location: e.Location, Message: e.Message})
		}
	}
	if len(p.Errors) == 0 && kind != api.KindInternal {
		p.Detail = model.Detail + "; correct the request and send it again"
	}
	return p
}
