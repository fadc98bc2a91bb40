package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postlink/rules"
)

// Each condition names BAD once, which nobody knows: the problem must point at it, however the condition is written.
func TestPositionsPointIntoTheFile(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"plain":                               "    when: post.isReply && BAD",
		"plain, alone":                        "    when: BAD",
		"plain on several lines":              "    when: post.isReply\n      && post.reach > 1\n\n      && BAD",
		"plain on the next line":              "    when:\n      post.isReply && BAD",
		"single quotes":                       "    when: 'post.isReply && BAD'",
		"single quotes with quotes inside":    "    when: 'post.title == ''a'' && BAD'",
		"single quotes on several lines":      "    when: 'post.title == ''a''\n\n       &&\n     BAD'",
		"double quotes":                       "    when: \"post.isReply && BAD\"",
		"double quotes with escapes":          `    when: "post.title == \"a\" && post.text\u0020!= '\x41\u00e4\U0001F600\\n' && BAD"`,
		"double quotes with escaped newlines": "    when: \"post.isReply \\n && \\t\\t BAD\"",
		"double quotes with continued lines":  "    when: \"post.isReply \\\n      && \\\n  BAD\"",
		"double quotes on several lines":      "    when: \"post.isReply\n      &&\n\n  BAD\"",
		"literal":                             "    when: |\n      BAD",
		"literal on a later line":             "    when: |\n      post.isReply &&\n        post.reach > 1 &&\n        BAD || true",
		"literal that strips":                 "    when: |-\n      post.isReply && BAD\n\n\n",
		"literal that keeps":                  "    when: |+\n\n      post.isReply && BAD\n\n\n",
		"literal with a comment behind |":     "    when: |  # a comment\n      BAD",
		"literal with an explicit indent":     "    when: |2\n        post.isReply &&\n      BAD",
		"literal with emoji before it":        "    when: |\n      post.text contains \"✈ 🛫 飛\" && BAD",
		"literal with tabs":                   "    when: |\n      post.isReply\t&&\tBAD",
		"literal with expr comments":          "    when: |\n      // the B and the A\n      /* D */ BAD",
		"folded":                              "    when: >\n      post.isReply &&\n      BAD",
		"folded with paragraphs":              "    when: >-\n      post.isReply &&\n\n        post.reach > 1\n      && BAD",
		"flow":                                "    when: post.isReply && BAD",
	}
	for name, when := range cases {
		for _, newline := range []string{"\n", "\r\n"} {
			t.Run(fmt.Sprintf("%s, lines end in %q", name, newline), func(t *testing.T) {
				t.Parallel()
				text := "# ✈\nrules:\n  - name: r\n" + when + "\n    link: {instance: a, entity: b}\n"
				if name == "flow" {
					text = "rules: [{name: r, link: {instance: a, entity: b}, when: post.isReply && BAD }]"
				}
				before := text[:strings.Index(text, "BAD")]
				line := strings.Count(before, "\n") + 1
				column := len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
				_, got := load("f.yaml", []byte(strings.ReplaceAll(text, "\n", newline)))
				if len(got) != 1 {
					t.Fatalf("got %v", got)
				}
				if want := (rules.Position{File: "f.yaml", Line: line, Column: column}); got[0].Pos != want {
					t.Errorf("got %v, want %v", got[0].Pos, want)
				}
				lines := strings.Split(got[0].Snippet, "\n")
				if len(lines) != 2 {
					t.Fatalf("got the snippet %q", got[0].Snippet)
				}
				caret := strings.IndexByte(lines[1], '^')
				if under := []rune(lines[0])[caret:]; string(under[:3]) != "BAD" {
					t.Errorf("the caret is not under BAD:\n%s", got[0].Snippet)
				}
			})
		}
	}
}

