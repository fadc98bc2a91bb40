// Package api is the HTTP API of postlink without its server: paths, the resources that requests and answers carry, problems,
// and a client. Server, command line and programs of others share it, so that they cannot differ. It imports nothing of
// postlink and no server library.
//
// The types are version 1 of the API, as its paths say. A client passes over members that it does not know, so that a newer server
// may add some. The doc tags become the descriptions of the OpenAPI document, and the limits in the other tags are what the server
// checks; the client sends what it is given.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	connectTime = 5 * time.Second
	answerTime  = 3 * time.Minute // more than the server takes for anything
	maxAnswer   = 256 << 20       // bytes; a whole catalog is the largest
	maxPage     = 500             // items that the server gives at once
)

// ErrUnreachable is matched by errors of a server that does not answer, or not as a postlink does.
var ErrUnreachable = errors.New("no postlink answers")

// Client asks one server. It is safe for use by many goroutines. It never tries again by itself: whether a request that failed may
// be repeated depends on what it asks for.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New makes a client of the server at an http or https URL; token may be empty. It does not connect. The error says what is wrong
// with the URL or the token, and never holds the token. A proxy is taken from the environment, as usual.
func New(server, token string) (*Client, error) {
	base, err := url.Parse(server)
	switch {
	case err != nil, base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return nil, fmt.Errorf("server %q is not a URL; write one like http://127.0.0.1:8080", server)
	case base.User != nil, base.RawQuery != "", base.Fragment != "":
		return nil, fmt.Errorf("server %s: write scheme, host and port only; a token goes into POSTLINK_TOKEN", base.Redacted())
	}
	token = strings.TrimSpace(token)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, errors.New("the token holds characters that no token has; set POSTLINK_TOKEN to the token alone")
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTime}).DialContext,
		TLSHandshakeTimeout:   connectTime,
		ResponseHeaderTimeout: answerTime,
	}
	return &Client{base, token, &http.Client{
		Transport: transport,
		Timeout:   answerTime,
		// The API never redirects. Another server that does must not get the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is one request of the API.
type Request struct {
	Method  string
	Path    string // as Path makes it
	Query   url.Values
	IfMatch string // ETag of what the change is based on; empty for no matter what
	Body    any    // sent as JSON; nil for none
	YAML    []byte // sent in place of Body when not nil
}

// Answer is what the server said to a request that it did not refuse.
type Answer struct {
	Status int
	ETag   string
	Body   []byte
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// Path fills the parameters of a pattern in, in order. It panics when there are fewer values than parameters.
func Path(pattern string, values ...string) string {
	return parameter.ReplaceAllStringFunc(pattern, func(string) string {
		value := values[0]
		values = values[1:]
		if strings.Trim(value, ".") == "" { // dots alone would be taken for steps through folders
			return strings.ReplaceAll(value, ".", "%2E")
		}
		return url.PathEscape(value)
	})
}

// Do sends a request and reads the whole answer, for three minutes at most; it cannot follow the stream of events. A refusal comes
// back as *Problem. A server that does not answer, or that refuses in a way that is not postlink's, as a proxy does, matches
// ErrUnreachable: a change may then have been made or not. When ctx ends, its error comes back as it is.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	req, err := c.request(ctx, r)
	if err != nil {
		return Answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{}, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return Answer{}, c.unreachable(ctx, err)
	case len(body) > maxAnswer:
		return Answer{}, fmt.Errorf("the answer of %s has more than %d MiB; ask for less at once", c.base, maxAnswer>>20)
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return Answer{resp.StatusCode, resp.Header.Get("ETag"), body}, nil
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		problem := new(Problem)
		if json.Unmarshal(body, problem) == nil && strings.HasPrefix(problem.Type, ProblemType) {
			return Answer{}, problem
		}
	}
	return Answer{}, fmt.Errorf("%w at %s: it says %s, and not as postlink does; does --server (POSTLINK_SERVER) name the right one?",
		ErrUnreachable, c.base, resp.Status)
}

func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	body, mediaType := r.YAML, "application/yaml"
	if body == nil && r.Body != nil {
		var err error
		if body, err = json.Marshal(r.Body); err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		mediaType = "application/json"
	}
	target := strings.TrimSuffix(c.base.String(), "/") + r.Path
	if len(r.Query) > 0 {
		target += "?" + r.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", mediaType)
	}
	if r.IfMatch != "" {
		req.Header.Set("If-Match", r.IfMatch)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

// unreachable says why no answer came. The URL of the request is left out, since it may hold more than a log should.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	return fmt.Errorf("%w at %s: %w; is postlink serve running there, or does --server (POSTLINK_SERVER) name another?", ErrUnreachable, c.base, err)
}

// Send sends a request and decodes what comes back, with its ETag. Errors are those of Do. An answer without a body leaves the value
// zero; one that cannot be decoded, such as the page of another server, matches ErrUnreachable.
func Send[T any](ctx context.Context, c *Client, r Request) (value T, etag string, err error) {
	answer, err := c.Do(ctx, r)
	if err != nil {
		return value, "", err
	}
	if len(answer.Body) == 0 {
		return value, answer.ETag, nil
	}
	if err := json.Unmarshal(answer.Body, &value); err != nil {
		return value, "", fmt.Errorf("%w at %s: its answer cannot be read: %w; is it of the same version as this command?", ErrUnreachable, c.base, err)
	}
	return value, answer.ETag, nil
}

// Get reads a resource.
func Get[T any](ctx context.Context, c *Client, path string) (value T, etag string, err error) {
	return Send[T](ctx, c, Request{Method: http.MethodGet, Path: path})
}

// Pages reads a paged list, up to limit items or to its end when limit is 0. Pages may be empty; each comes with the cursor of
// what follows it, empty at the end.
//
// A page is asked for when the one before it was taken, so leaving the loop leaves the rest unread. After an error, which comes with
// an empty page, there are no more. A cursor in the query is where reading begins; parameters that are empty are not sent.
func Pages[T any](ctx context.Context, c *Client, path string, query url.Values, limit int) iter.Seq2[Page[T], error] {
	return func(yield func(Page[T], error) bool) {
		query := cloned(query)
		for taken := 0; limit == 0 || taken < limit; {
			size := maxPage
			if limit > 0 {
				size = min(size, limit-taken)
			}
			query.Set("limit", strconv.Itoa(size))
			page, _, err := Send[Page[T]](ctx, c, Request{Method: http.MethodGet, Path: path, Query: query})
			if !yield(page, err) || err != nil || page.NextCursor == "" {
				return
			}
			taken += len(page.Items)
			query.Set("cursor", page.NextCursor)
		}
	}
}

func cloned(query url.Values) url.Values {
	c := make(url.Values, len(query)+2)
	for name, values := range query {
		if len(values) > 0 && values[0] != "" {
			c[name] = values
		}
	}
	return c
}
