package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"postlink/worker/console/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers with handler and makes a client of it.
func serve(t *testing.T, token string, handler http.HandlerFunc) *api.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return dial(t, server.URL, token)
}

func dial(t *testing.T, server, token string) *api.Client {
	t.Helper()
	c, err := api.New(server, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestPathEscapesEachValueAsOneSegment(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pattern string
		values  []string
		want    string
	}{
		"a plain name stays":              {api.PathRule, []string{"delays"}, "/api/v1/rules/delays"},
		"a place in the stream stays":     {api.PathPost, []string{"@17"}, "/api/v1/posts/@17"},
		"a slash stays in its segment":    {api.PathPostLink, []string{"twitter/17"}, "/api/v1/posts/twitter%2F17/link"},
		"a question mark begins no query": {api.PathPost, []string{"a?b#c"}, "/api/v1/posts/a%3Fb%23c"},
		"dots are no steps":               {api.PathRule, []string{".."}, "/api/v1/rules/%2E%2E"},
		"values are taken in order":       {api.PathEntity, []string{"contoso", "incident"}, "/api/v1/instances/contoso/entities/incident"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := api.Path(test.pattern, test.values...); got != test.want {
				t.Errorf("Path = %s, want %s", got, test.want)
			}
		})
	}
}

func TestValuesArriveAsTheyWereGiven(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"@17", "twitter/17", "..", ".", "a b", "50%", "ü/ö", "x?y=z"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mux := http.NewServeMux()
			mux.HandleFunc("GET "+api.PathPost, func(w http.ResponseWriter, r *http.Request) { say(w, strconv.Quote(r.PathValue("post"))) })
			c := serve(t, "", mux.ServeHTTP)
			got, _, err := api.Get[string](t.Context(), c, api.Path(api.PathPost, name))
			if err != nil || got != name {
				t.Errorf("the server got %q and %v, want %q", got, err, name)
			}
		})
	}
}

func TestNewRefusesWhatIsNoServer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ server, token, says string }{
		"a name alone":              {"localhost", "", "is not a URL"},
		"another protocol":          {"nats://127.0.0.1:4222", "", "is not a URL"},
		"a URL without host":        {"http://", "", "is not a URL"},
		"a password in the URL":     {"http://ann:secret@127.0.0.1", "", "POSTLINK_TOKEN"},
		"a token of two lines":      {"http://127.0.0.1", "a\nb", "POSTLINK_TOKEN"},
		"a token that is no header": {"http://127.0.0.1", "tökén", "POSTLINK_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := api.New(test.server, test.token)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("New = %v, want an error that says %q", err, test.says)
			}
			if strings.Contains(err.Error(), "secret") || test.token != "" && strings.Contains(err.Error(), test.token) {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestRequestCarriesTokenPreconditionAndBody(t *testing.T) {
	t.Parallel()
	type seen struct{ Method, URI, Authorization, IfMatch, ContentType, Body string }
	c := serve(t, " t0ken\n", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("ETag", `"8"`)
		answer(w, seen{r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("If-Match"), r.Header.Get("Content-Type"), string(body)})
	})
	got, etag, err := api.Send[seen](t.Context(), c, api.Request{
		Method: http.MethodPut, Path: "/p", Query: url.Values{"q": {"a b"}}, IfMatch: `"7"`, Body: api.Fields{Fields: []string{"title"}},
	})
	want := seen{"PUT", "/p?q=a+b", "Bearer t0ken", `"7"`, "application/json", `{"fields":["title"]}`}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || etag != `"8"` {
		t.Errorf("ETag %s, %v, difference (-want +got):\n%s", etag, err, diff)
	}
}

func TestRefusalComesBackAsTheProblemItIs(t *testing.T) {
	t.Parallel()
	want := &api.Problem{
		Type: api.ProblemType + "in-use", Title: "Active rules use it", Status: http.StatusConflict, Detail: "deactivate it first", Rules: []string{"delays"},
	}
	c := serve(t, "", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(want.Status)
		answer(w, want)
	})
	_, err := c.Do(t.Context(), api.Request{Method: http.MethodDelete, Path: "/"})
	var got *api.Problem
	if !errors.As(err, &got) || errors.Is(err, api.ErrUnreachable) {
		t.Fatalf("Do = %v, want a problem", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problem differs (-want +got):\n%s", diff)
	}
}

func TestWhatIsNoPostlinkIsUnreachable(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"a proxy's page":            func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad gateway", http.StatusBadGateway) },
		"another API's problem":     func(w http.ResponseWriter, _ *http.Request) { problem(w, `{"type":"about:blank"}`) },
		"a problem that is no JSON": func(w http.ResponseWriter, _ *http.Request) { problem(w, `<html>`) },
		"a page with status 200":    func(w http.ResponseWriter, _ *http.Request) { say(w, "<html>log in</html>") },
		"a broken answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			say(w, "{")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := api.Get[api.Instance](t.Context(), serve(t, "", handler), "/")
			if !errors.Is(err, api.ErrUnreachable) {
				t.Errorf("Get = %v, want ErrUnreachable", err)
			}
		})
	}
}

