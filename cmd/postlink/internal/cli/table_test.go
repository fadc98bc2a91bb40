package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
)

// letterColumns are those of a list of dead letters: the code and the cause are what a person needs.
var letterColumns = []cli.Column{
	{Head: "N"},
	{Head: "KIND", Drop: 2},
	{Head: "AT", Drop: 1},
	{Head: "POST", Shorten: 10, Drop: 3},
	{Head: "CODE"},
	{Head: "REASON", Cause: true},
}

var letters = [][]string{
	{"1", "link", "2026-11-24 10:00:00", "twitter/570306133677760513", "0x80044331", "A validation error occurred: the length of the subject exceeds 200 characters."},
	{"12", "post", "2026-11-24 10:00:01", "", "undecodable", "not JSON"},
}

func TestATableFitsTheTerminalAndNeverCutsTheCause(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		terminal int
		heads    []string
	}{
		"with room for all":                  {200, []string{"N", "KIND", "AT", "POST", "CODE", "REASON"}},
		"the cause goes on below itself":     {110, []string{"N", "KIND", "AT", "POST", "CODE", "REASON"}},
		"the least important column is left": {80, []string{"N", "KIND", "POST", "CODE", "REASON"}},
		"then the next":                      {64, []string{"N", "POST", "CODE", "REASON"}},
		"code and cause stay":                {50, []string{"N", "CODE", "REASON"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := cli.Layout(letterColumns, letters, test.terminal)
			lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
			if diff := cmp.Diff(test.heads, strings.Fields(lines[0])); diff != "" {
				t.Errorf("columns: %s", diff)
			}
			for _, line := range lines {
				if w := cli.Width(line); w > test.terminal {
					t.Errorf("line of %d columns in a terminal of %d: %s", w, test.terminal, line)
				}
			}
			words := strings.Join(strings.Fields(text), " ")
			at := 0
			for word := range strings.FieldsSeq("0x80044331 " + letters[0][5]) { // other columns stand between on the first line only
				i := strings.Index(words[at:], word)
				if i < 0 {
					t.Fatalf("the cause lacks %q:\n%s", word, text)
				}
				at += i
			}
		})
	}
}

func TestCellsOfAColumnStandBelowEachOther(t *testing.T) {
	t.Parallel()
	columns := []cli.Column{{Head: "POST"}, {Head: "TEXT", Shorten: 20}, {Head: "LINK"}}
	text := cli.Layout(columns, [][]string{
		{"@1", "plain", "linked"},
		{"@2", "航班取消 😡", "queued"},
		{"@3", strings.Repeat("很", 50), "dead"},
		{"@4", "👩‍👩‍👧 ✈\ufe0f 🇩🇪", "gone"},
	}, 0)
	at := -1
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		cells := strings.Fields(line)
		last := cells[len(cells)-1]
		start := cli.Width(strings.TrimSuffix(line, last))
		if i == 0 {
			at = start
		}
		if start != at {
			t.Errorf("the last cell starts in column %d, its head in %d: %s", start, at, line)
		}
	}
}

func ExampleTable() {
	cmd := &cobra.Command{}
	cmd.SetOut(os.Stdout)
	_ = cli.List(cmd, false, cli.Table[string]{
		Columns: []cli.Column{{Head: "NAME"}, {Head: "LETTERS"}},
		Row:     func(name string) []string { return []string{name, fmt.Sprint(len(name))} },
		None:    "there are no names",
	}, []string{"contoso", "fabrikam"})
	// Output:
	// NAME      LETTERS
	// contoso   7
	// fabrikam  8
}

func TestLaterPagesStandBelowTheHeadOfTheFirst(t *testing.T) {
	t.Parallel()
	cmd, out, _ := command()
	p := cli.NewPrinter(cmd, false, cli.Table[[]string]{
		Columns: []cli.Column{{Head: "POST"}, {Head: "LINK"}}, Row: func(row []string) []string { return row },
	})
	for _, page := range [][][]string{{{"@1000", "linked"}}, {}, {{"@9", "queued"}}} {
		if err := p.Page(page); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.End(""); err != nil {
		t.Fatal(err)
	}
	want := "POST   LINK\n@1000  linked\n@9     queued\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAListInJSONKeepsTheCursor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pages [][]string
		next  string
		want  map[string]any
	}{
		"an empty list":          {nil, "", map[string]any{"items": []any{}}},
		"an empty page of many":  {[][]string{{}}, "7", map[string]any{"items": []any{}, "next_cursor": "7"}},
		"the last page":          {[][]string{{"a"}, {"b"}}, "", map[string]any{"items": []any{"a", "b"}}},
		"a page of many":         {[][]string{{"a", "b"}}, `x"y`, map[string]any{"items": []any{"a", "b"}, "next_cursor": `x"y`}},
		"signs of HTML are kept": {[][]string{{"<a>&"}}, "", map[string]any{"items": []any{"<a>&"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, out, talk := command()
			p := cli.NewPrinter(cmd, true, cli.Table[string]{None: "there is nothing"})
			for _, page := range test.pages {
				if err := p.Page(page); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.End(test.next); err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if talk.Len() > 0 {
				t.Errorf("said beside JSON: %s", talk)
			}
		})
	}
}

func TestAnEmptyListIsSaidOnStandardError(t *testing.T) {
	t.Parallel()
	cmd, out, talk := command()
	if err := cli.List(cmd, false, cli.Table[string]{None: "there are no rules"}, nil); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 || talk.String() != "there are no rules\n" {
		t.Errorf("output %q, talk %q", out, talk)
	}
}

func TestFactsLeaveOutWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	cmd, out, _ := command()
	err := cli.Show(cmd, false, nil, cli.Fact{"Name", "contoso"}, cli.Fact{"Parked", " "}, cli.Fact{"Condition", "a &&\n  b\x1b[2J"})
	if err != nil {
		t.Fatal(err)
	}
	want := "Name       contoso\nCondition  a &&\n             b [2J\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestFactsFitTheTerminal(t *testing.T) {
	t.Parallel()
	text := cli.FactLines([]cli.Fact{{"Post", "twitter/1"}, {"Reason", strings.Repeat("word ", 30)}}, 50)
	for line := range strings.Lines(text) {
		if w := cli.Width(strings.TrimSuffix(line, "\n")); w > 50 {
			t.Errorf("%d columns: %s", w, line)
		}
	}
	if n := strings.Count(text, "word"); n != 30 {
		t.Errorf("%d words of 30:\n%s", n, text)
	}
}

// command is a command whose output and talk are kept.
func command() (cmd *cobra.Command, out, talk *bytes.Buffer) {
	cmd = &cobra.Command{Use: "postlink"}
	out, talk = new(bytes.Buffer), new(bytes.Buffer)
	cmd.SetOut(out)
	cmd.SetErr(talk)
	return cmd, out, talk
}
