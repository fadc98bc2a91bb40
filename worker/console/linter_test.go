package console_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"go.yaml.in/yaml/v3"
)

// Common linters of OpenAPI documents ask for what these tests ask for.

func TestTheDocumentSaysWhatTheAPIIs(t *testing.T) {
	t.Parallel()
	w := newQuietWorld(t)
	var d struct {
		Info struct {
			Description string `yaml:"description"`
			Contact     struct {
				Name string `yaml:"name"`
			} `yaml:"contact"`
			License struct {
				Name string `yaml:"name"`
				URL  string `yaml:"url"`
			} `yaml:"license"`
		} `yaml:"info"`
		Servers []struct {
			URL string `yaml:"url"`
		} `yaml:"servers"`
		Tags []struct {
			Name        string `yaml:"name"`
			Description string `yaml:"description"`
		} `yaml:"tags"`
	}
	must(t, yaml.Unmarshal(w.document.text, &d))
	if d.Info.Description == "" || d.Info.Contact.Name == "" || d.Info.License.Name == "" || d.Info.License.URL == "" {
		t.Errorf("info is not complete: %+v", d.Info)
	}
	if len(d.Servers) != 1 || d.Servers[0].URL == "" {
		t.Errorf("servers: %+v", d.Servers)
	}
	used, described := map[string]bool{}, map[string]bool{}
	for _, methods := range w.document.Paths {
		for _, op := range methods {
			for _, tag := range op.Tags {
				used[tag] = true
			}
		}
	}
	for _, tag := range d.Tags {
		if tag.Description == "" || described[tag.Name] {
			t.Errorf("tag %q has no description, or stands twice", tag.Name)
		}
		described[tag.Name] = true
	}
	if !maps.Equal(used, described) {
		t.Errorf("tags of operations %v, tags described %v", used, described)
	}
}

func TestEveryOperationIsDescribed(t *testing.T) {
	t.Parallel()
	w := newQuietWorld(t)
	seen := map[string]string{}
	for path, methods := range w.document.Paths {
		if strings.HasSuffix(path, "/") || strings.Contains(path, "?") {
			t.Errorf("path %s ends with a slash or has a query", path)
		}
		for method, op := range methods {
			where := strings.ToUpper(method) + " " + path
			if !regexp.MustCompile(`^[a-z-]+$`).MatchString(op.OperationID) || seen[op.OperationID] != "" {
				t.Errorf("%s: operation id %q is not usable, or that of %s", where, op.OperationID, seen[op.OperationID])
			}
			seen[op.OperationID] = where
			if op.Summary == "" || strings.HasSuffix(op.Summary, ".") || !strings.HasSuffix(op.Description, ".") || len(op.Tags) != 1 || op.Security == nil {
				t.Errorf("%s lacks a summary, a description, a tag or its security: %+v", where, op)
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s: parameter %s has no description", where, p.Name)
				}
			}
			var success, refused bool
			for status, r := range op.Responses {
				success = success || status[0] == '2'
				refused = refused || status[0] == '4'
				if r.Description == "" {
					t.Errorf("%s: response %s has no description", where, status)
				}
			}
			if !success || !refused {
				t.Errorf("%s: responses %v, want one of 2xx and one of 4xx at least", where, slices.Sorted(maps.Keys(op.Responses)))
			}
		}
	}
}

func TestEveryComponentIsUsedAndEveryReferenceLeadsSomewhere(t *testing.T) {
	t.Parallel()
	w := newQuietWorld(t)
	var d struct {
		Components map[string]map[string]any `json:"components"`
	}
	must(t, json.Unmarshal(w.document.text, &d))
	referred := map[string]bool{}
	for _, ref := range regexp.MustCompile(`"\$ref": "([^"]*)"`).FindAllStringSubmatch(string(w.document.text), -1) {
		referred[ref[1]] = true
	}
	for section, components := range d.Components {
		if section == "securitySchemes" { // which are named, not referred to
			continue
		}
		for name := range components {
			ref := "#/components/" + section + "/" + name
			if !referred[ref] {
				t.Errorf("%s is not used", ref)
			}
			delete(referred, ref)
		}
	}
	if len(referred) > 0 {
		t.Errorf("references lead nowhere: %v", slices.Sorted(maps.Keys(referred)))
	}
}

func TestExamplesAndChoicesOfTheDocumentAreValid(t *testing.T) {
	t.Parallel()
	w := newQuietWorld(t)
	examples, bodies := 0, 0
	check := func(where string, s *huma.Schema, example any) {
		examples++
		var result huma.ValidateResult
		huma.Validate(w.document.registry, s, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, plain(t, example), &result)
		for _, e := range result.Errors {
			t.Errorf("%s: example %v: %v", where, example, e)
		}
	}
	for path, methods := range w.document.Paths {
		for method, op := range methods {
			where := method + " " + path
			for _, p := range op.Parameters {
				for _, example := range p.Schema.Examples {
					check(where+" "+p.Name, p.Schema, example)
				}
			}
			for mediaType, c := range op.RequestBody.Content {
				bodies++
				if c.Example == nil {
					t.Errorf("%s: no example of a body", where)
				}
				check(where+" "+mediaType, c.Schema, c.Example)
			}
		}
	}
	for name, schema := range w.document.Components.Schemas {
		for property, s := range schema.Properties {
			for _, example := range s.Examples {
				check(name+"."+property, s, example)
			}
			choices := map[any]bool{}
			for _, choice := range s.Enum {
				choices[choice] = true
			}
			if len(choices) != len(s.Enum) || len(s.Enum) > 0 && s.Type == "" {
				t.Errorf("%s.%s: its choices have no type, or one stands twice: %v", name, property, s.Enum)
			}
		}
	}
	if examples < 60 || bodies < 7 {
		t.Errorf("only %d examples and %d bodies were found", examples, bodies)
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
