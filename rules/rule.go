package rules

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postlink/payload"
	"postlink/rules/source"
)

// MaxName is the longest name of a rule, in characters: names are shown in lists, and are labels of metrics.
const MaxName = 100

// Rule ties a condition over posts to the link that a matching post gets. It is plain data, and may be invalid: Compile checks it,
// but whether the catalog has the instance and the entity is checked by the catalog.
type Rule struct {
	Name   string // unique in the catalog, case-sensitive
	Active bool   // an inactive rule neither acts nor shadows older ones
	When   string // the condition, in expr-lang
	Link   Link
	Age    uint64          // order in which rule names entered the catalog: the highest is the newest; editing keeps it
	Since  time.Time       // when it became active: it ignores posts that arrived before; zero means always
	Pos    source.Position // where the rule was read from; zero when it came from the store
	Origin *Origin         // where its parts stand; nil when it came from the store
}

// Link is the action of a rule: which record, where.
type Link struct {
	Instance string // by name
	Entity   string // logical name of the preferred record type
	Notes    string // sent with every post that the rule takes; at most payload.MaxNotes UTF-16 units
}

// Origin holds the positions of a rule's parts in its file. It keeps the whole text of the file in memory, for the snippets.
type Origin struct {
	Name, When, Instance, Entity, Notes source.Position

	when source.Node
}

// validate checks everything except the meaning of the condition.
func (r *Rule) validate() source.Problems {
	at := Origin{}
	if r.Origin != nil {
		at = *r.Origin
	}
	var problems source.Problems
	refuse := func(pos source.Position, format string, args ...any) {
		problems = append(problems, source.Problem{
			Pos: cmp.Or(pos, r.Pos), Rule: r.Name, Message: fmt.Sprintf(format, args...),
			Snippet: at.when.Snippet(cmp.Or(pos, r.Pos)),
		})
	}
	if why := checkName(r.Name); why != "" {
		refuse(at.Name, "%s", why)
	}
	if strings.TrimSpace(r.When) == "" {
		refuse(at.When, "the condition is empty; write what a post must be, or true for every post")
	}
	if len(r.When) > maxCondition {
		refuse(at.When, "the condition has %d bytes, %d are allowed; split it into several rules", len(r.When), maxCondition)
	}
	if strings.TrimSpace(r.Link.Instance) == "" {
		refuse(at.Instance, "link.instance is empty; name a configured instance")
	}
	if strings.TrimSpace(r.Link.Entity) == "" {
		refuse(at.Entity, "link.entity is empty; name an entity that is configured for the instance, such as incident")
	}
	if n := payload.Units(r.Link.Notes); n > payload.MaxNotes {
		refuse(at.Notes, "the notes have %d characters, %d are allowed; shorten them", n, payload.MaxNotes)
	}
	return problems
}

// checkName says what is wrong with the name of a rule, if anything is.
func checkName(name string) string {
	odd := func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || r == utf8.RuneError
	}
	switch n := utf8.RuneCountInString(name); {
	case strings.TrimSpace(name) == "":
		return "the name is empty; give every rule a name"
	case n > MaxName:
		return fmt.Sprintf("the name has %d characters, %d are allowed; shorten it", n, MaxName)
	case strings.ContainsFunc(name, odd):
		return "the name holds a character that cannot be seen; keep it to one line of plain text"
	case strings.TrimSpace(name) != name:
		return "the name starts or ends with white space; remove it"
	}
	return ""
}

// ReadRules reads the list under rules:. It reports what is missing or has the wrong shape, and returns the complete rules in the
// order of the file, without an age. Whether their values are good is checked by Compile. The condition of an incomplete rule is
// checked here, so that every problem of a file is reported at once. A rule with an alias in it is left out as well: source.Parse has
// reported the alias, and the value behind it is not read.
func ReadRules(n source.Node) []Rule {
	var rules []Rule
	for _, item := range n.Items() {
		var problems source.Problems
		r := readRule(item.ReportTo(&problems))
		switch {
		case len(problems) == 0 && !item.HasAlias():
			rules = append(rules, r)
		case strings.TrimSpace(r.When) != "":
			if _, problem := newCompiler().compile(&r); problem != nil {
				problems = append(problems, *problem)
			}
		}
		n.Add(problems...)
	}
	return rules
}

// readRule reads one rule. It reports what is missing, and returns what it could read.
func readRule(n source.Node) Rule {
	if !n.IsMapping() {
		n.Report("this is not a rule; write name, when and link")
		return Rule{}
	}
	n = n.OfRule(n.ReportTo(nil).Fields("name")["name"].Text())
	f := n.Fields("name", "active", "when", "link")
	r := Rule{Name: required(n, f, "name"), Active: true, When: readWhen(n, f), Pos: cmp.Or(f["name"].Pos(), n.Pos())}
	if active, ok := f["active"]; ok {
		r.Active = active.Bool()
	}
	r.Origin = &Origin{Name: r.Pos, When: f["when"].Pos(), when: f["when"]}
	link, ok := f["link"]
	switch {
	case !ok:
		n.Report("link is missing; write link: {instance: NAME, entity: NAME}")
	case !link.IsMapping():
		link.Report("write where to link to: {instance: NAME, entity: NAME}")
	default:
		l := link.Fields("instance", "entity", "notes")
		r.Link = Link{Instance: required(link, l, "instance"), Entity: required(link, l, "entity"), Notes: l["notes"].Text()}
		r.Origin.Instance, r.Origin.Entity, r.Origin.Notes = l["instance"].Pos(), l["entity"].Pos(), l["notes"].Pos()
	}
	return r
}

// readWhen returns the text of a condition. A plain true is a boolean in YAML, and a condition that holds for every post.
func readWhen(n source.Node, fields map[string]source.Node) string {
	if when := fields["when"]; when.IsBool() {
		return when.Scalar()
	}
	return required(n, fields, "when")
}

// required returns the text of a field that must be there.
func required(n source.Node, fields map[string]source.Node, key string) string {
	f, ok := fields[key]
	if !ok {
		n.Report("%s is missing", key)
	}
	return f.Text()
}
