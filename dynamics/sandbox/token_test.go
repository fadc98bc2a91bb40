package sandbox_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"postlink/dynamics/sandbox"
)

const tokenForm = "grant_type=client_credentials&client_id=app&client_secret=hush&scope=http%3A%2F%2Fcrm.test%2Fcontoso%2F.default"

func postForm(h http.Handler, path, form string) response {
	return serve(h, "POST", path, form, "Content-Type", "application/x-www-form-urlencoded")
}

func TestTokens(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{Clients: map[string]string{"app": "hush"}})
	r := postForm(o.Sandbox, "/tenant/oauth2/v2.0/token", tokenForm)
	if r.status != 200 || r.member("token_type") != "Bearer" || r.member("expires_in") != 3600.0 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	bearer := "Bearer " + r.member("access_token").(string)
	try := func(header string) response { return o.send("GET", root+"WhoAmI", "", "Authorization", header) }
	for name, header := range map[string]string{"none": "", "unknown": "Bearer x", "empty": "Bearer ", "of another kind": "Basic secret"} {
		r := try(header)
		if r.status != 401 || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer authorization_uri=http://crm.test/") {
			t.Errorf("a token that is %s: %d %v", name, r.status, r.header)
		}
	}
	if r := try(bearer); r.status != 200 {
		t.Errorf("the issued token: %d", r.status)
	}
	o.clock.advance(time.Hour)
	if r := try(bearer); r.status != 401 {
		t.Errorf("the expired token: %d", r.status)
	}
	bearer = "Bearer " + postForm(o.Sandbox, "/tenant/oauth2/v2.0/token", tokenForm).member("access_token").(string)
	o.ExpireTokens()
	if r := try(bearer); r.status != 401 {
		t.Errorf("a withdrawn token: %d", r.status)
	}
	if r := try("Bearer secret"); r.status != 200 {
		t.Errorf("the static token: %d", r.status)
	}
}

func TestTokensAreRefused(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{Clients: map[string]string{"app": "hush"}})
	for name, tc := range map[string]struct {
		replace [2]string
		status  int
		err     string
	}{
		"to a wrong secret":        {[2]string{"hush", "loud"}, 401, "invalid_client"},
		"to an unknown client":     {[2]string{"=app", "=apps"}, 401, "invalid_client"},
		"to no client":             {[2]string{"=app", "="}, 401, "invalid_client"},
		"for another grant":        {[2]string{"client_credentials", "password"}, 400, "unsupported_grant_type"},
		"for a scope of one right": {[2]string{".default", "user"}, 400, "invalid_scope"},
		"to a broken form":         {[2]string{"client_id", "%zz"}, 400, "invalid_request"},
		"to an endless form":       {[2]string{"hush", strings.Repeat("x", 70<<10)}, 400, "invalid_request"},
	} {
		r := postForm(o.Sandbox, "/tenant/oauth2/v2.0/token", strings.Replace(tokenForm, tc.replace[0], tc.replace[1], 1))
		if r.status != tc.status || r.member("error") != tc.err {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if r := o.send("GET", "/tenant/oauth2/v2.0/token", ""); r.status != 405 {
		t.Errorf("GET: %d", r.status)
	}
}

// Microsoft's own library gets a token and uses it.
func TestAzidentityGetsTokens(t *testing.T) {
	t.Parallel()
	contoso, err := sandbox.New(sandbox.Options{Name: "contoso", Clients: map[string]string{"app": "hush"}})
	if err != nil {
		t.Fatal(err)
	}
	fabrikam, err := sandbox.New(sandbox.Options{Name: "fabrikam"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(contoso)
	t.Cleanup(func() { server.Client().CloseIdleConnections(); server.Close() })
	cred, err := azidentity.NewClientSecretCredential("8d6c2f0e-0000-4000-8000-000000000001", "app", "hush", &azidentity.ClientSecretCredentialOptions{
		ClientOptions: azcore.ClientOptions{
			Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: server.URL},
			Transport: server.Client(),
		},
		DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{server.URL + "/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+root+"WhoAmI", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Token)
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
	if r := serve(fabrikam, "GET", root+"WhoAmI", "", "Authorization", "Bearer "+token.Token); r.status != 401 {
		t.Errorf("another organization takes the token: %d", r.status)
	}
}
