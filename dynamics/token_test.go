package dynamics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"postlink/dynamics"
)

func TestASecretIsReadFromItsPlace(t *testing.T) {
	t.Setenv("POSTLINK_TEST_SECRET", "from the environment\n")
	t.Setenv("POSTLINK_TEST_EMPTY", "\n")
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := map[string]struct {
		secret dynamics.Secret
		want   string
		err    string
	}{
		"a variable":                    {secret: dynamics.Secret{Env: "POSTLINK_TEST_SECRET"}, want: "from the environment"},
		"a file":                        {secret: dynamics.Secret{File: file("plain", "s3cret")}, want: "s3cret"},
		"a file that an editor saved":   {secret: dynamics.Secret{File: file("newline", " s3cret \n")}, want: " s3cret "},
		"a file from Windows":           {secret: dynamics.Secret{File: file("crlf", "s3cret\r\n")}, want: "s3cret"},
		"only one newline goes":         {secret: dynamics.Secret{File: file("two", "s3cret\n\n")}, want: "s3cret\n"},
		"a variable that is not set":    {secret: dynamics.Secret{Env: "POSTLINK_TEST_UNSET"}, err: "environment variable POSTLINK_TEST_UNSET is not set"},
		"a variable that is empty":      {secret: dynamics.Secret{Env: "POSTLINK_TEST_EMPTY"}, err: "environment variable POSTLINK_TEST_EMPTY is empty"},
		"a file that does not exist":    {secret: dynamics.Secret{File: filepath.Join(dir, "none")}, err: filepath.Join(dir, "none")},
		"a file that is empty":          {secret: dynamics.Secret{File: file("empty", "")}, err: "empty is empty"},
		"no place at all":               {err: "no secret is named"},
		"two places, which may differ ": {secret: dynamics.Secret{Env: "A", File: "b"}, err: "keep one of them"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.secret.Read()
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("read %q, %v; want %q, %q", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestAnAuthMakesItsTokenSource(t *testing.T) {
	t.Setenv("POSTLINK_TEST_TOKEN", "tok")
	i := dynamics.Instance{Name: "contoso", URL: "https://contoso.crm.dynamics.com"}
	t.Run("a static token that follows its place", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		write := func(s string) {
			if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("one\n")
		source, err := dynamics.Auth{Kind: dynamics.AuthStatic, Token: dynamics.Secret{File: path}}.TokenSource(i, nil)
		if err != nil {
			t.Fatal(err)
		}
		write("two\n")
		if got, err := source.Token(t.Context(), true); got != "two" || err != nil {
			t.Errorf("token %q, %v", got, err)
		}
	})
	t.Run("client credentials without a request", func(t *testing.T) {
		source, err := dynamics.Auth{Kind: dynamics.AuthClientCredentials, Tenant: "t", ClientID: "c", ClientSecret: dynamics.Secret{Env: "POSTLINK_TEST_TOKEN"}}.TokenSource(i, nil)
		if err != nil || source == nil {
			t.Fatal(err)
		}
	})
	env := dynamics.Secret{Env: "POSTLINK_TEST_TOKEN"}
	for name, tt := range map[string]struct {
		auth dynamics.Auth
		url  string
		want string
	}{
		"an unknown kind":           {auth: dynamics.Auth{Kind: "password"}, want: `unknown kind of authentication "password": use client_credentials or static`},
		"a static token without":    {auth: dynamics.Auth{Kind: dynamics.AuthStatic, Token: dynamics.Secret{Env: "POSTLINK_TEST_UNSET"}}, want: "POSTLINK_TEST_UNSET is not set"},
		"no secret":                 {auth: dynamics.Auth{Kind: dynamics.AuthClientCredentials, Tenant: "t", ClientID: "c", ClientSecret: dynamics.Secret{Env: "POSTLINK_TEST_UNSET"}}, want: "POSTLINK_TEST_UNSET is not set"},
		"no tenant":                 {auth: dynamics.Auth{Kind: dynamics.AuthClientCredentials, ClientID: "c", ClientSecret: env}, want: "tenant is missing"},
		"a tenant with odd letters": {auth: dynamics.Auth{Kind: dynamics.AuthClientCredentials, Tenant: "a/b", ClientID: "c", ClientSecret: env}, want: "tenant"},
		"no client id":              {auth: dynamics.Auth{Kind: dynamics.AuthClientCredentials, Tenant: "t", ClientSecret: env}, want: "client_id is missing"},
		"an authority without TLS":  {auth: dynamics.Auth{Kind: dynamics.AuthClientCredentials, Tenant: "t", ClientID: "c", ClientSecret: env, Authority: "http://login.example"}, want: "https"},
		"a URL without a host":      {auth: dynamics.Auth{Kind: dynamics.AuthClientCredentials, Tenant: "t", ClientID: "c", ClientSecret: env}, url: "contoso", want: "has no host"},
		"a URL that is none":        {auth: dynamics.Auth{Kind: dynamics.AuthClientCredentials, Tenant: "t", ClientID: "c", ClientSecret: env}, url: "http://[", want: "url"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := i
			if tt.url != "" {
				bad.URL = tt.url
			}
			_, err := tt.auth.TokenSource(bad, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "contoso") {
				t.Errorf("error %v, want the instance and %q in it", err, tt.want)
			}
		})
	}
	if _, err := dynamics.NewClientCredentials(dynamics.ClientCredentialsOptions{Instance: "contoso", Resource: i.URL, Tenant: "t", ClientID: "c"}); err == nil {
		t.Error("no error without a secret")
	}
}

// login is a token endpoint with TLS.
type login struct {
	*httptest.Server
	issued atomic.Int64
	form   atomic.Value // last request's, as text
}

// newLogin answers token requests with answer, or with a new token when that is nil.
func newLogin(t *testing.T, respond func(w http.ResponseWriter, r *http.Request) bool) *login {
	t.Helper()
	l := &login{}
	l.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
			base := "https://" + r.Host + "/tenant"
			answerJSON(w, 200, fmt.Sprintf(`{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q}`, base+"/v2.0", base+"/authorize", base+"/oauth2/v2.0/token"))
			return
		}
		_ = r.ParseForm()
		l.form.Store(fmt.Sprintf("%s %s %s", r.PostForm.Get("grant_type"), r.PostForm.Get("client_id"), strings.Fields(r.PostForm.Get("scope"))[0]))
		if respond != nil && respond(w, r) {
			return
		}
		answerJSON(w, 200, fmt.Sprintf(`{"token_type":"Bearer","expires_in":3599,"access_token":"issued-%d"}`, l.issued.Add(1)))
	}))
	l.Config.ErrorLog = quiet()
	l.StartTLS()
	t.Cleanup(l.Close)
	t.Cleanup(l.Client().CloseIdleConnections)
	return l
}

