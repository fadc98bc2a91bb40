package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"postlink/worker/console/api"
)

// Tags group the operations in the document.
const (
	tagInstances = "instances"
	tagEntities  = "entities"
	tagRules     = "rules"
	tagPosts     = "posts"
	tagLinks     = "links"
	tagDead      = "dead letters"
	tagCatalog   = "catalog"
	tagEvents    = "events"
	tagDocument  = "document"
)

var tags = []*huma.Tag{
	{Name: tagInstances, Description: "Dynamics 365 organizations that posts are linked to, and the state of the deliveries to them."},
	{Name: tagEntities, Description: "Record types that are configured for an instance, and those that it offers."},
	{Name: tagRules, Description: "Rules that link posts by themselves."},
	{Name: tagPosts, Description: "Social posts of the stream."},
	{Name: tagLinks, Description: "Links of posts to social activities, and the records that Dynamics made of them."},
	{Name: tagDead, Description: "Posts and links that could not be handled and wait for a person."},
	{Name: tagCatalog, Description: "Instances, entities and rules as one revisioned whole."},
	{Name: tagEvents, Description: "What happens to links, as it happens."},
	{Name: tagDocument, Description: "The description of this API."},
}

// refusals are the answers of refused requests that the document names, by status; others are documented as the default.
var refusals = map[int]string{
	http.StatusBadRequest:            "The request cannot be read.",
	http.StatusUnauthorized:          "The request carries no token that is known.",
	http.StatusForbidden:             "The token's role does not allow this.",
	http.StatusNotFound:              "What the path or the request names does not exist.",
	http.StatusConflict:              "The present state does not allow the change.",
	http.StatusPreconditionFailed:    "The catalog has a newer revision than the one that If-Match names.",
	http.StatusRequestEntityTooLarge: "The request is too large.",
	http.StatusUnsupportedMediaType:  "The body is of another media type.",
	http.StatusUnprocessableEntity:   "A parameter or the body is not valid.",
	http.StatusBadGateway:            "Dynamics does not answer as it should.",
	http.StatusServiceUnavailable:    "NATS cannot be reached, or the catalog is being changed by many at once; try again in a moment.",
}

// config describes the API as a whole. The document is made once and served by operations; huma serves no pages, and without its
// CreateHooks adds no links to schemas to our answers.
//
// A query parameter that an operation does not have is refused: a list with a mistyped filter would show everything.
//
// Where a request cannot be read, huma answers itself, and our methods are not called. The transformer sees each answer before it
// is written, and makes a problem of those.
func (h *handlers) config() huma.Config {
	config := huma.DefaultConfig("postlink", "1")
	config.Info.Description = "Links social posts to records of Dynamics 365. Problems are as RFC 9457 has them, with a stable type. " +
		"Changes of the catalog take If-Match and answer with an ETag, the number of the revision."
	config.Info.Contact = &huma.Contact{Name: "The administrator of this postlink"}
	config.Info.License = &huma.License{Name: "Apache 2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0.html"}
	config.Servers = []*huma.Server{{URL: "/", Description: "The server that this document comes from"}}
	config.Tags = tags
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "A token of the server's configuration. A server without tokens answers requests from its own machine only."},
	}
	problem := map[string]*huma.MediaType{
		problemMediaType: {Schema: config.Components.Schemas.Schema(reflect.TypeFor[api.Problem](), true, "")},
	}
	config.Components.Responses = map[string]*huma.Response{"Problem": {Description: "The request was not carried out.", Content: problem}}
	for status, description := range refusals {
		config.Components.Responses[component(status)] = &huma.Response{Description: description, Content: problem}
	}
	config.Transformers = []huma.Transformer{func(ctx huma.Context, _ string, v any) (any, error) {
		model, ok := v.(*huma.ErrorModel)
		if !ok {
			return v, nil
		}
		problem := restate(model)
		exchangeOf(ctx.Context()).refuse(problem)
		return problem, nil
	}}
	return config
}

// component is the name of a refusal among the components of the document.
func component(status int) string { return strings.ReplaceAll(http.StatusText(status), " ", "") }

// describe is what huma has to know of an operation before it is registered. An empty list of Security says that no token is
// needed. Roles are no words of OpenAPI, so the description names them.
func (h *handlers) describe(op operation) huma.Operation {
	described := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, DefaultStatus: op.status,
		Summary: op.summary, Description: op.description, Tags: []string{op.tag},
		Security:        []map[string][]string{},
		MaxBodyBytes:    -1, // the gateway reads bodies
		BodyReadTimeout: -1,
		Responses:       map[string]*huma.Response{"default": {Ref: "#/components/responses/Problem"}},
	}
	if op.role != anybody {
		described.Description += " Takes the role " + op.role.String() + "."
		described.Security = append(described.Security, map[string][]string{"token": {}})
	}
	if op.produces != "" {
		schema := &huma.Schema{Type: huma.TypeString}
		if op.stream {
			schema = h.eventSchema()
		}
		described.Responses[strconv.Itoa(op.status)] = &huma.Response{Content: map[string]*huma.MediaType{op.produces: {Schema: schema}}}
	}
	return described
}

