package dynamics

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
)

// Options of a Client. Instance and Tokens are required.
type Options struct {
	Instance Instance
	Tokens   TokenSource
	// Transport sends the requests; nil is a transport of the client's own. Redirects are not followed, and cookies are not
	// sent, because they would bind all requests to one web server and its limits.
	Transport http.RoundTripper
	Timeout   time.Duration    // of one request, from connecting to the last byte of the answer; 30 s when 0
	Now       func() time.Time // time.Now when nil
}

const (
	apiPath    = "/api/data/v9.2/"
	userAgent  = "postlink"
	maxAuthors = 10_000  // authors whose records are remembered
	maxBody    = 4 << 20 // bytes of one answer, unpacked
	// maxLargeBody is the limit of answers that hold every table, every column, or a record with all its columns.
	maxLargeBody = 8 * maxBody
)

func (o *Options) validate() error {
	u, err := url.Parse(o.Instance.URL)
	switch {
	case o.Instance.Name == "":
		return errors.New("the instance has no name")
	case err != nil:
		return fmt.Errorf("instance %s: url: %w", o.Instance.Name, err)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("instance %s: url %q is not that of a web server: use one like https://contoso.crm.dynamics.com", o.Instance.Name, o.Instance.URL)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("instance %s: url %q has more than a host and a path: leave user, query and fragment out", o.Instance.Name, u.Redacted())
	case o.Tokens == nil:
		return fmt.Errorf("instance %s: there is no source of tokens", o.Instance.Name)
	case o.Timeout < 0:
		return fmt.Errorf("instance %s: the timeout cannot be negative", o.Instance.Name)
	}
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	return nil
}

// Client speaks to one instance. It is safe for concurrent use: the authors and record types that it remembers are behind
// locks, which are not held during requests. When several requests need a new token, one of them fetches it.
//
// It sends each request once, and once more with a fresh token when the first token is refused. Every other repetition, and
// the number of requests at a time, are up to the caller.
type Client struct {
	opts    Options
	http    *http.Client
	api     string // root of the Web API, with a slash at the end
	authors *authors
	schemas *lru.Cache[string, schema]

	renewal chan struct{} // holds one element while no fresh token is being fetched; a channel, so that a context ends the wait
}

// New checks the options. It makes no request.
func New(opts Options) (*Client, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("client of Dynamics 365: %w", err)
	}
	authors, err := newAuthors(maxAuthors)
	if err != nil {
		return nil, err
	}
	schemas, err := lru.New[string, schema](maxSchemas)
	if err != nil {
		return nil, err
	}
	c := &Client{
		opts:    opts,
		http:    httpClient(opts.Transport),
		api:     strings.TrimRight(opts.Instance.URL, "/") + apiPath,
		authors: authors,
		schemas: schemas,
		renewal: make(chan struct{}, 1),
	}
	c.renewal <- struct{}{}
	return c, nil
}

// CloseIdleConnections closes the connections that no request uses. Call it when the client is no longer needed.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// RecordURL is the address at which people open a record of the instance in their browser.
func (c *Client) RecordURL(entity string, id uuid.UUID) string {
	return c.opts.Instance.RecordURL(entity, id)
}

// newTransport is Go's default transport with shorter timeouts, more connections to one host and a limit on headers. All requests
// of a client go to one host, where Go's default keeps only two idle connections of HTTP/1.1 and dials anew for the rest.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           128,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// httpClient follows no redirects and keeps no cookies.
func httpClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request is one call of the Web API.
type request struct {
	op         string // for errors: "create contact 5b1f..."
	method     string
	path       string // under the root of the API, with the query, encoded
	body       any    // sent as JSON; nothing when nil
	createOnly bool   // an existing record is not changed
	prefer     string
	current    bool  // metadata must not come from the instance's cache, which lags behind customizations
	limit      int64 // bytes of the answer; maxBody when 0
}

// do sends the request and decodes the answer into out, unless that is nil. Answers other than success are an *Error, missing
// tokens a *TokenError; everything else is the network's error.
func (c *Client) do(ctx context.Context, r request, out any) error {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return fmt.Errorf("%s: %w", r.op, err)
		}
	}
	token, err := c.token(ctx, "")
	if err != nil {
		return fmt.Errorf("%s: %w", r.op, err)
	}
	err = c.send(ctx, r, body, token, out)
	if refused, ok := errors.AsType[*Error](err); !ok || refused.Status != http.StatusUnauthorized {
		return err
	}
	if token, err = c.token(ctx, token); err != nil {
		return fmt.Errorf("%s: %w", r.op, err)
	}
	return c.send(ctx, r, body, token, out)
}

