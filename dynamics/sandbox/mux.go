package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Mux plays several organizations on one address: the instance contoso has the base URL http://host/contoso. What stands
// right below /_sandbox/ concerns all of them at once.
type Mux struct {
	byName map[string]*Sandbox
	all    []*Sandbox // by name
}

// NewMux returns a handler for these organizations, whose names must differ.
func NewMux(sandboxes ...*Sandbox) (*Mux, error) {
	m := &Mux{byName: map[string]*Sandbox{}, all: slices.Clone(sandboxes)}
	for _, s := range sandboxes {
		if m.byName[s.Name()] != nil {
			return nil, fmt.Errorf("two sandboxes are called %s", s.Name())
		}
		m.byName[s.Name()] = s
	}
	slices.SortFunc(m.all, func(a, b *Sandbox) int { return strings.Compare(a.Name(), b.Name()) })
	return m, nil
}

// Sandbox returns the organization of that name, or nil.
func (m *Mux) Sandbox(name string) *Sandbox { return m.byName[name] }

// ServeHTTP routes by the first segment of the path; a token request at the root goes to the instance that its scope names.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path, ok := strings.CutPrefix(r.URL.Path, "/_sandbox/"); ok {
		m.control(w, r, path)
		return
	}
	if isTokenPath(r.URL.Path) {
		m.token(w, r)
		return
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s := m.byName[name]
	if s == nil {
		complain(w, http.StatusNotFound, fmt.Errorf("no instance %q is played here", name))
		return
	}
	s.serve(w, r, "/"+name)
}

func (m *Mux) token(w http.ResponseWriter, r *http.Request) {
	if tenant, ok := strings.CutSuffix(r.URL.Path, configPath); ok {
		writeConfiguration(w, origin(r)+tenant)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.ParseForm() == nil {
		for scope := range strings.FieldsSeq(r.PostForm.Get("scope")) {
			resource := strings.TrimSuffix(scope, "/.default")
			if s := m.byName[resource[strings.LastIndexByte(resource, '/')+1:]]; s != nil {
				s.serve(w, r, "")
				return
			}
		}
	}
	tokenError(w, http.StatusBadRequest, "invalid_resource", "AADSTS500011: The scope does not end with the name of an instance and /.default.")
}

// control answers what concerns all organizations: snapshot, requests, summary, reset.
func (m *Mux) control(w http.ResponseWriter, r *http.Request, path string) {
	switch r.Method + " " + path {
	case "GET snapshot":
		m.writeLines(w, (*Sandbox).encodeSnapshot)
	case "GET requests":
		m.writeLines(w, (*Sandbox).encodeRequests)
	case "GET summary":
		list := []Summary{}
		for _, s := range m.all {
			list = append(list, s.Summary())
		}
		writeJSON(w, http.StatusOK, list)
	case "POST reset":
		for _, s := range m.all {
			s.Reset()
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		complain(w, http.StatusNotFound, fmt.Errorf("%s /_sandbox/%s: no such control for all instances; one instance has its own below /{instance}/_sandbox/", r.Method, path))
	}
}

func (m *Mux) writeLines(w http.ResponseWriter, encode func(*Sandbox, *json.Encoder) error) {
	writeLines(w, func(enc *json.Encoder) error {
		for _, s := range m.all {
			if err := encode(s, enc); err != nil {
				return err
			}
		}
		return nil
	})
}
