// Package source reads YAML files strictly. It knows the position of everything in a file, and reports all problems of a file at
// once, each with its line and a caret under the place. It does not know what the files say: packages that read rules, catalogs
// and tests ask a Node for the fields and values that they want.
//
// A reader calls Parse once for each file, with one list of Problems for all files, reads everything, and only then looks at the
// list: Problems.Err is the error for the caller. Nothing here logs or opens files. The package is not for concurrent use: nodes of
// one file add to the same list without a lock.
package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Node is a value in a YAML file. It knows its position, and where to report problems. Reading a value that has another shape than
// asked for reports a problem and returns the zero value, so that a whole file is read before the problems are looked at. The
// zero Node stands for a missing value: it reads as zero values and reports nothing. A Node is a value: OfRule and ReportTo return
// changed copies.
type Node struct {
	file     *File
	yaml     *yaml.Node
	problems *Problems // where to report; nil reports nothing
	rule     string    // whose part it is, for problems; empty outside of rules
}

// Parse reads the one YAML document of a file, and adds what is wrong with it to problems. ok is false when there is no document
// that can be read; it is true for a document with problems, which the caller reads on to find more. Anchors, aliases, merge keys
// and tags are refused, so that every value stands where it is used, and no short file becomes a huge document.
func Parse(file string, data []byte, problems *Problems) (n Node, ok bool) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	n = Node{file: NewFile(file, string(data)), problems: problems}
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
		n.reportAt(Position{File: file, Line: 1, Column: 1}, "the file is empty; fill it or remove it")
		return Node{}, false
	case err != nil:
		at, message := n.file.syntaxError(err, data[:in.read])
		n.reportAt(at, "%s", message)
		return Node{}, false
	}
	n.yaml = doc.Content[0]
	if n.yaml.Kind == yaml.ScalarNode && n.yaml.ShortTag() == "!!null" {
		n.reportAt(Position{File: file, Line: 1, Column: 1}, "the file is empty; fill it or remove it")
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

// refuseIndirection reports values that do not stand where they are used.
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

// Fields returns the fields of a mapping by their keys. A key that is not known or comes twice is reported, and left out. A key that
// is missing is not in the map, where it reads as the zero Node: whether it must be there is up to the caller.
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
			key.Report("unknown key %s; %s", strconv.Quote(name), Suggest(name, known))
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

// Text returns a text. Values that YAML reads as numbers, dates, booleans or null are reported: a text like that needs quotes.
func (n Node) Text() string {
	if !n.is(yaml.ScalarNode, "a text") {
		return ""
	}
	switch tag := n.yaml.ShortTag(); {
	case tag == "!!str" || n.yaml.Style&yaml.TaggedStyle != 0: // a tag is reported by Parse
		return n.yaml.Value
	case tag == "!!null":
		n.Report("a value is missing; write a text")
	default:
		kind := map[string]string{"!!int": "a number", "!!float": "a number", "!!bool": "true or false", "!!timestamp": "a date"}[tag]
		n.Report("%s is %s, not a text; put it in quotes: %s", n.yaml.Value, kind, strconv.Quote(n.yaml.Value))
	}
	return ""
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

// IsBool reports whether YAML reads the value as true or false.
func (n Node) IsBool() bool {
	return n.yaml != nil && n.yaml.Kind == yaml.ScalarNode && n.yaml.ShortTag() == "!!bool"
}

// Scalar returns the text of a single value of any type; "" for a list, for fields and for the zero Node. It reports nothing.
func (n Node) Scalar() string {
	if n.yaml == nil || n.yaml.Kind != yaml.ScalarNode {
		return ""
	}
	return n.yaml.Value
}

// HasAlias reports whether an alias stands for the value or a part of it. Parse has reported it.
func (n Node) HasAlias() bool {
	if n.yaml == nil {
		return false
	}
	return n.yaml.Kind == yaml.AliasNode || slices.ContainsFunc(n.yaml.Content, func(y *yaml.Node) bool { return n.child(y).HasAlias() })
}

// Pos is the position of the value; the zero Position for the zero Node.
func (n Node) Pos() Position {
	if n.yaml == nil {
		return Position{}
	}
	return Position{File: n.file.name, Line: n.yaml.Line, Column: n.yaml.Column}
}

// Snippet is the line of a position in the value's file, with a caret under the place; empty for the zero Node.
func (n Node) Snippet(at Position) string { return n.file.Snippet(at) }

// OfRule returns the same node for a rule: problems of it and of its parts carry the rule's name.
func (n Node) OfRule(name string) Node {
	n.rule = name
	return n
}

// ReportTo returns the same node with another list of problems; with nil it and its parts report nothing.
func (n Node) ReportTo(problems *Problems) Node {
	n.problems = problems
	return n
}

// Add adds problems that were found elsewhere.
func (n Node) Add(problems ...Problem) {
	if n.problems != nil {
		*n.problems = append(*n.problems, problems...)
	}
}

// Report adds a problem with the value.
func (n Node) Report(format string, args ...any) { n.reportAt(n.Pos(), format, args...) }

// reportAt adds a problem at any place of the node's file.
func (n Node) reportAt(at Position, format string, args ...any) {
	if n.problems == nil {
		return
	}
	*n.problems = append(*n.problems, Problem{Pos: at, Rule: n.rule, Message: fmt.Sprintf(format, args...), Snippet: n.file.Snippet(at)})
}

// child returns a part of the node, with the same file, rule and list of problems.
func (n Node) child(y *yaml.Node) Node {
	n.yaml = y
	return n
}

// is checks the kind of a value, and reports another one. Aliases are reported by Parse.
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
