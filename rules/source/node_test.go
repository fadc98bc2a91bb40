package source_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"postlink/rules/source"
)

// items reads the list under rules: of a file.
func items(data []byte) ([]source.Node, source.Problems) {
	var problems source.Problems
	n, ok := source.Parse("a.yaml", data, &problems)
	if !ok {
		return nil, problems
	}
	list, ok := n.Fields("rules")["rules"]
	if !ok {
		return nil, problems
	}
	return list.Items(), problems
}

// Each text holds BAD once: At must point at it, however the text is written.
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
	for name, value := range cases {
		for _, newline := range []string{"\n", "\r\n"} {
			t.Run(fmt.Sprintf("%s, lines end in %q", name, newline), func(t *testing.T) {
				t.Parallel()
				text := "# ✈\nrules:\n  - name: r\n" + value + "\n    link: {instance: a, entity: b}\n"
				if name == "flow" {
					text = "rules: [{name: r, link: {instance: a, entity: b}, when: post.isReply && BAD }]"
				}
				before := text[:strings.Index(text, "BAD")]
				line := strings.Count(before, "\n") + 1
				column := len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
				found, problems := items([]byte(strings.ReplaceAll(text, "\n", newline)))
				if len(found) != 1 || len(problems) > 0 {
					t.Fatalf("got %d items, %v", len(found), problems)
				}
				when := found[0].Fields("name", "when", "link")["when"]
				start, _, _ := strings.Cut(when.Scalar(), "BAD")
				got := when.At(utf8.RuneCountInString(start))
				if want := (source.Position{File: "a.yaml", Line: line, Column: column}); got != want {
					t.Errorf("got %v, want %v", got, want)
				}
				lines := strings.Split(when.Snippet(got), "\n")
				if len(lines) != 2 {
					t.Fatalf("got the snippet %q", lines)
				}
				columns := 0
				for _, r := range lines[0][:strings.Index(lines[0], "BAD")] {
					columns += source.Columns(r)
				}
				if caret := strings.IndexByte(lines[1], '^'); caret != columns {
					t.Errorf("the caret is not under BAD:\n%s", when.Snippet(got))
				}
			})
		}
	}
}

func TestALongLineIsCutAroundTheCaret(t *testing.T) {
	t.Parallel()
	_, got := items([]byte("rules: [" + strings.Repeat("a, ", 100) + "&BAD b" + strings.Repeat(", c", 100) + "]"))
	if len(got) != 1 {
		t.Fatal(got)
	}
	lines := strings.Split(got[0].Snippet, "\n")
	if len(lines[0]) > 130 || lines[0][strings.IndexByte(lines[1], '^'):][:4] != "&BAD" {
		t.Errorf("got\n%s", got[0].Snippet)
	}
}

