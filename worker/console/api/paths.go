package api

// Paths of the API, as patterns with the names of their parameters in braces; Path fills them in. A parameter is path-escaped
// as a whole: twitter/17 is written twitter%2F17. The comments name the methods and query parameters of each path.
const (
	PathOpenAPI = "/api/v1/openapi" // GET, with .json or .yaml

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

	PathRules          = "/api/v1/rules"                   // GET ?limit=&cursor=
	PathRule           = "/api/v1/rules/{rule}"            // GET
	PathActivateRule   = "/api/v1/rules/{rule}/activate"   // POST
	PathDeactivateRule = "/api/v1/rules/{rule}/deactivate" // POST

	PathPosts    = "/api/v1/posts"                 // GET ?link=&rule=&limit=&cursor=
	PathPost     = "/api/v1/posts/{post}"          // GET
	PathPostLink = "/api/v1/posts/{post}/link"     // GET, DELETE
	PathLinkURL  = "/api/v1/posts/{post}/link/url" // GET
	PathLinks    = "/api/v1/links"                 // GET ?state=&instance=&rule=&limit=&cursor=, POST ?wait=
	PathLink     = "/api/v1/links/{id}"            // GET; the link's GUID, or a name of its post

	PathDead          = "/api/v1/dead"                    // GET ?kind=&instance=&rule=&code=&since=&limit=&cursor=
	PathDeadCount     = "/api/v1/dead/count"              // GET ?kind=&instance=&rule=&code=&since=
	PathDeadLetter    = "/api/v1/dead/{sequence}"         // GET, DELETE
	PathRedriveLetter = "/api/v1/dead/{sequence}/redrive" // POST

	PathCatalog        = "/api/v1/catalog"         // GET, PUT ?message=
	PathCatalogPlan    = "/api/v1/catalog/plan"    // POST
	PathCatalogHistory = "/api/v1/catalog/history" // GET
	PathCatalogExport  = "/api/v1/catalog/export"  // GET

	PathEvents = "/api/v1/events" // GET, text/event-stream; resumes after Last-Event-ID
)