func (l *login) credentials(t *testing.T, change ...func(*dynamics.ClientCredentialsOptions)) *dynamics.ClientCredentials {
	t.Helper()
	o := dynamics.ClientCredentialsOptions{
		Instance: "contoso", Resource: "https://contoso.crm.dynamics.com/ignored/path", Authority: l.URL, Tenant: "tenant", ClientID: "app",
		Secret: func() (string, error) { return "s3cret", nil }, Transport: l.Client().Transport,
	}
	for _, f := range change {
		f(&o)
	}
	c, err := dynamics.NewClientCredentials(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientCredentialsKeepATokenUntilAFreshOneIsWanted(t *testing.T) {
	t.Parallel()
	l := newLogin(t, nil)
	c := l.credentials(t)
	want := []string{"issued-1", "issued-1", "issued-2", "issued-2"}
	for n, fresh := range []bool{false, false, true, false} {
		got, err := c.Token(t.Context(), fresh)
		if err != nil || got != want[n] {
			t.Fatalf("token %d: %q, %v; want %q", n, got, err, want[n])
		}
	}
	if got, want := l.form.Load(), "client_credentials app https://contoso.crm.dynamics.com/.default"; got != want {
		t.Errorf("request %q, want %q", got, want)
	}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if got, err := c.Token(t.Context(), false); err != nil || got != "issued-2" {
				t.Errorf("token %q, %v", got, err)
			}
		})
	}
	all.Wait()
}

func TestARotatedSecretIsTakenUp(t *testing.T) {
	t.Parallel()
	var secret atomic.Value
	secret.Store("old")
	l := newLogin(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.PostForm.Get("client_secret") == "new" {
			return false
		}
		answerJSON(w, 401, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: x\r\nTimestamp: y"}`)
		return true
	})
	c := l.credentials(t, func(o *dynamics.ClientCredentialsOptions) {
		o.Secret = func() (string, error) { return secret.Load().(string), nil }
	})
	_, err := c.Token(t.Context(), false)
	var refused *dynamics.TokenError
	if !errors.As(err, &refused) {
		t.Fatalf("error %v is no *TokenError", err)
	}
	want := dynamics.TokenError{Instance: "contoso", Status: 401, Code: "invalid_client", Message: "AADSTS7000215: Invalid client secret provided."}
	if *refused != want {
		t.Errorf("error %+v, want %+v", *refused, want)
	}
	if text := err.Error(); strings.Contains(text, "Trace") || !strings.Contains(text, "contoso") || !strings.Contains(text, "AADSTS7000215") {
		t.Errorf("text %q", text)
	}
	secret.Store("new")
	if got, err := c.Token(t.Context(), false); got != "issued-1" || err != nil {
		t.Errorf("token %q, %v", got, err)
	}
}