func TestABrokenFileIsReportedWithItsPosition(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ text, want string }{
		"empty":                       {"", "a.yaml:1:1: the file is empty"},
		"only comments":               {"# nothing\n", "a.yaml:1:1: the file is empty"},
		"only a document start":       {"---\n", "a.yaml:1:1: the file is empty"},
		"null":                        {"~", "a.yaml:1:1: the file is empty"},
		"a list":                      {"- a\n", "a.yaml:1:1: this is a list; write fields (rules)"},
		"a text":                      {"rules", "a.yaml:1:1: this is a single value; write fields (rules)"},
		"rules without a value":       {"rules:\n", "a.yaml:1:7: there is nothing here; write a list"},
		"rules with fields":           {"rules: {a: b}\n", "a.yaml:1:8: this has fields; write a list"},
		"an unknown key":              {"rule: []\n", `a.yaml:1:1: unknown key "rule"; did you mean rules?`},
		"a key twice":                 {"rules: []\nrules: []\n", "a.yaml:2:1: rules is given twice, first in line 1"},
		"a key that is a list":        {"? [a]\n: b\n", "a.yaml:1:3: a key must be a word"},
		"a second document":           {"rules: []\n---\nrules: []\n", "a.yaml:2:1: a second document starts here"},
		"a broken second document":    {"rules: []\n---\nrules: [\n", "a second document starts here"},
		"an empty second document":    {"rules: []\n---\n", "a.yaml:2:1: a second document starts here"},
		"a tab as indentation":        {"rules:\n\t- name: x\n", "a.yaml:2:2: a tab cannot indent; use spaces"},
		"a tab in the middle":         {"rules:\n  - name: x\n\tactive: true\n", "a.yaml:3:2: a tab cannot indent; use spaces"},
		"a wrong indentation":         {"rules:\n  - name: x\n   when: y\n", "a.yaml:3:4: this does not fit to the lines before it"},
		"a block that ends too soon":  {"rules:\n  - when: |\n      a &&\n     b\n    name: x\n", "a.yaml:5:5: this does not fit"},
		"a colon in a plain text":     {"rules:\n  - name: a\n    when: post.text == \"a\": b\n", "a.yaml:3:5: a colon followed by a space makes a key here"},
		"a colon in the first line":   {"rules: a: b\n", "a.yaml:1:1: a colon followed by a space makes a key here"},
		"a quote without end":         {"rules:\n  - name: \"x\n    when: y\n", "a.yaml:2:3: a quote opens in or after this line"},
		"a bracket without end":       {"rules:\n  - link: {instance: a\n    when: y\n", "a.yaml:2:3: a bracket opens in or after this line"},
		"a value that starts with @":  {"rules:\n  - name: @x\n", "a.yaml:2:3: a value cannot start with @"},
		"a closing bracket alone":     {"rules: ]\n", "a.yaml:1:1: a value was expected here"},
		"an unknown alias":            {"rules: *x\n", "a.yaml:1:1: aliases (*) are not allowed"},
		"an alias bomb":               {"a: &a [x,x]\nb: &b [*a,*a]\nrules: [*b,*b]\n", "a.yaml:1:4: anchors (&a) are not allowed"},
		"an anchor that holds itself": {"rules: &a [*a]\n", "a.yaml:1:12: aliases (*a) are not allowed"},
		"an unknown escape":           {"rules: \"\\q\"\n", "a.yaml:1:1: this is not YAML: found unknown escape character"},
		"a NUL":                       {"rules: []\n# \x00\n", "a.yaml:2:3: this is not a printable character in UTF-8"},
		"a control character":         {"rules: \"\x07\"\n", "a.yaml:1:9: this is not a printable character"},
		"invalid UTF-8":               {"rules: []\n# é\xff\n", "a.yaml:2:4: this is not a printable character"},
		"UTF-16":                      {"\xff\xfer\x00u\x00", "a.yaml:1:1: this is not a printable character"},
		"a tag":                       {"rules: !x []\n", "a.yaml:1:8: tags (!x) are not allowed"},
		"a number as a key":           {"1: 2\n", `a.yaml:1:1: unknown key "1"; known here: rules`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, got := items([]byte(tc.text))
			if !strings.Contains(got.Error(), tc.want) {
				t.Errorf("got %v, want %q", got, tc.want)
			}
		})
	}
}

func TestAByteOrderMarkIsIgnored(t *testing.T) {
	t.Parallel()
	found, _ := items([]byte("\ufeffrules: [1]"))
	if len(found) != 1 || found[0].Pos().Column != 9 {
		t.Errorf("got %v", found)
	}
}

func TestASwitchIsReadStrictly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"true": "", "false": "", "True": "", "yes": "neither", "on": "neither", "1": "neither", "~": "neither", "": "missing", "[]": "list"} {
		var problems source.Problems
		n, _ := source.Parse("a.yaml", []byte("x: "+text), &problems)
		x := n.Fields("x")["x"]
		if got := x.Bool(); got != strings.EqualFold(text, "true") {
			t.Errorf("%q: got %v", text, got)
		}
		if (want == "") != (len(problems) == 0) || !strings.Contains(problems.Error(), want) {
			t.Errorf("%q: got %v", text, problems)
		}
	}
}

func TestAMissingNodeReportsNothing(t *testing.T) {
	t.Parallel()
	var n source.Node
	n.Report("nothing")
	if n.Text() != "" || n.Bool() || n.Items() != nil || len(n.Fields("a")) != 0 || n.IsMapping() || n.IsBool() || n.HasAlias() || n.Scalar() != "" || n.Snippet(source.Position{Line: 1}) != "" || n.At(1) != (source.Position{}) || n.Pos() != (source.Position{}) {
		t.Error("the zero Node has a value")
	}
}