// eventSchema describes server-sent events, which OpenAPI has no words for, as an array of the events.
func (h *handlers) eventSchema() *huma.Schema {
	schemas := h.huma.OpenAPI().Components.Schemas
	event := func(name string, data reflect.Type) *huma.Schema {
		return &huma.Schema{
			Title: "Event " + name, Type: huma.TypeObject, Required: []string{"event", "data"},
			Properties: map[string]*huma.Schema{
				"id":    {Type: huma.TypeString, Description: "Names the event; send it as Last-Event-ID to go on after it"},
				"event": {Type: huma.TypeString, Enum: []any{name}},
				"data":  schemas.Schema(data, true, ""),
			},
		}
	}
	return &huma.Schema{
		Type: huma.TypeArray, Description: "Server-sent events, each with one of these forms",
		Items: &huma.Schema{OneOf: []*huma.Schema{
			event(eventLink, reflect.TypeFor[api.LinkEvent]()), event(eventAlive, reflect.TypeFor[api.Alive]()),
		}},
	}
}

// complete adds to the document what follows from an operation as huma registered it: refusals, examples, media types. huma knows
// the answer of success; the refusals follow from what the operation is: who may ask, whether its path names something, whether
// Dynamics is asked, whether it changes anything. A new kind of refusal that none of these imply belongs here.
func (h *handlers) complete(op operation) {
	path := h.huma.OpenAPI().Paths[op.path]
	described := map[string]*huma.Operation{get: path.Get, post: path.Post, put: path.Put, patch: path.Patch, remove: path.Delete}[op.method]
	statuses := []int{http.StatusUnprocessableEntity}
	if op.role != anybody {
		statuses = append(statuses, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable)
	}
	if strings.Contains(op.path, "{") {
		statuses = append(statuses, http.StatusNotFound)
	}
	if op.asks {
		statuses = append(statuses, http.StatusBadGateway)
	}
	if op.change {
		statuses = append(statuses, http.StatusConflict)
	}
	if slices.ContainsFunc(described.Parameters, func(p *huma.Param) bool { return p.Name == "If-Match" }) {
		statuses = append(statuses, http.StatusPreconditionFailed)
	}
	if body := described.RequestBody; body != nil {
		statuses = append(statuses, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
		for mediaType, content := range body.Content {
			content.Example = op.example
			if mediaType == yamlMediaType {
				content.Schema = &huma.Schema{Type: huma.TypeString}
			}
		}
	}
	for _, status := range statuses {
		described.Responses[strconv.Itoa(status)] = &huma.Response{Ref: "#/components/responses/" + component(status)}
	}
	if op.accepted {
		created := *described.Responses[strconv.Itoa(op.status)]
		created.Description = http.StatusText(http.StatusAccepted)
		described.Responses[strconv.Itoa(http.StatusAccepted)] = &created
	}
}

// writeDocuments makes the texts of the document, after all operations are registered. Both are the same for every caller and do
// not change while the process runs.
func (h *handlers) writeDocuments() error {
	schemas := h.huma.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel") // huma's own, which never leaves us
	delete(schemas, "ErrorDetail")
	asJSON, err := json.MarshalIndent(h.huma.OpenAPI(), "", "  ")
	if err != nil {
		return fmt.Errorf("write the OpenAPI document: %w", err)
	}
	asYAML, err := h.huma.OpenAPI().YAML()
	if err != nil {
		return fmt.Errorf("write the OpenAPI document: %w", err)
	}
	h.documents = map[string][]byte{openapiJSON: asJSON, openapiYAML: asYAML}
	return nil
}

// Media types of the document, and of catalogs.
const (
	openapiJSON   = "application/openapi+json"
	openapiYAML   = "application/openapi+yaml"
	yamlMediaType = "application/yaml"
)

func (h *handlers) showDocumentJSON(context.Context, caller, *struct{}) (*file, error) {
	return &file{ContentType: openapiJSON, Body: h.documents[openapiJSON]}, nil
}

func (h *handlers) showDocumentYAML(context.Context, caller, *struct{}) (*file, error) {
	return &file{ContentType: openapiYAML, Body: h.documents[openapiYAML]}, nil
}
