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
)

var update = flag.Bool("update", false, "write golden files")

// document is the OpenAPI document as a client reads it, to hold answers against.
type document struct {
	Paths      map[string]map[string]documented `yaml:"paths"`
	Components struct {
		Schemas map[string]*huma.Schema `yaml:"schemas"`
	} `yaml:"components"`

	text     []byte
	registry huma.Registry
}

type documented struct {
	OperationID string         `yaml:"operationId"`
	Description string         `yaml:"description"`
	Parameters  []documentedIn `yaml:"parameters"`
	RequestBody struct {
		Content map[string]struct {
			Schema *huma.Schema `yaml:"schema"`
		} `yaml:"content"`
	} `yaml:"requestBody"`
	Responses map[string]struct {
		Content map[string]struct {
			Schema *huma.Schema `yaml:"schema"`
		} `yaml:"content"`
	} `yaml:"responses"`
}

type documentedIn struct {
	Name     string       `yaml:"name"`
	In       string       `yaml:"in"`
	Example  any          `yaml:"example"`
	Schema   *huma.Schema `yaml:"schema"`
	Required bool         `yaml:"required"`
}

func readDocument(t testing.TB, h http.Handler) *document {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, console.PathOpenAPI+".json", nil)
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
			for _, r := range op.Responses {
				for _, c := range r.Content {
					precompute(c.Schema)
				}
			}
		}
	}
	return d
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
	text := w.do(ask{method: http.MethodGet, path: console.PathOpenAPI + ".yaml", anonymous: true}).is(http.StatusOK)
	var parsed map[string]any
	must(t, yaml.Unmarshal(text.body, &parsed))
	if parsed["openapi"] != "3.1.0" {
		t.Errorf("openapi %v", parsed["openapi"])
	}
}

// paths are all that the package says there are.
var paths = []string{
	console.PathInstances, console.PathInstance, console.PathEnableInstance, console.PathDisableInstance, console.PathDefaultInstance,
	console.PathRefreshInstance, console.PathRecordTypes, console.PathRecordTypeFields, console.PathEntities, console.PathEntity,
	console.PathEntityFields, console.PathRules, console.PathRule, console.PathActivateRule, console.PathDeactivateRule,
	console.PathPosts, console.PathPost, console.PathPostLink, console.PathLinkURL, console.PathLinks, console.PathDead,
	console.PathDeadLetter, console.PathRedriveLetter, console.PathCatalog, console.PathCatalogHistory, console.PathCatalogExport,
	console.PathEvents, console.PathOpenAPI + ".json", console.PathOpenAPI + ".yaml",
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
			_, documented := w.document.Paths[path][strings.ToLower(method)]
			// A reader's request gets no further than the gate where it matters; a stream is not waited for.
			if documented && path == console.PathEvents {
				continue
			}
			got := w.do(ask{method: method, path: to(path, "1", "1"), role: console.Reader})
			served := got.status != http.StatusMethodNotAllowed && kind(got) != console.ProblemType+"not-found"
			if served != documented {
				t.Errorf("%s %s: served %v, documented %v: %d %s", method, path, served, documented, got.status, got.body)
			}
		}
	}
}

// kind is the type of the problem that an answer is, if it is one.
func kind(a answer) string {
	var p console.Problem
	_ = json.Unmarshal(a.body, &p) // others have no type
	return p.Type
}

func TestExamplesOfTheDocumentAreValid(t *testing.T) {
	t.Parallel()
	w := newQuietWorld(t)
	examples := 0
	check := func(where string, s *huma.Schema, example any) {
		examples++
		var result huma.ValidateResult
		huma.Validate(w.document.registry, s, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, plain(t, example), &result)
		for _, e := range result.Errors {
			t.Errorf("%s: example %v: %v", where, example, e)
		}
	}
	for path, methods := range w.document.Paths {
		for method, op := range methods {
			for _, p := range op.Parameters {
				if p.Example != nil {
					precompute(p.Schema)
					check(method+" "+path+" "+p.Name, p.Schema, p.Example)
				}
			}
		}
	}
	for name, schema := range w.document.Components.Schemas {
		for property, s := range schema.Properties {
			for _, example := range s.Examples {
				check(name+"."+property, s, example)
			}
		}
	}
	if examples < 20 {
		t.Errorf("only %d examples were found", examples)
	}
}

// plain is a value as JSON has it.
func plain(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	var back any
	must(t, json.Unmarshal(text, &back))
	return back
}
