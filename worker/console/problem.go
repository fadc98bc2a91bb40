package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/rules"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/catalog"
)

// ProblemType is what the type of every problem begins with; the rest is its kind.
const ProblemType = "urn:postlink:problem:"

// Kinds of problems that are not refusals of package worker.
const (
	kindMalformed       = "malformed-request"
	kindInvalid         = "invalid-request"
	kindUnauthenticated = "unauthenticated"
	kindForbidden       = "forbidden"
	kindForeign         = "foreign-request"
	kindNotFound        = "not-found"
	kindMethod          = "method-not-allowed"
	kindSlow            = "request-too-slow"
	kindTooLarge        = "request-too-large"
	kindMediaType       = "unsupported-media-type"
	kindInternal        = "internal"
	kindUnreachable     = "nats-unreachable"
	kindTimeout         = "timeout"

	kindRuleUnknown    = "rule-unknown"
	kindInstanceExists = "instance-exists"
	kindEntityExists   = "entity-exists"
	kindInUse          = "in-use"
	kindRuleTarget     = "rule-target"
	kindCatalogInvalid = "catalog-invalid"
	kindCatalogChanged = "catalog-changed"
	kindCatalogBusy    = "catalog-busy"
)

// kinds is every kind of problem: its status, and what it is called.
var kinds = map[string]struct {
	status int
	title  string
}{
	kindMalformed:       {http.StatusBadRequest, "The request cannot be read"},
	kindInvalid:         {http.StatusUnprocessableEntity, "The request is not valid"},
	kindUnauthenticated: {http.StatusUnauthorized, "A token is needed"},
	kindForbidden:       {http.StatusForbidden, "The role does not allow this"},
	kindForeign:         {http.StatusForbidden, "The request comes from elsewhere"},
	kindNotFound:        {http.StatusNotFound, "There is nothing here"},
	kindMethod:          {http.StatusMethodNotAllowed, "This cannot be done here"},
	kindSlow:            {http.StatusRequestTimeout, "The request took too long to arrive"},
	kindTooLarge:        {http.StatusRequestEntityTooLarge, "The request is too large"},
	kindMediaType:       {http.StatusUnsupportedMediaType, "The body is of another type"},
	kindInternal:        {http.StatusInternalServerError, "Something went wrong"},
	kindUnreachable:     {http.StatusServiceUnavailable, "NATS cannot be reached"},
	kindTimeout:         {http.StatusGatewayTimeout, "It took too long"},

	kindRuleUnknown:    {http.StatusNotFound, "There is no such rule"},
	kindInstanceExists: {http.StatusConflict, "The instance exists already"},
	kindEntityExists:   {http.StatusConflict, "The entity exists already"},
	kindInUse:          {http.StatusConflict, "Active rules use it"},
	kindRuleTarget:     {http.StatusConflict, "The rule leads nowhere"},
	kindCatalogInvalid: {http.StatusUnprocessableEntity, "The catalog is not valid"},
	kindCatalogChanged: {http.StatusPreconditionFailed, "The catalog was changed meanwhile"},
	kindCatalogBusy:    {http.StatusServiceUnavailable, "The catalog is being changed"},

	worker.RefusedPostUnknown:      {http.StatusNotFound, "There is no such post"},
	worker.RefusedPostAmbiguous:    {http.StatusConflict, "Several posts have this id"},
	worker.RefusedPostInvalid:      {http.StatusUnprocessableEntity, "The post cannot be read"},
	worker.RefusedPostForgotten:    {http.StatusGone, "The post is no longer kept"},
	worker.RefusedNoCatalog:        {http.StatusNotFound, "Nothing is configured yet"},
	worker.RefusedNoDefault:        {http.StatusUnprocessableEntity, "No instance is the default"},
	worker.RefusedInstanceUnknown:  {http.StatusNotFound, "There is no such instance"},
	worker.RefusedInstanceDisabled: {http.StatusConflict, "The instance is disabled"},
	worker.RefusedInstanceDown:     {http.StatusBadGateway, "The instance does not answer"},
	worker.RefusedSocialData:       {http.StatusConflict, "The instance refuses social data"},
	worker.RefusedEntityUnknown:    {http.StatusNotFound, "There is no such entity"},
	worker.RefusedEntityUnnamed:    {http.StatusUnprocessableEntity, "No entity is named"},
	worker.RefusedEntityUnrelated:  {http.StatusUnprocessableEntity, "The record type cannot be used"},
	worker.RefusedFieldUnknown:     {http.StatusUnprocessableEntity, "There is no such field"},
	worker.RefusedNotes:            {http.StatusUnprocessableEntity, "The notes are too long"},
	worker.RefusedAlreadyLinked:    {http.StatusConflict, "The post is already linked"},
	worker.RefusedNotLinked:        {http.StatusNotFound, "The post is not linked"},
	worker.RefusedNotSettled:       {http.StatusConflict, "The link is on its way"},
	worker.RefusedRecordGone:       {http.StatusGone, "The record is gone"},
	worker.RefusedLetterUnknown:    {http.StatusNotFound, "There is no such dead letter"},
}

