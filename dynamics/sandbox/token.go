package sandbox

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// issuer is the token endpoint of the sandbox, standing in for Microsoft Entra ID. It grants client credentials only. Every tenant
// is accepted, and so is every resource that a scope names: what a token opens is the sandbox that issued it, and no other, also
// on the same Mux. Tokens are random text instead of signed JWTs, because clients must not look into them.
//
// azidentity, Microsoft's library, refuses an authority without https. A test that uses it needs httptest.NewTLSServer, and
// DisableInstanceDiscovery, or it would ask Microsoft whether the authority is real.
type issuer struct {
	opts Options

	mu     sync.Mutex           // guards issued
	issued map[string]time.Time // expiry by token; expired ones stay until the next is issued
}

func newIssuer(opts Options) *issuer { return &issuer{opts: opts, issued: map[string]time.Time{}} }

const (
	tokenPath  = "/oauth2/v2.0/token"
	configPath = "/v2.0/.well-known/openid-configuration"
	maxForm    = 64 << 10 // bytes of a token request

	tokenLifetime = time.Hour
)

// isTokenPath reports whether a path is that of a tenant's token endpoint or of the document that describes it. The tenant of Entra
// ID is the first segment of the path, and any one will do.
func isTokenPath(path string) bool {
	tenant, ok := strings.CutSuffix(path, tokenPath)
	if !ok {
		tenant, ok = strings.CutSuffix(path, configPath)
	}
	return ok && strings.Count(tenant, "/") == 1
}

// serve answers /{tenant}/oauth2/v2.0/token and the document that leads to it. Refusals have the OAuth shape, with error and
// error_description, whose text begins with an AADSTS number as those of Entra ID do.
func (i *issuer) serve(w http.ResponseWriter, r *http.Request, base, path string) {
	if tenant, ok := strings.CutSuffix(path, configPath); ok {
		writeConfiguration(w, base+tenant)
		return
	}
	if r.Method != http.MethodPost {
		tokenError(w, http.StatusMethodNotAllowed, "invalid_request", "AADSTS900561: The endpoint only accepts POST requests.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		tokenError(w, http.StatusBadRequest, "invalid_request", "AADSTS900144: The request body could not be read.")
		return
	}
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	switch {
	case r.PostForm.Get("grant_type") != "client_credentials":
		tokenError(w, http.StatusBadRequest, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.")
	case !hasDefaultScope(r.PostForm.Get("scope")):
		tokenError(w, http.StatusBadRequest, "invalid_scope", "AADSTS1002012: The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.")
	case !i.known(id, secret):
		tokenError(w, http.StatusUnauthorized, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
	default:
		w.Header().Set("Cache-Control", "no-store")
		writeJSON(w, http.StatusOK, map[string]any{
			"token_type": "Bearer", "expires_in": int(tokenLifetime / time.Second), "access_token": i.issue()})
	}
}

// writeConfiguration answers where the tenant's endpoints are.
func writeConfiguration(w http.ResponseWriter, tenant string) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                 tenant + "/v2.0",
		"token_endpoint":         tenant + tokenPath,
		"authorization_endpoint": tenant + "/oauth2/v2.0/authorize",
		"jwks_uri":               tenant + "/discovery/v2.0/keys",
	})
}

// hasDefaultScope reports whether one of the scopes ends in /.default, as this grant demands.
func hasDefaultScope(scopes string) bool {
	for scope := range strings.FieldsSeq(scopes) {
		if strings.HasSuffix(scope, "/.default") {
			return true
		}
	}
	return false
}

// known reports whether the client may have tokens: any that shows an id and a secret when Options.Clients is nil.
func (i *issuer) known(id, secret string) bool {
	if id == "" || secret == "" {
		return false
	}
	if i.opts.Clients == nil {
		return true
	}
	want, ok := i.opts.Clients[id]
	return ok && subtle.ConstantTimeCompare([]byte(want), []byte(secret)) == 1
}

// issue makes a token and drops the expired ones.
func (i *issuer) issue() string {
	token := "sandbox." + i.opts.Name + "." + rand.Text()
	now := i.opts.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	for old, expiry := range i.issued {
		if !now.Before(expiry) {
			delete(i.issued, old)
		}
	}
	i.issued[token] = now.Add(tokenLifetime)
	return token
}

// expire ends all issued tokens at once.
func (i *issuer) expire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.issued)
}

// valid reports whether an Authorization header carries a token that is accepted now. A token is invalid from the moment of its
// expiry on, and static ones have none.
func (i *issuer) valid(header string) bool {
	kind, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(kind, "Bearer") || token == "" {
		return false
	}
	for _, static := range i.opts.Tokens {
		if subtle.ConstantTimeCompare([]byte(static), []byte(token)) == 1 {
			return true
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	expiry, ok := i.issued[token]
	return ok && i.opts.Now().Before(expiry)
}

// ExpireTokens ends all tokens that the token endpoint issued; static ones stay. The next request with an ended token is 401, long
// before the client expects that.
func (s *Sandbox) ExpireTokens() { s.issuer.expire() }

// unauthorized refuses a request without a valid token, with a challenge instead of the usual error document.
func unauthorized(base string) *refusal {
	e := refuse(http.StatusUnauthorized, "", "HTTP Error 401 - Unauthorized: Access is denied")
	e.body = []byte(e.message)
	e.header = http.Header{
		"Content-Type":     {"text/html"},
		"Www-Authenticate": {"Bearer authorization_uri=" + base + "/common/oauth2/authorize, resource_id=" + base + "/"},
	}
	return e
}

func tokenError(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]any{"error": code, "error_description": description})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails when the client has gone away
}