func TestProblemsAreSortedWithoutRepetitions(t *testing.T) {
	t.Parallel()
	at := func(file string, line int) source.Problem {
		return source.Problem{Pos: source.Position{File: file, Line: line, Column: 1}, Message: "m"}
	}
	got := source.Problems{at("b", 1), at("a", 10), at("a", 9), at("b", 1), {Message: "whole"}}
	got.Sort()
	if diff := cmp.Diff(source.Problems{{Message: "whole"}, at("a", 9), at("a", 10), at("b", 1)}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestANodeReportsWhereItIsTold(t *testing.T) {
	t.Parallel()
	var own, other source.Problems
	n, _ := source.Parse("a.yaml", []byte("name: [x]"), &own)
	name := n.OfRule("late").ReportTo(&other).Fields("name")["name"]
	if got := name.Text(); got != "" {
		t.Errorf("a list was read as %q", got)
	}
	name.Add(source.Problem{Message: "found elsewhere"})
	quiet := n.ReportTo(nil).Fields("name")["name"]
	quiet.Text()
	quiet.Add(source.Problem{Message: "nobody reads this"})
	want := source.Problems{
		{Pos: source.Position{File: "a.yaml", Line: 1, Column: 7}, Rule: "late", Message: "this is a list; write a text", Snippet: "  1 | name: [x]\n    |       ^"},
		{Message: "found elsewhere"},
	}
	if diff := cmp.Diff(want, other); diff != "" || len(own) > 0 {
		t.Errorf("(-want +got)\n%s\nto the first list: %v", diff, own)
	}
}

func TestAMisspeltNameIsSuggested(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"nam":       "did you mean name?",
		"When":      "did you mean when?",
		"elsewhere": "known here: name, when",
		"x":         "known here: name, when",
	} {
		if got := source.Suggest(name, []string{"name", "when"}); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"rules: [{name: a, when: 'b', link: {x: [1, ~, true]}}]", "~", "---\n---\n", "rules:\n\t- a", "rules: &a [*a]", "rules: [{<<: *x}]", "a: b: c", "\ufeffrules: []",
		"rules:\n - |2+\n", "rules:\n - \"\\x41 \\\n  && \\u0042\"\n", "? ? ?", "rules: !!binary x", "rules:\r\n- |\r\n    B\r\n", "rules:\u2028- x\u0085",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found, problems := items(data)
		lines := 1
		for _, end := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} {
			lines += strings.Count(string(data), end)
		}
		for _, item := range found {
			for offset := range utf8.RuneCountInString(item.Scalar()) + 2 {
				if at := item.At(offset); at.Line < 1 || at.Line > lines || at.Column < 1 {
					t.Errorf("character %d of %q stands at %v", offset, item.Scalar(), at)
				}
			}
		}
		for _, p := range problems {
			if p.Message == "" || p.Pos.File != "a.yaml" || p.Pos.Line < 1 || p.Pos.Column < 1 || p.Pos.Line > lines {
				t.Errorf("a problem without a place: %+v", p)
			}
		}
	})
}

func TestDistanceCountsChangedLetters(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		a, b string
		want int
	}{
		"equal":                        {"rule", "rule", 0},
		"both empty":                   {"", "", 0},
		"one is empty":                 {"rule", "", 4},
		"a letter more":                {"rules", "rule", 1},
		"a letter less":                {"ule", "rule", 1},
		"another letter":               {"role", "rule", 1},
		"neighbours swapped":           {"rlue", "rule", 1},
		"letters of several bytes":     {"öäü", "öaü", 1},
		"a swap and a letter":          {"rlues", "rule", 2},
		"letters that are not in line": {"abc", "cab", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := source.Distance(test.a, test.b); got != test.want {
				t.Errorf("from %q to %q: %d, want %d", test.a, test.b, got, test.want)
			}
			if got := source.Distance(test.b, test.a); got != test.want {
				t.Errorf("from %q to %q: %d, want %d", test.b, test.a, got, test.want)
			}
		})
	}
}