func say(w http.ResponseWriter, text string) { _, _ = io.WriteString(w, text) } // the client may be gone

func answer(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) } // likewise

func problem(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusForbidden)
	say(w, body)
}

func TestRedirectIsNotFollowedWithTheToken(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	c := serve(t, "secret", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.Do(t.Context(), api.Request{Method: http.MethodGet, Path: "/"}); !errors.Is(err, api.ErrUnreachable) {
		t.Errorf("Do = %v, want ErrUnreachable", err)
	}
}

func TestNobodyListensIsUnreachable(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	_, err := dial(t, gone.URL, "").Do(t.Context(), api.Request{Method: http.MethodGet, Path: "/"})
	if !errors.Is(err, api.ErrUnreachable) || !strings.Contains(err.Error(), gone.URL) {
		t.Errorf("Do = %v, want ErrUnreachable that names %s", err, gone.URL)
	}
}

func TestACancelledRequestIsNotReportedAsUnreachable(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, "", func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := c.Do(ctx, api.Request{Method: http.MethodGet, Path: "/"})
	if !errors.Is(err, context.Canceled) || errors.Is(err, api.ErrUnreachable) {
		t.Errorf("Do = %v, want context.Canceled", err)
	}
}

// hundreds is a server with a list of n numbers, the highest first, which gives an empty page now and then.
func hundreds(t *testing.T, n int, asked *[]string) *api.Client {
	return serve(t, "", func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.RawQuery)
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		from, err := strconv.Atoi(r.URL.Query().Get("cursor"))
		if err != nil {
			from = n
		}
		page := api.Page[int]{Items: []int{}}
		if from == n-limit && len(*asked) == 2 { // a filter left nothing of this page
			page.NextCursor = strconv.Itoa(from)
			answer(w, page)
			return
		}
		for ; from > 0 && len(page.Items) < limit; from-- {
			page.Items = append(page.Items, from)
		}
		if from > 0 {
			page.NextCursor = strconv.Itoa(from)
		}
		answer(w, page)
	})
}

func TestPagesEndWhereTheyShould(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		there, limit, want int
		next               string
	}{
		"all of one page":           {there: 3, limit: 0, want: 3},
		"all of several pages":      {there: 1234, limit: 0, want: 1234},
		"fewer than there are":      {there: 1234, limit: 7, want: 7, next: "1227"},
		"more than a page holds":    {there: 1234, limit: 700, want: 700, next: "534"},
		"exactly as many":           {there: 500, limit: 500, want: 500},
		"nothing there is no error": {there: 0, limit: 50, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			var got []int
			next := ""
			for page, err := range api.Pages[int](t.Context(), hundreds(t, test.there, &asked), "/", url.Values{"rule": {"a"}, "link": {""}}, test.limit) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, page.Items...)
				next = page.NextCursor
			}
			if len(got) != test.want || next != test.next {
				t.Fatalf("got %d items and cursor %q, want %d and %q", len(got), next, test.want, test.next)
			}
			for i, n := range got {
				if n != test.there-i {
					t.Fatalf("item %d is %d, want %d", i, n, test.there-i)
				}
			}
			for _, q := range asked {
				if !strings.Contains(q, "rule=a") || strings.Contains(q, "link=") {
					t.Errorf("asked for %s; filters that are not set are left out, others stay", q)
				}
			}
		})
	}
}

func TestPagesEndAtARefusal(t *testing.T) {
	t.Parallel()
	c := serve(t, "", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, fmt.Sprintf(`{"type":"%sforbidden"}`, api.ProblemType))
	})
	rounds := 0
	for _, err := range api.Pages[int](t.Context(), c, "/", nil, 0) {
		var refusal *api.Problem
		if rounds++; !errors.As(err, &refusal) || rounds > 1 {
			t.Fatalf("round %d: %v, want one round with a problem", rounds, err)
		}
	}
	if rounds != 1 {
		t.Errorf("%d rounds, want 1", rounds)
	}
}
