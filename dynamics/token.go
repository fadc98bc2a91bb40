package dynamics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// TokenSource gives bearer tokens for one instance. It is safe for concurrent use and keeps tokens until they expire. Whatever error
// it returns reaches callers of Client as a *TokenError, unless their own context has ended.
type TokenSource interface {
	// Token returns a token. With fresh it gets a new one, because the instance has refused the one that it keeps.
	Token(ctx context.Context, fresh bool) (string, error)
}

// StaticToken is a token that never changes.
type StaticToken string

// Token returns the token.
func (t StaticToken) Token(context.Context, bool) (string, error) { return string(t), nil }

// TokenError means that there was no token to send a request with. The instance itself may well be up.
type TokenError struct {
	Instance string // name or URL of the instance that the token is for
	// Status of the token endpoint's answer; 0 when it gave none, or when its answer made no sense.
	Status int
	// Code and Message of the answer, as in invalid_client; empty when it has none.
	Code, Message string
	RetryAfter    time.Duration // as in Error
	Err           error         // what went wrong when Status is 0: a network error, a missing secret
}

func (e *TokenError) Error() string {
	text := "get a token for " + e.Instance
	if e.Status != 0 {
		text += fmt.Sprintf(": the token endpoint answered %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Code != "" {
		text += ", " + e.Code
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *TokenError) Unwrap() error { return e.Err }

// Read returns the secret, without one trailing newline. The error says where it is missing.
func (s Secret) Read() (string, error) {
	var value, place string
	switch {
	case s.Env != "" && s.File != "":
		return "", fmt.Errorf("the secret is both in environment variable %s and in file %s: keep one of them", s.Env, s.File)
	case s.Env != "":
		place = "environment variable " + s.Env
		text, set := os.LookupEnv(s.Env)
		if !set {
			return "", fmt.Errorf("%s is not set: set it to the secret", place)
		}
		value = text
	case s.File != "":
		place = "file " + s.File
		text, err := os.ReadFile(s.File)
		if err != nil {
			return "", fmt.Errorf("read secret: %w: put the secret into that file", err)
		}
		value = string(text)
	default:
		return "", errors.New("no secret is named: give an environment variable (env) or a file (file)")
	}
	value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	if value == "" {
		return "", fmt.Errorf("%s is empty: put the secret there", place)
	}
	return value, nil
}

// TokenSource returns the source of tokens for the instance, whose URL is the audience of its tokens. It reads the secret at
// once, so that a missing one is reported at the start, and again when the instance refuses a token, so that a rotated one is
// taken up. Requests to the token endpoint go through transport; nil is a default one.
func (a Auth) TokenSource(i Instance, transport http.RoundTripper) (TokenSource, error) {
	switch a.Kind {
	case AuthStatic:
		s := secretToken{instance: i.Name, secret: a.Token}
		if _, err := s.Token(context.Background(), false); err != nil {
			return nil, err
		}
		return s, nil
	case AuthClientCredentials:
		return NewClientCredentials(ClientCredentialsOptions{
			Instance:  i.Name,
			Resource:  i.URL,
			Authority: a.Authority,
			Tenant:    a.Tenant,
			ClientID:  a.ClientID,
			Secret:    a.ClientSecret.Read,
			Transport: transport,
		})
	}
	return nil, fmt.Errorf("instance %s: unknown kind of authentication %q: use %s or %s", i.Name, a.Kind, AuthClientCredentials, AuthStatic)
}

// secretToken reads a fixed token from its variable or file, at every use.
type secretToken struct {
	instance string
	secret   Secret
}

func (s secretToken) Token(context.Context, bool) (string, error) {
	token, err := s.secret.Read()
	if err != nil {
		return "", &TokenError{Instance: s.instance, Err: err}
	}
	return token, nil
}

// ClientCredentialsOptions say how an app registration in Microsoft Entra ID gets tokens for an instance.
type ClientCredentialsOptions struct {
	Instance  string                 // name of the instance, for errors
	Resource  string                 // URL of the instance; its scheme and host are the audience of the tokens
	Authority string                 // login host, with https; https://login.microsoftonline.com when empty
	Tenant    string                 // tenant id or domain; "adfs" for AD FS
	ClientID  string                 // of the app registration
	Secret    func() (string, error) // reads the client secret; called again when tokens are refused
	Transport http.RoundTripper      // a default one when nil
}

func (o *ClientCredentialsOptions) validate() error {
	resource, err := url.Parse(o.Resource)
	switch {
	case err != nil:
		return fmt.Errorf("url: %w", err)
	case resource.Host == "":
		return fmt.Errorf("url %q has no host: use one like https://contoso.crm.dynamics.com", o.Resource)
	case o.Tenant == "":
		return errors.New("tenant is missing: give the id of the Microsoft Entra tenant")
	case o.ClientID == "":
		return errors.New("client_id is missing: give the id of the app registration")
	case o.Secret == nil:
		return errors.New("client_secret is missing")
	}
	o.Resource = resource.Scheme + "://" + resource.Host
	return nil
}

// ClientCredentials gets tokens with a client id and secret. One request for a token runs at a time; callers wait for it until
// their own context ends. A failure is not remembered: each waiting caller then asks anew, and how soon is up to the caller.
type ClientCredentials struct {
	opts ClientCredentialsOptions

	turn     chan struct{} // holds one element while free; guards what follows
	cred     *azidentity.ClientSecretCredential
	secret   string // that cred was made with
	endpoint *tokenTransport
}

// NewClientCredentials reads the secret and checks the options. It makes no request.
func NewClientCredentials(opts ClientCredentialsOptions) (*ClientCredentials, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("credentials of instance %s: %w", opts.Instance, err)
	}
	if opts.Transport == nil {
		opts.Transport = newTransport()
	}
	c := &ClientCredentials{
		opts:     opts,
		turn:     make(chan struct{}, 1),
		endpoint: &tokenTransport{http: httpClient(opts.Transport)},
	}
	if _, err := c.renew(); err != nil {
		return nil, err
	}
	c.turn <- struct{}{}
	return c, nil
}

// Token returns the token that it keeps, or a new one when there is none, it is about to expire, or fresh asks for one.
// Failures are of type *TokenError, unless ctx has ended. A failure without fresh is tried once more when the secret has changed.
func (c *ClientCredentials) Token(ctx context.Context, fresh bool) (string, error) {
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if fresh {
		if _, err := c.renew(); err != nil {
			return "", err
		}
	}
	token, err := c.acquire(ctx)
	if err == nil || fresh || ctx.Err() != nil {
		return token, err
	}
	// The secret may have been rotated since.
	if changed, secretErr := c.renew(); secretErr != nil || !changed {
		return "", err
	}
	return c.acquire(ctx)
}

// renew reads the secret and makes a credential whose cache is empty. It reports whether the secret has changed. azidentity's
// TokenRequestOptions cannot ask for a token past its cache, so a refused token goes only with its credential.
func (c *ClientCredentials) renew() (changed bool, err error) {
	secret, err := c.opts.Secret()
	if err != nil {
		return false, &TokenError{Instance: c.opts.Instance, Err: err}
	}
	options := &azidentity.ClientSecretCredentialOptions{
		ClientOptions: policy.ClientOptions{
			Transport: c.endpoint,
			Telemetry: policy.TelemetryOptions{Disabled: true},
			Retry:     policy.RetryOptions{MaxRetries: -1}, // retries are decided by our caller
		},
		DisableInstanceDiscovery: c.opts.Authority != "", // Microsoft's public cloud does not know other login hosts
	}
	if c.opts.Authority != "" {
		options.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: c.opts.Authority}
	}
	cred, err := azidentity.NewClientSecretCredential(c.opts.Tenant, c.opts.ClientID, secret, options)
	if err != nil {
		return false, &TokenError{Instance: c.opts.Instance, Err: err}
	}
	changed = secret != c.secret
	c.cred, c.secret = cred, secret
	return changed, nil
}

