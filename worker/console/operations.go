package console

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postlink/worker/catalog"
	"postlink/worker/console/api"
)

// operation is one thing that can be asked of the API: how it is asked, by whom, within which bounds, how the document
// describes it, and the method that answers.
//
// Most of its fields have a meaning beyond the document. The gateway holds a request to role, maxBody and timeout, and audits it if
// change is set. explain takes asks and change into account: whether a timeout can be that of Dynamics, and whether something may
// have been changed before it. complete documents refusals by role, asks and change.
type operation struct {
	id           string // names it in the document and in the audit log
	method, path string
	role         Role // the least that may ask; anybody when 0
	tag          string
	summary      string
	description  string
	change       bool // it changes something, and is written to the audit log
	handle       binding

	status   int           // of success; 200 when 0
	accepted bool          // 202 is success too
	asks     bool          // Dynamics is asked
	example  any           // of the request's body
	produces string        // media type of the answer; JSON when empty
	maxBody  int64         // bytes; 1 MiB when 0
	timeout  time.Duration // from the arrival of the whole request on; 30 seconds when 0, a minute when Dynamics is asked
	stream   bool          // it answers with events and has no end of its own
}

// anybody is the role of operations that need no token.
const anybody Role = 0

// binding gives an operation to huma with the method that answers it.
type binding func(h *handlers, op operation, described huma.Operation)

// by binds a method. Its input and output types are what the document is made from, and what requests are checked against. It is
// generic so that operations can be one list although each method has types of its own.
func by[I, O any](method func(h *handlers, ctx context.Context, by caller, in *I) (*O, error)) binding {
	return func(h *handlers, op operation, described huma.Operation) {
		huma.Register(h.huma, described, func(ctx context.Context, in *I) (*O, error) {
			out, err := method(h, ctx, exchangeOf(ctx).caller, in)
			if err != nil {
				return nil, h.refuse(ctx, op, err)
			}
			return out, nil
		})
	}
}

const get, post, put, patch, remove = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete

