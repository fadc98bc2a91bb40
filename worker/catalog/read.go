package catalog

import (
	"errors"
	"fmt"
	"strings"

	"postlink/dynamics"
	"postlink/rules"
	"postlink/rules/source"
)

// instance reads an item of instances. It checks the shape; validate checks the values.
func (l *loader) instance(n source.Node) {
	at := place{instance: len(l.catalog.Instances) + 1}
	l.places[at] = n
	f := l.fields(at, "", n, "name", "url", "default", "enabled", "auth", "entities")
	in := dynamics.Instance{Name: f["name"].Text(), URL: f["url"].Text(), Default: f["default"].Bool()}
	if enabled, ok := f["enabled"]; ok {
		in.Disabled = !enabled.Bool()
	}
	if auth, ok := f["auth"]; ok {
		in.Auth = l.auth(at, auth)
	}
	for j, e := range f["entities"].Items() {
		at := at
		at.entity = j + 1
		in.Entities = append(in.Entities, l.entity(at, e))
	}
	l.catalog.Instances = append(l.catalog.Instances, in)
}

// auth reads how to log in to an instance.
func (l *loader) auth(at place, n source.Node) dynamics.Auth {
	f := l.fields(at, "auth.", n, "kind", "tenant", "client_id", "client_secret", "authority", "token")
	a := dynamics.Auth{Kind: f["kind"].Text(), Tenant: f["tenant"].Text(), ClientID: f["client_id"].Text(), Authority: f["authority"].Text()}
	if s, ok := f["client_secret"]; ok {
		a.ClientSecret = secret(s)
	}
	if s, ok := f["token"]; ok {
		a.Token = secret(s)
	}
	return a
}

// secret reads where a secret is kept. A secret in the file itself is refused, and not shown in the message.
func secret(n source.Node) dynamics.Secret {
	if !n.IsMapping() {
		n.Report("a secret must not stand in the catalog; write {env: NAME} for an environment variable or {file: PATH} for a file that holds it")
		return dynamics.Secret{}
	}
	f := n.Fields("env", "file")
	return dynamics.Secret{Env: f["env"].Text(), File: f["file"].Text()}
}

// entity reads a record type with its fields.
func (l *loader) entity(at place, n source.Node) dynamics.Entity {
	l.places[at] = n
	f := l.fields(at, "", n, "name", "fields")
	e := dynamics.Entity{Name: f["name"].Text()}
	for k, field := range f["fields"].Items() {
		at := at
		at.field = k + 1
		l.places[at] = field
		e.Fields = append(e.Fields, field.Text())
	}
	return e
}

// fields reads a mapping and remembers where its values stand.
func (l *loader) fields(at place, prefix string, n source.Node, known ...string) map[string]source.Node {
	f := n.Fields(known...)
	for key, value := range f {
		at.key = prefix + key
		l.places[at] = value
	}
	return f
}

// check validates everything that was read, and reports problems with their positions. A value whose shape was wrong has been
// reported by the reader and reached the catalog as its zero value, so a second problem at its position is left out.
func (l *loader) check() {
	malformed := map[source.Position]bool{}
	for _, p := range l.problems {
		malformed[p.Pos] = true
	}
	l.catalog.validate(func(at place, format string, args ...any) {
		n, exact := l.find(at)
		if malformed[n.Pos()] && (exact || !n.IsMapping()) {
			return // its shape was wrong, which is reported already
		}
		l.problems = append(l.problems, source.Problem{Pos: n.Pos(), Message: fmt.Sprintf(format, args...)})
	})
	for rule, err := range l.catalog.unconfigured() {
		l.problems = append(l.problems, err.problem(rule))
	}
	for i := range l.catalog.Rules {
		l.catalog.Rules[i].Age = uint64(i + 1)
	}
	_, err := rules.Compile(l.catalog.Rules)
	if problems, ok := errors.AsType[source.Problems](err); ok {
		l.problems = append(l.problems, problems...)
	}
}

// find returns the node at a place, or else the node around it: what is missing in a file has no position of its own. exact reports
// whether the value itself was found.
func (l *loader) find(at place) (n source.Node, exact bool) {
	if n, ok := l.places[at]; ok {
		return n, true
	}
	for at.key != "" {
		at.key = at.key[:max(strings.LastIndexByte(at.key, '.'), 0)]
		if n, ok := l.places[at]; ok {
			return n, false
		}
	}
	at.field = 0
	if n, ok := l.places[at]; ok {
		return n, false
	}
	return l.places[place{instance: at.instance}], false
}
