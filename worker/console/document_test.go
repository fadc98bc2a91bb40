package console_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"postlink/worker/console"
	"postlink/worker/console/api"
)

var update = flag.Bool("update", false, "write golden files")

// document is the OpenAPI document as a client reads it, to hold answers against.
type document struct {
	Paths      map[string]map[string]documented `yaml:"paths"`
	Components struct {
		Schemas   map[string]*huma.Schema  `yaml:"schemas"`
		Responses map[string]documentedOut `yaml:"responses"`
	} `yaml:"components"`

	text     []byte
	registry huma.Registry
}

type documented struct {
	OperationID string                   `yaml:"operationId"`
	Summary     string                   `yaml:"summary"`
	Description string                   `yaml:"description"`
	Tags        []string                 `yaml:"tags"`
	Parameters  []documentedIn           `yaml:"parameters"`
	Security    *[]map[string][]string   `yaml:"security"`
	RequestBody documentedOut            `yaml:"requestBody"`
	Responses   map[string]documentedOut `yaml:"responses"`
}

type documentedIn struct {
	Name        string       `yaml:"name"`
	In          string       `yaml:"in"`
	Description string       `yaml:"description"`
	Schema      *huma.Schema `yaml:"schema"`
	Required    bool         `yaml:"required"`
}

// documentedOut is a body as the document describes it.
type documentedOut struct {
	Ref         string `yaml:"$ref"`
	Description string `yaml:"description"`
	Content     map[string]struct {
		Schema  *huma.Schema `yaml:"schema"`
		Example any          `yaml:"example"`
	} `yaml:"content"`
}

func readDocument(t testing.TB, h http.Handler) *document {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, api.PathOpenAPI+".json", nil)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("no OpenAPI document: %d %s", w.Code, w.Body)
	}
	d := &document{text: w.Body.Bytes(), registry: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)}
	must(t, yaml.Unmarshal(d.text, d)) // JSON is YAML, and huma's types have YAML's tags
	for name, s := range d.Components.Schemas {
		precompute(s)
		d.registry.Map()[name] = s
	}
	for _, methods := range d.Paths {
		for _, op := range methods {
			op.RequestBody.precompute()
			for status, r := range op.Responses {
				if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
					r = d.Components.Responses[name]
					op.Responses[status] = r
				}
				r.precompute()
			}
			for _, p := range op.Parameters {
				precompute(p.Schema)
			}
		}
	}
	return d
}

func (o documentedOut) precompute() {
	for _, c := range o.Content {
		precompute(c.Schema)
	}
}

func precompute(s *huma.Schema) {
	if s == nil {
		return
	}
	s.PrecomputeMessages()
	precompute(s.Items)
	for _, p := range s.Properties {
		precompute(p)
	}
}

// find is the operation of a request, by its method and the shape of its path.
func (d *document) find(r *http.Request) (documented, bool) {
	path := r.URL.EscapedPath()
	for pattern, methods := range d.Paths {
		expression := regexp.MustCompile(`\\\{[^/]*?\\\}`).ReplaceAllString(regexp.QuoteMeta(pattern), `[^/]+`)
		if op, ok := methods[strings.ToLower(r.Method)]; ok && regexp.MustCompile(`^`+expression+`$`).MatchString(path) {
			if !strings.Contains(pattern, "{") || d.Paths[path] == nil {
				return op, true
			}
		}
	}
	return documented{}, false
}

// check holds an answer against what the document says of its operation.
func (d *document) check(t testing.TB, r *http.Request, a answer) {
	t.Helper()
	if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s: answered without security headers: %v", r.Method, r.URL, a.header)
	}
	op, ok := d.find(r)
	if !ok || a.status == http.StatusTemporaryRedirect || a.status == http.StatusMovedPermanently {
		return
	}
	response, ok := op.Responses[strconv.Itoa(a.status)]
	if !ok {
		response = op.Responses["default"]
	}
	if len(a.body) == 0 && len(response.Content) == 0 {
		return
	}
	mediaType := a.header.Get("Content-Type")
	content, ok := response.Content[mediaType]
	if !ok {
		t.Errorf("%s %s: answered %d with %s, which the document does not know", r.Method, r.URL, a.status, mediaType)
		return
	}
	if !strings.HasSuffix(mediaType, "json") || strings.HasPrefix(mediaType, "application/openapi") {
		return
	}
	var value any
	must(t, json.Unmarshal(a.body, &value))
	var result huma.ValidateResult
	huma.Validate(d.registry, content.Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, value, &result)
	if len(result.Errors) > 0 {
		t.Errorf("%s %s: the answer is not as documented: %v: %s", r.Method, r.URL, result.Errors, a.body)
	}
}

