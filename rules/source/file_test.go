package source_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/rules/source"
)

func TestACaretStandsBelowItsCharacter(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		line   string
		column int // in characters, from 1
		want   string
	}{
		"the first character":          {"late", 1, "  1 | late\n    | ^"},
		"one in the middle":            {"is late", 4, "  1 | is late\n    |    ^"},
		"behind the last":              {"late", 5, "  1 | late\n    |     ^"},
		"far behind the last":          {"late", 99, "  1 | late\n    |     ^"},
		"before the first":             {"late", 0, "  1 | late\n    | ^"},
		"a tab is one column":          {"a\tb", 3, "  1 | a b\n    |   ^"},
		"letters of several bytes":     {"äöü x", 5, "  1 | äöü x\n    |     ^"},
		"characters of two columns":    {"航班 == x", 7, "  1 | 航班 == x\n    |         ^"},
		"a letter made of two":         {"cafe\u0301 x", 7, "  1 | cafe\u0301 x\n    |      ^"},
		"a control character is blank": {"a\x1bb", 3, "  1 | a b\n    |   ^"},
		"white space behind is cut":    {"a  ", 1, "  1 | a\n    | ^"},
		"nothing to see":               {" \t", 1, ""},
		"no such line":                 {"", 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := source.NewFile("a.yaml", test.line).Snippet(source.Position{Line: 1, Column: test.column})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	var none *source.File
	if got := none.Snippet(source.Position{Line: 1, Column: 1}); got != "" {
		t.Errorf("a file that is none has the line %q", got)
	}
}

func TestTheMarginIsAsWideAsTheNumberOfTheLine(t *testing.T) {
	t.Parallel()
	f := source.NewFile("a.yaml", strings.Repeat("\n", 1233)+"late")
	if got, want := f.Snippet(source.Position{Line: 1234, Column: 1}), "  1234 | late\n       | ^"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Wherever the caret is in a long line, its character is shown above it.
func TestALongLineShowsWhatTheCaretPointsTo(t *testing.T) {
	t.Parallel()
	line := []rune(strings.Repeat("äbcdefghi ", 40))
	for column := 1; column <= len(line); column++ {
		snippet := source.NewFile("", string(line)).Snippet(source.Position{Line: 1, Column: column})
		above, below, _ := strings.Cut(snippet, "\n")
		at := strings.IndexByte(below, '^')
		shown := append([]rune(above), ' ') // white space at the end of a line is cut
		if at < 0 || at >= len(shown) || shown[at] != line[column-1] {
			t.Fatalf("column %d:\n%s", column, snippet)
		}
		if len(shown) > 130 {
			t.Fatalf("column %d: the snippet has %d characters", column, len(shown))
		}
	}
}

func TestLinesEndWhereYAMLEndsThem(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]string{
		"line feed": "\n", "carriage return": "\r", "both": "\r\n", "next line": "\u0085", "line separator": "\u2028", "paragraph separator": "\u2029",
	} {
		f := source.NewFile("a.yaml", "one"+end+end+"three"+end)
		for n, want := range map[int]string{0: "", 1: "one", 2: "", 3: "three", 4: "", 5: ""} {
			got := f.Snippet(source.Position{Line: n, Column: 1})
			if (want == "") != (got == "") || !strings.Contains(got, want) {
				t.Errorf("%s: line %d is %q, want %q", name, n, got, want)
			}
		}
	}
}

// An expression that was not read from a file is a text of its own: the place of a character counts its lines.
func TestTheNumberOfACharacterLeadsToItsPlace(t *testing.T) {
	t.Parallel()
	const text = "ab\n  ö &&\n\nx  "
	for name, test := range map[string]struct{ offset, line, column int }{
		"the first":                        {0, 1, 1},
		"the last of its line":             {1, 1, 2},
		"the end of its line":              {2, 1, 3},
		"the indentation of the next":      {3, 2, 1},
		"one of several bytes":             {5, 2, 3},
		"one behind it":                    {7, 2, 5},
		"an empty line leads to the last":  {10, 2, 7},
		"the last line":                    {11, 4, 1},
		"white space behind the last":      {13, 4, 2},
		"what is far behind the last line": {99, 4, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := source.NewFile("", text).Position(test.offset)
			if want := (source.Position{Line: test.line, Column: test.column}); got != want {
				t.Errorf("character %d: %v, want %v", test.offset, got, want)
			}
		})
	}
	if got := source.NewFile("", "").Position(3); got != (source.Position{Line: 1, Column: 1}) {
		t.Errorf("of an empty text: %v", got)
	}
}