func TestAProblemReadsWell(t *testing.T) {
	t.Parallel()
	_, got := load("catalog/a.yaml", []byte("rules:\n  - name: late\n    link: {instance: a, entity: b}\n    when: |\n      post.reach > 1 &&\n        post.texxt contains \"late\"\n  - 1\n"))
	want := `catalog/a.yaml:6:14: rule "late": unknown name post.texxt; did you mean text?
  6 |         post.texxt contains "late"
    |              ^
catalog/a.yaml:7:5: this is not a rule; write name, when and link
  7 |   - 1
    |     ^`
	if diff := cmp.Diff(want, got.Error()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestALongLineIsCutAroundTheCaret(t *testing.T) {
	t.Parallel()
	when := strings.Repeat("true && ", 100) + "BAD" + strings.Repeat(" && true", 100)
	_, got := load("a.yaml", []byte("rules: [{name: r, link: {instance: a, entity: b}, when: "+when+"}]"))
	if len(got) != 1 {
		t.Fatal(got)
	}
	lines := strings.Split(got[0].Snippet, "\n")
	if len(lines[0]) > 130 || lines[0][strings.IndexByte(lines[1], '^'):][:3] != "BAD" {
		t.Errorf("got\n%s", got[0].Snippet)
	}
}

func TestBrokenFilesAreToldWithPosition(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ text, want string }{
		"empty":                           {"", "a.yaml:1:1: the file is empty"},
		"only comments":                   {"# nothing\n", "a.yaml:1:1: the file is empty"},
		"only a document start":           {"---\n", "a.yaml:1:1: the file is empty"},
		"null":                            {"~", "a.yaml:1:1: the file is empty"},
		"a list":                          {"- a\n", "a.yaml:1:1: this is a list; write fields (rules)"},
		"a text":                          {"rules", "a.yaml:1:1: this is a single value; write fields (rules)"},
		"rules without a value":           {"rules:\n", "a.yaml:1:7: there is nothing here; write a list"},
		"rules with fields":               {"rules: {a: b}\n", "a.yaml:1:8: this has fields; write a list"},
		"an unknown key":                  {"rule: []\n", `a.yaml:1:1: unknown key "rule"; did you mean rules?`},
		"a key twice":                     {"rules: []\nrules: []\n", "a.yaml:2:1: rules is given twice, first in line 1"},
		"a key that is a list":            {"? [a]\n: b\n", "a.yaml:1:3: a key must be a word"},
		"a second document":               {"rules: []\n---\nrules: []\n", "a.yaml:2:1: a second document starts here"},
		"a broken second document":        {"rules: []\n---\nrules: [\n", "a second document starts here"},
		"an empty second document":        {"rules: []\n---\n", "a.yaml:2:1: a second document starts here"},
		"a tab as indentation":            {"rules:\n\t- name: x\n", "a.yaml:2:2: a tab cannot indent; use spaces"},
		"a tab in the middle":             {"rules:\n  - name: x\n\tactive: true\n", "a.yaml:3:2: a tab cannot indent; use spaces"},
		"a wrong indentation":             {"rules:\n  - name: x\n   when: y\n", "a.yaml:3:4: this does not fit to the lines before it"},
		"a block that ends too soon":      {"rules:\n  - when: |\n      a &&\n     b\n    name: x\n", "a.yaml:5:5: this does not fit"},
		"a colon in a plain text":         {"rules:\n  - name: a\n    when: post.text == \"a\": b\n", "a.yaml:3:5: a colon followed by a space makes a key here"},
		"a colon in the first line":       {"rules: a: b\n", "a.yaml:1:1: a colon followed by a space makes a key here"},
		"a quote without end":             {"rules:\n  - name: \"x\n    when: y\n", "a.yaml:2:3: a quote opens in or after this line"},
		"a bracket without end":           {"rules:\n  - link: {instance: a\n    when: y\n", "a.yaml:2:3: a bracket opens in or after this line"},
		"a value that starts with @":      {"rules:\n  - name: @x\n", "a.yaml:2:3: a value cannot start with @"},
		"a closing bracket alone":         {"rules: ]\n", "a.yaml:1:1: a value was expected here"},
		"an unknown alias":                {"rules: *x\n", "a.yaml:1:1: aliases (*) are not allowed"},
		"an alias bomb":                   {"a: &a [x,x]\nb: &b [*a,*a]\nrules: [*b,*b]\n", "a.yaml:1:4: anchors (&a) are not allowed"},
		"an anchor that holds itself":     {"rules: &a [*a]\n", "a.yaml:1:12: aliases (*a) are not allowed"},
		"an unknown escape":               {"rules: \"\\q\"\n", "a.yaml:1:1: this is not YAML: found unknown escape character"},
		"a NUL":                           {"rules: []\n# \x00\n", "a.yaml:2:3: this is not a printable character in UTF-8"},
		"a control character":             {"rules: \"\x07\"\n", "a.yaml:1:9: this is not a printable character"},
		"invalid UTF-8":                   {"rules: []\n# é\xff\n", "a.yaml:2:4: this is not a printable character"},
		"UTF-16":                          {"\xff\xfer\x00u\x00", "a.yaml:1:1: this is not a printable character"},
		"a tag":                           {"rules: !x []\n", "a.yaml:1:8: tags (!x) are not allowed"},
		"a rule with a list for its link": {"rules: [{name: a, when: x, link: [a]}]", `a.yaml:1:34: rule "a": write where to link to`},
		"a number as a key":               {"1: 2\n", `a.yaml:1:1: unknown key "1"; known here: rules`},
		"active in quotes":                {"rules: [{name: a, when: x, active: 'true', link: {instance: a, entity: b}}]", `a.yaml:1:36: rule "a": true is neither true nor false`},
		"a date as a name":                {"rules: [{name: 2016-01-01, when: x, link: {instance: a, entity: b}}]", "a.yaml:1:16: 2016-01-01 is a date, not a text"},
		"an octal number as a name":       {"rules: [{name: 010, when: x, link: {instance: a, entity: b}}]", `a.yaml:1:16: 010 is a number, not a text; put it in quotes: "010"`},
		"an exponent as a name":           {"rules: [{name: 1e3, when: x, link: {instance: a, entity: b}}]", "a.yaml:1:16: 1e3 is a number"},
		"nothing as a name":               {"rules: [{name: ~, when: x, link: {instance: a, entity: b}}]", "a.yaml:1:16: a value is missing"},
		"a number as a condition":         {"rules: [{name: a, when: 1, link: {instance: a, entity: b}}]", `a.yaml:1:25: rule "a": 1 is a number, not a text; put it in quotes: "1"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, got := load("a.yaml", []byte(tc.text))
			if !strings.Contains(got.Error(), tc.want) {
				t.Errorf("got %v (set %v), want %q", got, set != nil, tc.want)
			}
		})
	}
}

func TestAByteOrderMarkIsIgnored(t *testing.T) {
	t.Parallel()
	_, got := load("a.yaml", []byte("\ufeffrules: [1]"))
	if len(got) != 1 || got[0].Pos.Column != 9 {
		t.Errorf("got %v", got)
	}
}

func TestRulesAreReadInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	var problems rules.Problems
	n, _ := rules.Parse("a.yaml", []byte(`
- {name: b, when: post.isReply, link: {instance: i, entity: e, notes: n}}
- name: a
  active: false
  when: |
    post.isReply &&
    post.isPrivate
  link: {entity: e, instance: i}
`), &problems)
	got := rules.ReadRules(n)
	want := []rules.Rule{
		{Name: "b", Active: true, When: "post.isReply", Link: rules.Link{Instance: "i", Entity: "e", Notes: "n"}, Pos: rules.Position{File: "a.yaml", Line: 2, Column: 10}},
		{Name: "a", When: "post.isReply &&\npost.isPrivate\n", Link: rules.Link{Instance: "i", Entity: "e"}, Pos: rules.Position{File: "a.yaml", Line: 3, Column: 9}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(rules.Rule{}, "Origin")); diff != "" || len(problems) > 0 {
		t.Errorf("(-want +got)\n%s\n%v", diff, problems)
	}
	if at := got[1].Origin.Instance; at != (rules.Position{File: "a.yaml", Line: 8, Column: 31}) {
		t.Errorf("the instance is said to stand at %v", at)
	}
}

func TestASwitchIsReadStrictly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"true": "", "false": "", "True": "", "yes": "neither", "on": "neither", "1": "neither", "~": "neither", "": "missing", "[]": "list"} {
		var problems rules.Problems
		n, _ := rules.Parse("a.yaml", []byte("x: "+text), &problems)
		x := n.Fields("x")["x"]
		if got := x.Bool(); got != strings.EqualFold(text, "true") {
			t.Errorf("%q: got %v", text, got)
		}
		if (want == "") != (len(problems) == 0) || !strings.Contains(problems.Error(), want) {
			t.Errorf("%q: got %v", text, problems)
		}
	}
}

func TestANodeThatIsNotThereSaysNothing(t *testing.T) {
	t.Parallel()
	var n rules.Node
	n.Report("nothing")
	if n.Text() != "" || n.Bool() || n.Items() != nil || len(n.Fields("a")) != 0 || n.IsMapping() || n.Pos() != (rules.Position{}) {
		t.Error("the zero Node has a value")
	}
}

func TestProblemsAreSortedAndToldOnce(t *testing.T) {
	t.Parallel()
	at := func(file string, line int) rules.Problem {
		return rules.Problem{Pos: rules.Position{File: file, Line: line, Column: 1}, Message: "m"}
	}
	got := rules.Problems{at("b", 1), at("a", 10), at("a", 9), at("b", 1), {Message: "whole"}}
	got.Sort()
	if diff := cmp.Diff(rules.Problems{{Message: "whole"}, at("a", 9), at("a", 10), at("b", 1)}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
