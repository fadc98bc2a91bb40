package console

// Paths of the API, as patterns with the names of their parameters in braces. A parameter is path-escaped as a whole:
// twitter/17 is written twitter%2F17.
const (
	PathOpenAPI = "/api/v1/openapi" // .json and .yaml

	PathInstances        = "/api/v1/instances"                                         // GET, POST
	PathInstance         = "/api/v1/instances/{instance}"                              // GET, PATCH, DELETE
	PathEnableInstance   = "/api/v1/instances/{instance}/enable"                       // POST
	PathDisableInstance  = "/api/v1/instances/{instance}/disable"                      // POST
	PathDefaultInstance  = "/api/v1/instances/{instance}/default"                      // POST
	PathRefreshInstance  = "/api/v1/instances/{instance}/refresh"                      // POST
	PathRecordTypes      = "/api/v1/instances/{instance}/record-types"                 // GET
	PathRecordTypeFields = "/api/v1/instances/{instance}/record-types/{entity}/fields" // GET
	PathEntities         = "/api/v1/instances/{instance}/entities"                     // GET, POST
	PathEntity           = "/api/v1/instances/{instance}/entities/{entity}"            // DELETE
	PathEntityFields     = "/api/v1/instances/{instance}/entities/{entity}/fields"     // PUT

	PathRules          = "/api/v1/rules"                   // GET
	PathRule           = "/api/v1/rules/{rule}"            // GET
	PathActivateRule   = "/api/v1/rules/{rule}/activate"   // POST
	PathDeactivateRule = "/api/v1/rules/{rule}/deactivate" // POST

	PathPosts    = "/api/v1/posts"                 // GET ?link=&rule=&limit=&cursor=
	PathPost     = "/api/v1/posts/{post}"          // GET
	PathPostLink = "/api/v1/posts/{post}/link"     // GET, DELETE
	PathLinkURL  = "/api/v1/posts/{post}/link/url" // GET
	PathLinks    = "/api/v1/links"                 // GET ?state=&instance=&rule=&limit=&cursor=, POST ?wait=

	PathDead          = "/api/v1/dead"                    // GET ?kind=&limit=&cursor=
	PathDeadLetter    = "/api/v1/dead/{sequence}"         // GET, DELETE
	PathRedriveLetter = "/api/v1/dead/{sequence}/redrive" // POST

	PathCatalog        = "/api/v1/catalog"         // GET, PUT ?dry_run=&message=
	PathCatalogHistory = "/api/v1/catalog/history" // GET
	PathCatalogExport  = "/api/v1/catalog/export"  // GET

	PathEvents = "/api/v1/events" // GET, text/event-stream
)