func TestTheDocumentIsTheOneThatWasReviewed(t *testing.T) {
	t.Parallel()
	w := newQuietWorld(t)
	golden := filepath.Join("testdata", "openapi.json")
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(golden, append(bytes.Clone(w.document.text), '\n'), 0o600))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if diff := cmp.Diff(string(bytes.TrimSpace(want)), string(w.document.text)); diff != "" {
		t.Errorf("the document changed; look at the difference, and write it with -update (-want +got):\n%s", diff)
	}
	text := w.do(ask{method: http.MethodGet, path: api.PathOpenAPI + ".yaml", anonymous: true}).is(http.StatusOK)
	var parsed map[string]any
	must(t, yaml.Unmarshal(text.body, &parsed))
	if parsed["openapi"] != "3.1.0" {
		t.Errorf("openapi %v", parsed["openapi"])
	}
}

// paths are all that the package says there are.
var paths = []string{
	api.PathInstances, api.PathInstance, api.PathEnableInstance, api.PathDisableInstance, api.PathDefaultInstance,
	api.PathRefreshInstance, api.PathRecordTypes, api.PathRecordTypeFields, api.PathEntities, api.PathEntity,
	api.PathEntityFields, api.PathRules, api.PathRule, api.PathActivateRule, api.PathDeactivateRule,
	api.PathPosts, api.PathPost, api.PathPostLink, api.PathLinkURL, api.PathLinks, api.PathLink, api.PathDead, api.PathDeadCount,
	api.PathDeadLetter, api.PathRedriveLetter, api.PathCatalog, api.PathCatalogPlan, api.PathCatalogHistory, api.PathCatalogExport,
	api.PathEvents, api.PathOpenAPI + ".json", api.PathOpenAPI + ".yaml",
}

func TestTheHandlerServesWhatTheDocumentSaysAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var documentedPaths []string
	for path := range w.document.Paths {
		documentedPaths = append(documentedPaths, path)
	}
	slices.Sort(documentedPaths)
	want := slices.Sorted(slices.Values(paths))
	if diff := cmp.Diff(want, documentedPaths); diff != "" {
		t.Errorf("paths (-declared +documented):\n%s", diff)
	}
	for path, methods := range w.document.Paths {
		for method, op := range methods {
			for _, name := range regexp.MustCompile(`\{(.*?)\}`).FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(p documentedIn) bool { return p.In == "path" && p.Name == name[1] && p.Required }) {
					t.Errorf("%s %s: parameter %s is not read", method, path, name[1])
				}
			}
		}
	}
	for _, path := range paths {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
			documented := false
			for pattern, methods := range w.document.Paths {
				_, ok := methods[strings.ToLower(method)]
				documented = documented || ok && fits(pattern, path)
			}
			// A reader's request gets no further than the gate where it matters; a stream is not waited for.
			if documented && path == api.PathEvents {
				continue
			}
			got := w.do(ask{method: method, path: to(path, "1", "1"), role: console.Reader})
			served := got.status != http.StatusMethodNotAllowed && kind(got) != api.ProblemType+"not-found"
			if served != documented {
				t.Errorf("%s %s: served %v, documented %v: %d %s", method, path, served, documented, got.status, got.body)
			}
		}
	}
}

// kind is the type of the problem that an answer is, if it is one.
func kind(a answer) string {
	var p api.Problem
	_ = json.Unmarshal(a.body, &p) // others have no type
	return p.Type
}
