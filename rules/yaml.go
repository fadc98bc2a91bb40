package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Node is a value in a YAML file that knows where it stands, and where to report what is wrong with it. Reading a value that
// has another shape than asked for reports that, and returns the zero value; so a whole file is read before anybody looks
// whether there were problems. The zero Node is a value that is not there: it reads as zero values and reports nothing of
// itself.
type Node struct {
	file     *source
	yaml     *yaml.Node
	problems *Problems
	rule     string
}

// Parse reads the one YAML document of a file. What is wrong with it is added to problems; without a document that can be
// read, ok is false. Anchors, aliases, merge keys and tags are refused: a catalog says what it means in place.
func Parse(file string, data []byte, problems *Problems) (n Node, ok bool) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	n = Node{file: newSource(file, string(data)), problems: problems}
	if at, found := n.file.unreadable(); found {
		n.reportAt(at, "this is not a printable character in UTF-8; save the file as UTF-8 text")
		return Node{}, false
	}
	in := &bytewise{data: data}
	decoder := yaml.NewDecoder(in)
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF):
		n.reportAt(Position{File: file, Line: 1, Column: 1}, "the file is empty; write instances: or rules:, or remove it")
		return Node{}, false
	case err != nil:
		at, message := n.file.syntaxError(err, data[:in.read])
		n.reportAt(at, "%s", message)
		return Node{}, false
	}
	n.yaml = doc.Content[0]
	if n.yaml.Kind == yaml.ScalarNode && n.yaml.ShortTag() == "!!null" {
		n.reportAt(Position{File: file, Line: 1, Column: 1}, "the file is empty; write instances: or rules:, or remove it")
		return Node{}, false
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		at := n.file.start(second.Line)
		if err != nil {
			at, _ = n.file.syntaxError(err, data[:in.read])
		}
		n.reportAt(at, "a second document starts here; put it into a file of its own")
	}
	n.refuseIndirection(n.yaml)
	return n, true
}

// refuseIndirection reports what makes a value stand elsewhere than where it is used.
func (n Node) refuseIndirection(y *yaml.Node) {
	at := n.child(y)
	switch {
	case y.Kind == yaml.AliasNode:
		at.Report("aliases (*%s) are not allowed; write the value itself", y.Value)
		return
	case y.Anchor != "":
		at.Report("anchors (&%s) are not allowed; write the value where it is used", y.Anchor)
	case y.ShortTag() == "!!merge":
		at.Report("merge keys (<<) are not allowed; write the fields themselves")
	case y.Style&yaml.TaggedStyle != 0:
		at.Report("tags (%s) are not allowed; remove it", y.Tag)
	}
	for _, c := range y.Content {
		n.refuseIndirection(c)
	}
}

// Fields returns the fields of a mapping by their keys. A key that is not known or comes twice is reported, and left out.
func (n Node) Fields(known ...string) map[string]Node {
	fields := map[string]Node{}
	if !n.is(yaml.MappingNode, "fields ("+strings.Join(known, ", ")+")") {
		return fields
	}
	seen := map[string]Position{}
	for i := 0; i+1 < len(n.yaml.Content); i += 2 {
		key, value := n.child(n.yaml.Content[i]), n.child(n.yaml.Content[i+1])
		if key.yaml.Kind == yaml.AliasNode || key.yaml.ShortTag() == "!!merge" {
			continue // reported by Parse
		}
		if key.yaml.Kind != yaml.ScalarNode {
			key.Report("a key must be a word; known here: %s", strings.Join(known, ", "))
			continue
		}
		name := key.yaml.Value
		if first, twice := seen[name]; twice {
			key.Report("%s is given twice, first in line %d; keep one of them", name, first.Line)
			continue
		}
		seen[name] = key.Pos()
		if !slices.Contains(known, name) {
			key.Report("unknown key %s; %s", quote(name), suggest(name, known))
			continue
		}
		fields[name] = value
	}
	return fields
}