// operations is the whole API. Paths and ids are stable: clients call the paths, and the audit log names the ids. An operation that
// is not in this list does not exist; the order is that of the resources, for readers.
var operations = []operation{
	{
		id: "list-instances", method: get, path: api.PathInstances, role: Reader, tag: tagInstances,
		summary:     "List the instances with their state",
		description: "Lists all instances of the catalog, by name, with what is known of each organization.",
		handle:      by((*handlers).listInstances),
	}, {
		id: "show-instance", method: get, path: api.PathInstance, role: Reader, tag: tagInstances,
		summary:     "Show an instance with its state",
		description: "Shows how an instance is reached, its entities, and whether deliveries to it succeed.",
		handle:      by((*handlers).showInstance),
	}, {
		id: "add-instance", method: post, path: api.PathInstances, role: Administrator, change: true, tag: tagInstances, status: http.StatusCreated,
		summary:     "Add an instance",
		description: "Adds an organization that posts can be linked to. Its entities are added afterwards. Links that the organization had under another name are its links again.",
		example:     exampleInstance,
		handle:      by((*handlers).addInstance),
	}, {
		id: "edit-instance", method: patch, path: api.PathInstance, role: Administrator, change: true, tag: tagInstances,
		summary:     "Change how an instance is reached",
		description: "Changes the address or the login of an instance. What the request leaves out stays.",
		example:     api.InstanceChange{URL: "https://contoso.crm4.dynamics.com"},
		handle:      by((*handlers).editInstance),
	}, {
		id: "enable-instance", method: post, path: api.PathEnableInstance, role: Administrator, change: true, tag: tagInstances,
		summary:     "Let an instance take links again",
		description: "Ends what disable-instance began. Rules that send posts to the instance can be activated again.",
		handle:      by(editing("enable instance", (*catalog.Catalog).EnableInstance)),
	}, {
		id: "disable-instance", method: post, path: api.PathDisableInstance, role: Administrator, change: true, tag: tagInstances,
		summary:     "Keep new links away from an instance",
		description: "Refused while active rules send posts to the instance. Links that wait for it are kept.",
		handle:      by(editing("disable instance", (*catalog.Catalog).DisableInstance)),
	}, {
		id: "default-instance", method: post, path: api.PathDefaultInstance, role: Administrator, change: true, tag: tagInstances,
		summary:     "Preselect an instance for manual links",
		description: "Makes the instance the default one, in place of any other.",
		handle:      by(editing("make the default instance", (*catalog.Catalog).SetDefault)),
	}, {
		id: "refresh-instance", method: post, path: api.PathRefreshInstance, role: Administrator, change: true, tag: tagInstances, asks: true,
		summary:     "Read the metadata of an instance again",
		description: "Asks Dynamics which record types and fields there are, and removes from the catalog what is gone, except entities that active rules use.",
		handle:      by((*handlers).refreshInstance),
	}, {
		id: "delete-instance", method: remove, path: api.PathInstance, role: Administrator, change: true, tag: tagInstances, status: http.StatusNoContent,
		summary:     "Delete an instance",
		description: "Refused while active rules use the instance. Its links are forgotten until its organization is added again; Dynamics is not touched.",
		handle:      by((*handlers).deleteInstance),
	},

	{
		id: "list-record-types", method: get, path: api.PathRecordTypes, role: Reader, tag: tagEntities, asks: true,
		summary:     "List the record types that an instance offers",
		description: "Asks Dynamics which record types can belong to a social activity.",
		handle:      by((*handlers).listRecordTypes),
	}, {
		id: "list-record-type-fields", method: get, path: api.PathRecordTypeFields, role: Reader, tag: tagEntities, asks: true,
		summary:     "List the fields of a record type",
		description: "Asks Dynamics which fields of a record type can be shown in record details.",
		handle:      by((*handlers).listFields),
	}, {
		id: "list-entities", method: get, path: api.PathEntities, role: Reader, tag: tagEntities,
		summary:     "List the entities of an instance",
		description: "Lists the record types that are configured for an instance, with the fields that record details show.",
		handle:      by((*handlers).listEntities),
	}, {
		id: "add-entity", method: post, path: api.PathEntities, role: Administrator, change: true, tag: tagEntities, status: http.StatusCreated, asks: true,
		summary:     "Configure a record type as an entity",
		description: "Adds a record type to those that posts can be linked to. Dynamics is asked whether the instance offers it.",
		example:     api.Entity{Name: "incident", Fields: []string{"title", "ticketnumber"}},
		handle:      by((*handlers).addEntity),
	}, {
		id: "remove-entity", method: remove, path: api.PathEntity, role: Administrator, change: true, tag: tagEntities, status: http.StatusNoContent,
		summary:     "Remove an entity from an instance",
		description: "Refused while active rules use the entity. Links that exist stay.",
		handle:      by((*handlers).removeEntity),
	}, {
		id: "set-entity-fields", method: put, path: api.PathEntityFields, role: Administrator, change: true, tag: tagEntities, asks: true,
		summary:     "Set the fields that record details show",
		description: "Replaces the whole ordered list of fields of an entity. Dynamics is asked whether it has them.",
		example:     api.Fields{Fields: []string{"title", "ticketnumber", "statuscode"}},
		handle:      by((*handlers).setEntityFields),
	},

	{
		id: "list-rules", method: get, path: api.PathRules, role: Reader, tag: tagRules,
		summary:     "List the rules, the newest first",
		description: "Of several rules that match a post, the first active one of this list acts.",
		handle:      by((*handlers).listRules),
	}, {
		id: "show-rule", method: get, path: api.PathRule, role: Reader, tag: tagRules,
		summary:     "Show a rule",
		description: "Shows a rule with what became of the posts that it took in the past 7 days.",
		handle:      by((*handlers).showRule),
	}, {
		id: "activate-rule", method: post, path: api.PathActivateRule, role: Administrator, change: true, tag: tagRules,
		summary:     "Activate a rule",
		description: "Lets the rule act on posts that arrive from now on. Refused when its instance is disabled or its entity is not configured.",
		handle:      by(switching("activate rule", (*catalog.Catalog).ActivateRule)),
	}, {
		id: "deactivate-rule", method: post, path: api.PathDeactivateRule, role: Administrator, change: true, tag: tagRules,
		summary:     "Deactivate a rule",
		description: "The rule takes no more posts, and hides no older rule any more. Its links stay.",
		handle:      by(switching("deactivate rule", (*catalog.Catalog).DeactivateRule)),
	},

	{
		id: "list-posts", method: get, path: api.PathPosts, role: Reader, tag: tagPosts,
		summary:     "List the posts of the stream, the newest first",
		description: "Lists posts with their newest link, page by page.",
		handle:      by((*handlers).listPosts),
	}, {
		id: "show-post", method: get, path: api.PathPost, role: Reader, tag: tagPosts,
		summary:     "Show a post and the history of its links",
		description: "Shows a post, who decided about it, and all its links, the oldest first.",
		handle:      by((*handlers).showPost),
	},

	{
		id: "list-links", method: get, path: api.PathLinks, role: Reader, tag: tagLinks,
		summary:     "List links, the last changed first",
		description: "Lists the newest link of each post, page by page.",
		handle:      by((*handlers).listLinks),
	}, {
		id: "create-link", method: post, path: api.PathLinks, role: Responder, change: true, tag: tagLinks,
		status: http.StatusCreated, accepted: true, asks: true, timeout: answerTime + maxWait*time.Second,
		summary: "Link a post",
		description: "Links a post of the stream, or one that the request brings along, to an instance. The answer is 201 when the record was made, and 202 " +
			"while it is not; then the address in Location says what became of it.",
		example: api.NewLink{Post: "@17", Instance: "contoso", Entity: "incident", Notes: "Asked to be called back"},
		handle:  by((*handlers).createLink),
	}, {
		id: "show-link", method: get, path: api.PathLink, role: Reader, tag: tagLinks,
		summary:     "Show a link",
		description: "Shows the link with a GUID, of any generation, or the newest link of the post with a name.",
		handle:      by((*handlers).showLink),
	}, {
		id: "show-link-details", method: get, path: api.PathPostLink, role: Reader, tag: tagLinks, asks: true,
		summary:     "Show the record of a post's link",
		description: "Asks Dynamics for the present values of the record, in the configured order; of the social activity while no record was made of it.",
		handle:      by((*handlers).showDetails),
	}, {
		id: "open-link", method: get, path: api.PathLinkURL, role: Reader, tag: tagLinks, asks: true,
		summary:     "Give the address of the record of a post's link",
		description: "The address is the one under which people open the record in Dynamics.",
		handle:      by((*handlers).openLink),
	}, {
		id: "remove-link", method: remove, path: api.PathPostLink, role: Manager, change: true, tag: tagLinks,
		summary:     "Remove the link of a post",
		description: "Removes the link for good, with its notes. The record in Dynamics is not touched, and the post can be linked again.",
		handle:      by((*handlers).removeLink),
	},

	{
		id: "list-dead-letters", method: get, path: api.PathDead, role: Reader, tag: tagDead,
		summary:     "List dead letters, the newest first",
		description: "Lists the posts and links that a person has to look at, page by page.",
		handle:      by((*handlers).listLetters),
	}, {
		id: "count-dead-letters", method: get, path: api.PathDeadCount, role: Reader, tag: tagDead,
		summary:     "Count dead letters",
		description: "Counts the dead letters that a list with the same filters would show.",
		handle:      by((*handlers).countLetters),
	}, {
		id: "show-dead-letter", method: get, path: api.PathDeadLetter, role: Reader, tag: tagDead,
		summary:     "Show a dead letter",
		description: "Shows a dead letter with the post that it holds.",
		handle:      by((*handlers).showLetter),
	}, {
		id: "redrive-dead-letter", method: post, path: api.PathRedriveLetter, role: Manager, change: true, tag: tagDead,
		summary:     "Send a dead letter on its way again",
		description: "A post goes back into the stream and is matched like a new one; a link is made again, as the next generation. The letter is dropped once that is safe.",
		handle:      by((*handlers).redriveLetter),
	}, {
		id: "drop-dead-letter", method: remove, path: api.PathDeadLetter, role: Administrator, change: true, tag: tagDead, status: http.StatusNoContent,
		summary:     "Delete a dead letter",
		description: "Deletes a dead letter for good. A link stays dead.",
		handle:      by((*handlers).dropLetter),
	},

	{
		id: "show-catalog", method: get, path: api.PathCatalog, role: Reader, tag: tagCatalog,
		summary:     "Show which revision of the catalog is in force",
		description: "Shows the revision in force, and how much is in it.",
		handle:      by((*handlers).showCatalog),
	}, {
		id: "list-revisions", method: get, path: api.PathCatalogHistory, role: Reader, tag: tagCatalog,
		summary:     "List the last revisions of the catalog, the newest first",
		description: "Says who changed the catalog, when and why.",
		handle:      by((*handlers).listRevisions),
	}, {
		id: "plan-catalog", method: post, path: api.PathCatalogPlan, role: Reader, tag: tagCatalog, maxBody: maxCatalogBody, timeout: catalogTime,
		summary:     "Say what a catalog would change",
		description: "Validates a whole catalog and compares it with the one in force. Nothing is changed.",
		example:     exampleCatalog,
		handle:      by((*handlers).planCatalog),
	}, {
		id: "apply-catalog", method: put, path: api.PathCatalog, role: Administrator, change: true, tag: tagCatalog, maxBody: maxCatalogBody, timeout: catalogTime,
		summary:     "Replace the whole catalog",
		description: "Validates a whole catalog and puts it in force as one revision, for all workers. Refused when it takes away what active rules use.",
		example:     exampleCatalog,
		handle:      by((*handlers).applyCatalog),
	}, {
		id: "export-catalog", method: get, path: api.PathCatalogExport, role: Reader, tag: tagCatalog, timeout: catalogTime, produces: yamlMediaType,
		summary:     "Write the catalog as one YAML file",
		description: "The file can be applied again. Secrets are not part of it, only where they are.",
		handle:      by((*handlers).exportCatalog),
	},

	{
		id: "follow-events", method: get, path: api.PathEvents, role: Reader, tag: tagEvents, stream: true, produces: "text/event-stream",
		summary: "Follow the changes of links",
		description: "Sends a link event for each change of a link's state, from now on or after the event that Last-Event-ID names, and an alive event at the " +
			"beginning and while nothing happens. Events may be repeated; id and state together name a change.",
		handle: by((*handlers).followEvents),
	},
	{
		id: "show-openapi-json", method: get, path: api.PathOpenAPI + ".json", role: anybody, tag: tagDocument, produces: openapiJSON,
		summary:     "Show this document as JSON",
		description: "Describes the API as OpenAPI 3.1. No token is needed.",
		handle:      by((*handlers).showDocumentJSON),
	}, {
		id: "show-openapi-yaml", method: get, path: api.PathOpenAPI + ".yaml", role: anybody, tag: tagDocument, produces: openapiYAML,
		summary:     "Show this document as YAML",
		description: "Describes the API as OpenAPI 3.1. No token is needed.",
		handle:      by((*handlers).showDocumentYAML),
	},
}

// Examples of requests in the document. Those that are longer than a line stand here. They have to be valid requests.
var (
	exampleInstance = api.NewInstance{
		Name: "contoso", URL: "https://contoso.crm.dynamics.com", Default: true,
		Auth: api.Auth{
			Kind: "client_credentials", Tenant: "contoso.onmicrosoft.com", ClientID: "11111111-2222-3333-4444-555555555555",
			ClientSecret: api.Secret{Env: "CONTOSO_SECRET"},
		},
	}
	exampleCatalog = `instances:
  - name: contoso
    url: https://contoso.crm.dynamics.com
    default: true
    auth: {kind: static, token: {env: CONTOSO_TOKEN}}
    entities: [{name: incident, fields: [title, ticketnumber]}]
rules:
  - name: cancelled-flights
    when: post.mentions("cancelled")
    link: {instance: contoso, entity: incident}
`
)
