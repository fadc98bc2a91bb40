package rules

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ReadRules reads the list under rules:. It reports what is missing or has the wrong shape, and returns the rules that are
// whole, in the order of the file and without an age; whether their values are good is for Compile to say. The condition of a
// rule that is not whole is checked here, so that nothing that is wrong with a file stays untold.
func ReadRules(n Node) []Rule {
	var rules []Rule
	for _, item := range n.Items() {
		r, whole := readRule(item)
		if whole {
			rules = append(rules, r)
			continue
		}
		if strings.TrimSpace(r.When) != "" {
			if _, problem := newCompiler().compile(&r); problem != nil {
				*n.problems = append(*n.problems, *problem)
			}
		}
	}
	return rules
}

func readRule(n Node) (r Rule, whole bool) {
	if !n.IsMapping() {
		n.Report("this is not a rule; write name, when and link")
		return Rule{}, false
	}
	if name, ok := n.peek("name"); ok {
		n.rule = name
	}
	before := len(*n.problems)
	f := n.Fields("name", "active", "when", "link")
	r = Rule{Name: n.required(f, "name"), Active: true, When: n.condition(f), Pos: n.Pos()}
	if f["name"].yaml != nil {
		r.Pos = f["name"].Pos()
	}
	if active, ok := f["active"]; ok {
		r.Active = active.Bool()
	}
	r.Origin = &Origin{Name: r.Pos, When: f["when"].Pos(), when: f["when"]}
	link, ok := f["link"]
	if !ok {
		n.Report("link is missing; write link: {instance: NAME, entity: NAME}")
		return r, false
	}
	if link.IsMapping() {
		l := link.Fields("instance", "entity", "notes")
		r.Link = Link{Instance: link.required(l, "instance"), Entity: link.required(l, "entity")}
		r.Origin.Instance, r.Origin.Entity = l["instance"].Pos(), l["entity"].Pos()
		if notes, ok := l["notes"]; ok {
			r.Link.Notes, r.Origin.Notes = notes.Text(), notes.Pos()
		}
	} else {
		link.Report("write where to link to: {instance: NAME, entity: NAME}")
	}
	return r, len(*n.problems) == before && !n.aliased()
}

// aliased reports whether an alias stands for a part of the value, which Parse has reported.
func (n Node) aliased() bool {
	return n.yaml.Kind == yaml.AliasNode || slices.ContainsFunc(n.yaml.Content, func(y *yaml.Node) bool { return n.child(y).aliased() })
}

// peek returns the text of a field, if it has one, and reports nothing.
func (n Node) peek(key string) (string, bool) {
	for i := 0; i+1 < len(n.yaml.Content); i += 2 {
		if n.yaml.Content[i].Value == key {
			quiet := n.child(n.yaml.Content[i+1])
			quiet.problems = nil
			return quiet.text()
		}
	}
	return "", false
}

// condition returns the text of a condition. YAML takes true for a switch where it is one that holds for every post.
func (n Node) condition(fields map[string]Node) string {
	if f, ok := fields["when"]; ok && f.yaml.Kind == yaml.ScalarNode && f.yaml.ShortTag() == "!!bool" {
		return f.yaml.Value
	}
	return n.required(fields, "when")
}

// required returns the text of a field that must be there.
func (n Node) required(fields map[string]Node, key string) string {
	f, ok := fields[key]
	if !ok {
		n.Report("%s is missing", key)
		return ""
	}
	return f.Text()
}