// Items returns the items of a list.
func (n Node) Items() []Node {
	if !n.is(yaml.SequenceNode, "a list, with a dash before each item,") {
		return nil
	}
	items := make([]Node, len(n.yaml.Content))
	for i, c := range n.yaml.Content {
		items[i] = n.child(c)
	}
	return items
}

// Text returns a text. What YAML takes for a number, a date, true or nothing is reported: it must stand in quotes.
func (n Node) Text() string {
	text, _ := n.text()
	return text
}

func (n Node) text() (text string, ok bool) {
	if !n.is(yaml.ScalarNode, "a text") {
		return "", false
	}
	switch tag := n.yaml.ShortTag(); {
	case tag == "!!str" || n.yaml.Style&yaml.TaggedStyle != 0: // a tag is reported by Parse
		return n.yaml.Value, true
	case tag == "!!null":
		n.Report("a value is missing; write a text")
	default:
		kind := map[string]string{"!!int": "a number", "!!float": "a number", "!!bool": "true or false", "!!timestamp": "a date"}[tag]
		n.Report("%s is %s, not a text; put it in quotes: %s", n.yaml.Value, kind, quote(n.yaml.Value))
	}
	return "", false
}

// Bool returns a switch: true or false, and nothing else.
func (n Node) Bool() bool {
	if !n.is(yaml.ScalarNode, "true or false") || n.yaml.Style&yaml.TaggedStyle != 0 {
		return false
	}
	switch {
	case n.yaml.ShortTag() == "!!bool" && strings.EqualFold(n.yaml.Value, "true"):
		return true
	case n.yaml.ShortTag() == "!!bool" && strings.EqualFold(n.yaml.Value, "false"):
		return false
	case n.yaml.Value == "":
		n.Report("a value is missing; write true or false")
	default:
		n.Report("%s is neither true nor false; write one of them, without quotes", n.yaml.Value)
	}
	return false
}

// IsMapping reports whether the value has fields.
func (n Node) IsMapping() bool { return n.yaml != nil && n.yaml.Kind == yaml.MappingNode }

// Pos is where the value stands; the zero Position when it is not there.
func (n Node) Pos() Position {
	if n.yaml == nil {
		return Position{}
	}
	return Position{File: n.file.name, Line: n.yaml.Line, Column: n.yaml.Column}
}

// Report adds a problem with the value.
func (n Node) Report(format string, args ...any) { n.reportAt(n.Pos(), format, args...) }

func (n Node) reportAt(at Position, format string, args ...any) {
	if n.problems == nil {
		return
	}
	*n.problems = append(*n.problems, Problem{Pos: at, Rule: n.rule, Message: fmt.Sprintf(format, args...), Snippet: n.file.snippet(at)})
}

func (n Node) child(y *yaml.Node) Node {
	n.yaml = y
	return n
}

// is reports a value of another kind than wanted. An alias was reported by Parse.
func (n Node) is(kind yaml.Kind, wanted string) bool {
	if n.yaml == nil || n.yaml.Kind == yaml.AliasNode {
		return false
	}
	if n.yaml.Kind == kind {
		return true
	}
	found := "this is a list"
	switch {
	case n.yaml.Kind == yaml.MappingNode:
		found = "this has fields"
	case n.yaml.Kind == yaml.ScalarNode && n.yaml.ShortTag() == "!!null":
		found = "there is nothing here"
	case n.yaml.Kind == yaml.ScalarNode:
		found = "this is a single value"
	}
	n.Report("%s; write %s", found, strings.TrimSuffix(wanted, ","))
	return false
}

// suggest names the known key that was probably meant, or all of them.
func suggest(name string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := editDistance(strings.ToLower(name), strings.ToLower(k)); d < distance && 3*d <= len(name) {
			best, distance = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "known here: " + strings.Join(known, ", ")
}

// editDistance counts the letters to add, drop or replace to make b of a.
func editDistance(a, b string) int {
	if len(a) > 2*len(b)+3 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