func TestASecretThatWentAwayIsTold(t *testing.T) {
	t.Parallel()
	l := newLogin(t, nil)
	present := true
	c := l.credentials(t, func(o *dynamics.ClientCredentialsOptions) {
		o.Secret = func() (string, error) {
			if present {
				return "s3cret", nil
			}
			return "", os.ErrNotExist
		}
	})
	if _, err := c.Token(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	present = false
	var missing *dynamics.TokenError
	if _, err := c.Token(t.Context(), true); !errors.As(err, &missing) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if got, err := c.Token(t.Context(), false); got != "issued-1" || err != nil {
		t.Errorf("token %q, %v: the one in hand should still do", got, err)
	}
}

func TestATokenEndpointThatFailsIsTold(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		respond func(w http.ResponseWriter)
		status  int
		code    string
		wait    time.Duration
	}{
		"with a page":               {respond: func(w http.ResponseWriter) { answer(w, 200, "text/html", page) }},
		"with a page of an error":   {respond: func(w http.ResponseWriter) { answer(w, 502, "text/html", page) }, status: 502},
		"with a redirect":           {respond: func(w http.ResponseWriter) { w.Header().Set("Location", "/elsewhere"); w.WriteHeader(302) }, status: 302},
		"with an object of another": {respond: func(w http.ResponseWriter) { answerJSON(w, 200, `{}`) }},
		"under load": {respond: func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "7")
			answerJSON(w, 429, `{"error":"temporarily_unavailable"}`)
		}, status: 429, code: "temporarily_unavailable", wait: 7 * time.Second},
		"without end": {respond: func(w http.ResponseWriter) {
			w.WriteHeader(500)
			_, _ = w.Write(make([]byte, 4<<20))
		}, status: 500},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			l := newLogin(t, func(w http.ResponseWriter, _ *http.Request) bool { asked.Add(1); tt.respond(w); return true })
			_, err := l.credentials(t).Token(t.Context(), false)
			var got *dynamics.TokenError
			if !errors.As(err, &got) {
				t.Fatalf("error %v is no *TokenError", err)
			}
			if got.Status != tt.status || got.Code != tt.code || got.RetryAfter != tt.wait || (got.Err == nil) != (tt.status != 0) {
				t.Errorf("error %+v", got)
			}
			if len(err.Error()) > 1000 || strings.Contains(err.Error(), "<") {
				t.Errorf("text %q", err)
			}
			if asked.Load() != 1 {
				t.Errorf("%d requests, want 1: repeating is the caller's", asked.Load())
			}
		})
	}
}

func TestATokenEndpointThatCannotBeReachedIsANetworkError(t *testing.T) {
	t.Parallel()
	l := newLogin(t, nil)
	c := l.credentials(t)
	l.Close()
	_, err := c.Token(t.Context(), false)
	var got *dynamics.TokenError
	if !errors.As(err, &got) || !errors.Is(err, syscall.ECONNREFUSED) || got.Status != 0 {
		t.Errorf("error %v, want a refused connection", err)
	}
}

func TestWhoWaitsForATokenMayGiveUp(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	l := newLogin(t, func(_ http.ResponseWriter, r *http.Request) bool {
		close(entered)
		<-r.Context().Done()
		return true
	})
	c := l.credentials(t)
	slow, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		var wrong *dynamics.TokenError
		if _, err := c.Token(slow, false); !errors.Is(err, context.Canceled) || errors.As(err, &wrong) {
			t.Errorf("error %v, want canceled", err)
		}
	})
	<-entered
	waiting, giveUp := context.WithCancel(t.Context())
	giveUp()
	if _, err := c.Token(waiting, false); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
	cancel()
	all.Wait()
}

func TestAClientRenewsTheTokenOfItsCredentials(t *testing.T) {
	t.Parallel()
	l := newLogin(t, nil)
	i := play(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer issued-1" {
			w.WriteHeader(401)
			return
		}
		w.WriteHeader(204)
	})
	c := newClient(t, i.URL, func(o *dynamics.Options) { o.Tokens = l.credentials(t) })
	if err := c.Create(t.Context(), anonymous()); err != nil || l.issued.Load() != 2 {
		t.Errorf("error %v after %d tokens", err, l.issued.Load())
	}
}
