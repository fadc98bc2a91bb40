package catalog

import (
	"errors"
	"fmt"
	"strings"

	"postlink/dynamics"
	"postlink/rules"
)

// instance reads an item of instances. It looks after the shape; what the values must be, validate says.
func (r *reader) instance(n rules.Node) {
	at := place{instance: len(r.catalog.Instances) + 1}
	r.places[at] = n
	f := r.fields(at, "", n, "name", "url", "default", "enabled", "auth", "entities")
	in := dynamics.Instance{Name: f["name"].Text(), URL: f["url"].Text(), Default: f["default"].Bool()}
	if enabled, ok := f["enabled"]; ok {
		in.Disabled = !enabled.Bool()
	}
	if auth, ok := f["auth"]; ok {
		in.Auth = r.auth(at, auth)
	}
	for j, e := range f["entities"].Items() {
		at := at
		at.entity = j + 1
		in.Entities = append(in.Entities, r.entity(at, e))
	}
	r.catalog.Instances = append(r.catalog.Instances, in)
}

func (r *reader) auth(at place, n rules.Node) dynamics.Auth {
	f := r.fields(at, "auth.", n, "kind", "tenant", "client_id", "client_secret", "authority", "token")
	a := dynamics.Auth{Kind: f["kind"].Text(), Tenant: f["tenant"].Text(), ClientID: f["client_id"].Text(), Authority: f["authority"].Text()}
	if s, ok := f["client_secret"]; ok {
		a.ClientSecret = secret(s)
	}
	if s, ok := f["token"]; ok {
		a.Token = secret(s)
	}
	return a
}

// secret reads where a secret is. One that stands in the file itself is refused, and not repeated.
func secret(n rules.Node) dynamics.Secret {
	if !n.IsMapping() {
		n.Report("a secret must not stand in the catalog; write {env: NAME} for an environment variable or {file: PATH} for a file that holds it")
		return dynamics.Secret{}
	}
	f := n.Fields("env", "file")
	return dynamics.Secret{Env: f["env"].Text(), File: f["file"].Text()}
}

func (r *reader) entity(at place, n rules.Node) dynamics.Entity {
	r.places[at] = n
	f := r.fields(at, "", n, "name", "fields")
	e := dynamics.Entity{Name: f["name"].Text()}
	for k, field := range f["fields"].Items() {
		at := at
		at.field = k + 1
		r.places[at] = field
		e.Fields = append(e.Fields, field.Text())
	}
	return e
}

// fields reads a mapping and remembers where its values stand.
func (r *reader) fields(at place, prefix string, n rules.Node, known ...string) map[string]rules.Node {
	f := n.Fields(known...)
	for key, value := range f {
		at.key = prefix + key
		r.places[at] = value
	}
	return f
}

// check holds everything that was read against the rules of a catalog, and tells where it is broken.
func (r *reader) check() {
	malformed := map[rules.Position]bool{}
	for _, p := range r.problems {
		malformed[p.Pos] = true
	}
	r.catalog.validate(func(at place, format string, args ...any) {
		n, exact := r.find(at)
		if malformed[n.Pos()] && (exact || !n.IsMapping()) {
			return // its shape was wrong, so that it was not even read
		}
		r.problems = append(r.problems, rules.Problem{Pos: n.Pos(), Message: fmt.Sprintf(format, args...)})
	})
	for rule, err := range r.catalog.stray() {
		r.problems = append(r.problems, err.problem(rule))
	}
	for i := range r.catalog.Rules {
		r.catalog.Rules[i].Age = uint64(i + 1)
	}
	_, err := rules.Compile(r.catalog.Rules)
	if problems, ok := errors.AsType[rules.Problems](err); ok {
		r.problems = append(r.problems, problems...)
	}
}

// find returns what stands at a place, or else what stands around it.
func (r *reader) find(at place) (n rules.Node, exact bool) {
	if n, ok := r.places[at]; ok {
		return n, true
	}
	for at.key != "" {
		at.key = at.key[:max(strings.LastIndexByte(at.key, '.'), 0)]
		if n, ok := r.places[at]; ok {
			return n, false
		}
	}
	at.field = 0
	if n, ok := r.places[at]; ok {
		return n, false
	}
	return r.places[place{instance: at.instance}], false
}