// newProblem makes the problem of a kind; detail says what happened and what to do next.
func newProblem(kind, detail string) *Problem {
	k, ok := kinds[kind]
	if !ok {
		k, kind = kinds[kindInternal], kindInternal
	}
	return &Problem{Type: ProblemType + kind, Title: k.title, Status: k.status, Detail: detail}
}

// Error is the problem's detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the status that the problem is answered with.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of problems, whatever the answer would have had.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// write answers a request with the problem.
func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", p.ContentType(""))
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="postlink"`)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}

// explain is the one place that turns errors into problems. What it does not know is not told; known reports that.
func explain(err error) (p *Problem, known bool) {
	var (
		problem  *Problem
		refusal  *worker.Refusal
		notFound *catalog.NotFoundError
		exists   *catalog.ExistsError
		target   *catalog.TargetError
		used     *catalog.InUseError
		invalid  rules.Problems
	)
	switch {
	case errors.As(err, &problem):
		return problem, true
	case errors.As(err, &refusal):
		p := newProblem(refusal.Kind, refusal.Text)
		if refusal.Entry != nil {
			link := showLink(*refusal.Entry, refusal.Entry.Current())
			p.Link = &link
		}
		return p, true
	case errors.As(err, &used):
		p := newProblem(kindInUse, err.Error())
		p.Rules = used.Rules
		return p, true
	case errors.As(err, &target):
		return newProblem(kindRuleTarget, err.Error()), true
	case errors.As(err, &notFound):
		return newProblem(notFound.Kind+"-unknown", err.Error()), true
	case errors.As(err, &exists):
		return newProblem(exists.Kind+"-exists", err.Error()), true
	case errors.As(err, &invalid):
		p := newProblem(kindCatalogInvalid, "the catalog was not changed; correct what catalog lists, and try again")
		if len(invalid) == 1 {
			p.Detail = invalid[0].Message + "; the catalog was not changed, correct it and try again"
		}
		p.Catalog = showProblems(invalid)
		return p, true
	case errors.Is(err, catalog.ErrEmpty):
		return newProblem(worker.RefusedNoCatalog, err.Error()), true
	case errors.Is(err, catalog.ErrConflict):
		return newProblem(kindCatalogChanged, err.Error()), true
	case errors.Is(err, catalog.ErrBusy):
		return newProblem(kindCatalogBusy, err.Error()), true
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return newProblem(kindTimeout, "it took too long to answer; a change may have been made or not: look, and try again"), true
	case unreachable(err):
		return newProblem(kindUnreachable, "NATS cannot be reached; a change may have been made or not: look, and try again in a moment"), true
	}
	return newProblem(kindInternal, "the request could not be carried out; look for the request id in the log of the server, and try again"), false
}

func unreachable(err error) bool {
	for _, sentinel := range []error{
		bus.ErrUnreachable, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionClosed, nats.ErrDisconnected,
		nats.ErrReconnectBufExceeded, jetstream.ErrJetStreamNotEnabled, jetstream.ErrNoStreamResponse, jetstream.ErrNoHeartbeat,
	} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

func showProblems(problems rules.Problems) []CatalogProblem {
	shown := make([]CatalogProblem, len(problems))
	for i, p := range problems {
		shown[i] = CatalogProblem{
			File: p.Pos.File, Line: p.Pos.Line, Column: p.Pos.Column, Rule: p.Rule, Message: p.Message, Snippet: p.Snippet,
		}
	}
	return shown
}

// restate gives what huma says of a request that it cannot read the shape of all problems. Values that were sent are not
// sent back: they may be secrets.
func restate(model *huma.ErrorModel) *Problem {
	kind, detail := kindInternal, "the request could not be carried out; try again"
	switch model.Status {
	case http.StatusBadRequest:
		kind, detail = kindMalformed, "the request was not carried out; correct it and send it again"
	case http.StatusUnprocessableEntity:
		kind, detail = kindInvalid, "the request was not carried out; correct what errors lists, and send it again"
	case http.StatusUnsupportedMediaType:
		kind, detail = kindMediaType, "the body was not read; send it as application/json"
	}
	p := newProblem(kind, detail)
	p.Status = cmp.Or(model.Status, p.Status)
	for _, e := range model.Errors {
		if e != nil {
			p.Errors = append(p.Errors, InvalidValue{Location: e.Location, Message: e.Message})
		}
	}
	if len(p.Errors) == 0 && kind != kindInternal {
		p.Detail = model.Detail + "; correct the request and send it again"
	}
	return p
}