// acquire asks the credential for a token, which may come from its cache. The caller has the turn. Its error is made of what
// the endpoint's transport noted; azidentity's own counts only when no request was sent.
func (c *ClientCredentials) acquire(ctx context.Context) (string, error) {
	c.endpoint.failure, c.endpoint.answer = nil, nil
	token, err := c.cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{c.opts.Resource + "/.default"}})
	switch {
	case err == nil:
		return token.Token, nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("get a token for %s: %w", c.opts.Instance, ctx.Err())
	}
	failed := &TokenError{Instance: c.opts.Instance}
	switch answer := c.endpoint.answer; {
	case c.endpoint.failure != nil:
		failed.Err = c.endpoint.failure
	case answer == nil:
		failed.Err = errors.New(excerpt(err.Error()))
	case answer.status < 300:
		failed.Err = errors.New("the answer of the token endpoint holds no token: check authority and tenant")
	default:
		failed.Status = answer.status
		failed.Code, failed.Message = answer.describe()
		failed.RetryAfter = retryAfter(answer.header, time.Now())
	}
	return "", failed
}

// tokenTransport sends the requests of azidentity and keeps the failure or answer of the last one, because azidentity's own
// error loses the cause and repeats whole pages. The turn of ClientCredentials guards it.
type tokenTransport struct {
	http    *http.Client
	failure error
	answer  *tokenAnswer
}

// tokenAnswer is the last answer of a token endpoint.
type tokenAnswer struct {
	status int
	header http.Header
	body   []byte
}

// describe returns the OAuth error code and the first line of its description.
func (a *tokenAnswer) describe() (code, message string) {
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(a.body, &answer) != nil {
		return "", ""
	}
	first, _, _ := strings.Cut(strings.ReplaceAll(answer.Description, "\r", "\n"), "\n")
	return excerpt(answer.Error), excerpt(first)
}

func (t *tokenTransport) Do(req *http.Request) (*http.Response, error) {
	t.failure, t.answer = nil, nil
	resp, err := t.http.Do(req)
	if err != nil {
		t.failure = cause(err)
		return nil, t.failure
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		t.failure = err
		return nil, err
	}
	t.answer = &tokenAnswer{status: resp.StatusCode, header: resp.Header, body: body}
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp, nil
}