func TestAPlaceIsWrittenWithWhatIsKnownOfIt(t *testing.T) {
	t.Parallel()
	for want, at := range map[string]source.Position{
		"a.yaml:2:3": {File: "a.yaml", Line: 2, Column: 3}, "2:3": {Line: 2, Column: 3}, "a.yaml": {File: "a.yaml"}, "": {},
	} {
		if got := at.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	problems := source.Problems{
		{Pos: source.Position{File: "b.yaml", Line: 1, Column: 1}, Message: "second"},
		{Pos: source.Position{File: "a.yaml", Line: 7, Column: 1}, Rule: "late", Message: "first", Snippet: "  7 | x\n    | ^"},
		{Message: "of no file"},
	}
	if got, want := problems.Err().Error(), "of no file\na.yaml:7:1: rule \"late\": first\n  7 | x\n    | ^\nb.yaml:1:1: second"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := (source.Problems{}).Err(); err != nil {
		t.Errorf("no problems are the error %v", err)
	}
}

// Each value has to stand where it is used: everything that refers to another place is refused, wherever it stands.
func TestWhatStandsElsewhereIsRefusedAtItsPlace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"an anchor of a value":    {"rules: &all []\n", "a.yaml:1:8: anchors (&all) are not allowed"},
		"an anchor of a key":      {"&k rules: []\n", "a.yaml:1:1: anchors (&k) are not allowed"},
		"an anchor of the file":   {"&k\nrules: []\n", "anchors (&k) are not allowed"},
		"an alias":                {"rules: [&a x, *a]\n", "a.yaml:1:15: aliases (*a) are not allowed"},
		"an alias as a key":       {"rules: [&a x, {*a : y}]\n", "a.yaml:1:16: aliases (*a) are not allowed"},
		"an alias of nothing":     {"rules: [*nothing]\n", "a.yaml:1:1: aliases (*) are not allowed"},
		"a merge key":             {"rules:\n  - <<: {name: x}\n", "a.yaml:2:5: merge keys (<<) are not allowed"},
		"a tag of a list":         {"rules: !!seq []\n", "a.yaml:1:8: tags (!!seq) are not allowed"},
		"a tag deep in the rules": {"rules:\n  - name: x\n    when: !!str 5\n", "a.yaml:3:11: tags (!!str) are not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, got := items([]byte(test.text))
			if !strings.Contains(got.Error(), test.want) {
				t.Errorf("got %v, want %q", got, test.want)
			}
		})
	}
}

func TestAValueKnowsWhetherAnAliasStandsInIt(t *testing.T) {
	t.Parallel()
	var problems source.Problems
	n, ok := source.Parse("a.yaml", []byte("plain: &a [x]\nitself: *a\ndeep: [{y: *a}]\n"), &problems)
	if !ok {
		t.Fatal(problems)
	}
	for key, f := range n.Fields("plain", "itself", "deep") {
		if got, want := f.HasAlias(), key != "plain"; got != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
}

func TestAValueOfAnotherTypeSaysHowToWriteIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"5": `5 is a number, not a text; put it in quotes: "5"`, "1.5": `1.5 is a number`, "true": `true is true or false, not a text`,
		"2026-11-24": "2026-11-24 is a date, not a text", "~": "a value is missing; write a text", "[a]": "this is a list; write a text", "{a: b}": "this has fields; write a text",
		"'5'": "", "\"true\"": "", "yes": "", "a b": "",
	} {
		var problems source.Problems
		n, _ := source.Parse("a.yaml", []byte("x: "+text), &problems)
		value := n.Fields("x")["x"].Text()
		if (want == "") != (len(problems) == 0) || !strings.Contains(problems.Error(), want) || (want != "") != (value == "") {
			t.Errorf("%s: %q, %v, want %q", text, value, problems, want)
		}
	}
}