// token returns a token other than the refused one, if there is another. When the same token was refused to several requests,
// only one of them asks for a fresh one. Before it does, it asks twice for the token that the source keeps: at once, and when it
// holds renewal, since another request may have renewed the token meanwhile. The whole takes at most Options.Timeout.
func (c *Client) token(ctx context.Context, refused string) (string, error) {
	attempt, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	token, err := c.opts.Tokens.Token(attempt, false)
	if err == nil && refused != "" && token == refused {
		select {
		case <-c.renewal:
			defer func() { c.renewal <- struct{}{} }()
		case <-attempt.Done():
			return "", c.tokenError(ctx, attempt.Err())
		}
		if token, err = c.opts.Tokens.Token(attempt, false); err == nil && token == refused {
			token, err = c.opts.Tokens.Token(attempt, true)
		}
	}
	if err != nil {
		return "", c.tokenError(ctx, err)
	}
	return token, nil
}

// tokenError returns ctx's own error when ctx has ended, else err as a *TokenError.
func (c *Client) tokenError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ok := errors.AsType[*TokenError](err); ok {
		return err
	}
	return &TokenError{Instance: c.opts.Instance.Name, Err: err}
}

// send makes one HTTP request. Only an answer that was read to its end can be success: a body that breaks off is an error of the
// network. The body of a refusal may break off: its status and headers count all the same.
func (c *Client) send(ctx context.Context, r request, body []byte, token string, out any) error {
	attempt, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(attempt, r.method, c.api+r.path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", r.op, err)
	}
	id := uuid.NewString()
	header(req.Header, r, token, id)
	resp, err := c.http.Do(req)
	if err != nil {
		return c.broken(ctx, attempt, r, err)
	}
	// Reading to the end lets the connection be used again; a body over the limit costs the connection.
	defer resp.Body.Close()
	limit := cmp.Or(r.limit, maxBody)
	if resp.StatusCode >= 300 {
		limit = maxErrorBody
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	tooLarge := int64(len(answer)) > limit
	if err != nil && resp.StatusCode < 300 {
		return c.broken(ctx, attempt, r, err)
	}
	failed := &Error{
		Op:         r.op,
		Instance:   c.opts.Instance.Name,
		Status:     resp.StatusCode,
		RetryAfter: retryAfter(resp.Header, c.opts.Now()),
		RequestID:  cmp.Or(resp.Header.Get("x-ms-service-request-id"), resp.Header.Get("REQ_ID"), resp.Header.Get("x-ms-request-id"), id),
	}
	contentType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch status := resp.StatusCode; {
	case status == http.StatusNoContent && out == nil && r.method != http.MethodGet:
		return nil
	case status == http.StatusOK || status == http.StatusCreated:
		if failed.Err = read(contentType, answer, tooLarge, out); failed.Err == nil {
			return nil
		}
	case status < 300:
		failed.Err = ErrNotDynamics
	case status < 400:
		failed.Err = ErrLogin
	default:
		failed.refusal(contentType, answer)
	}
	return failed
}

func header(h http.Header, r request, token, id string) {
	h.Set("Authorization", "Bearer "+token)
	h.Set("Accept", "application/json")
	h.Set("OData-MaxVersion", "4.0")
	h.Set("OData-Version", "4.0")
	h.Set("If-None-Match", "null") // as Microsoft's documentation does on every request that is not conditional
	if r.createOnly {
		h.Set("If-None-Match", "*")
	}
	if r.body != nil {
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	if r.prefer != "" {
		h.Set("Prefer", r.prefer)
	}
	if r.current {
		h.Set("Consistency", "Strong")
	}
	h.Set("User-Agent", userAgent)
	h.Set("x-ms-client-request-id", id)
}

// broken is the error of a request that got no complete answer. It leaves URLs out, because they hold ids of authors. The end of
// ctx and our own timeout both give errors of package context; a caller tells them apart by ctx.Err.
func (c *Client) broken(ctx, attempt context.Context, r request, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s in %s: %w", r.op, c.opts.Instance.Name, ctx.Err())
	case attempt.Err() != nil:
		return fmt.Errorf("%s in %s: no answer within %s: %w", r.op, c.opts.Instance.Name, c.opts.Timeout, attempt.Err())
	}
	return fmt.Errorf("%s in %s: %w", r.op, c.opts.Instance.Name, cause(err))
}

// cause unwraps the error in which net/http repeats the URL.
func cause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// read decodes the body of a success. It looks at the body even when nobody wants it (out is nil): a sign-in page comes
// with status 200 too, and a record must not count as created then.
func read(contentType string, body []byte, tooLarge bool, out any) error {
	if tooLarge {
		return ErrTooLarge
	}
	if contentType != "application/json" {
		return ErrNotDynamics
	}
	if out == nil {
		out = new(map[string]json.RawMessage)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return ErrNotDynamics
	}
	return nil
}

// refusal reads the body of an error. Gateways answer errors with pages of their own. A 404, 405 or 412 decides what becomes
// of a link, so it counts only when Dynamics' own error document, or for 412 an empty body, comes with it.
func (e *Error) refusal(contentType string, body []byte) {
	if e.describe(body); e.described {
		return
	}
	switch e.Status {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		if isPage(contentType, body) {
			e.Err = ErrNotDynamics
		}
	case http.StatusPreconditionFailed:
		if len(body) > 0 {
			e.Err = ErrNotDynamics
		}
	}
}
