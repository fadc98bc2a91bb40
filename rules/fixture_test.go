package rules_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postlink/rules"
	"postlink/rules/source"
)

// load reads rules from one file, as the catalog does.
func load(file string, data []byte) (*rules.Set, source.Problems) {
	var problems source.Problems
	n, ok := source.Parse(file, data, &problems)
	if !ok {
		return nil, problems
	}
	var rs []rules.Rule
	if f, ok := n.Fields("rules")["rules"]; ok {
		rs = rules.ReadRules(f)
	}
	set, err := rules.Compile(rs)
	if more, ok := errors.AsType[source.Problems](err); ok {
		problems = append(problems, more...)
	}
	problems.Sort()
	return set, problems
}

// Each *.bad.yaml opens with a comment line for each problem, in order: # line:col: text that the message holds.
func TestFixtures(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, got := load(file, data)
			if strings.HasSuffix(file, ".good.yaml") {
				if len(got) > 0 {
					t.Fatal(got)
				}
				return
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				text, ok := strings.CutPrefix(line, "# ")
				if !ok {
					break
				}
				want = append(want, strings.TrimSpace(text))
			}
			reported := make([]string, len(got))
			for i, p := range got {
				reported[i] = fmt.Sprintf("%d:%d: %s", p.Pos.Line, p.Pos.Column, p.Message)
				if p.Pos.File != file {
					t.Errorf("problem in file %q", p.Pos.File)
				}
			}
			matches := len(want) == len(reported) && len(want) > 0
			for i := 0; matches && i < len(want); i++ {
				at, text, _ := strings.Cut(want[i], ": ")
				matches = strings.HasPrefix(reported[i], at+": ") && strings.Contains(reported[i], text)
			}
			if !matches {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(reported, "\n  "), strings.Join(want, "\n  "))
			}
		})
	}
}
