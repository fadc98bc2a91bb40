package rules_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postlink/rules"
	"postlink/rules/source"
)

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

func TestRulesAreReadInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	var problems source.Problems
	n, _ := source.Parse("a.yaml", []byte(`
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
		{Name: "b", Active: true, When: "post.isReply", Link: rules.Link{Instance: "i", Entity: "e", Notes: "n"}, Pos: source.Position{File: "a.yaml", Line: 2, Column: 10}},
		{Name: "a", When: "post.isReply &&\npost.isPrivate\n", Link: rules.Link{Instance: "i", Entity: "e"}, Pos: source.Position{File: "a.yaml", Line: 3, Column: 9}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(rules.Rule{}, "Origin")); diff != "" || len(problems) > 0 {
		t.Errorf("(-want +got)\n%s\n%v", diff, problems)
	}
	if at := got[1].Origin.Instance; at != (source.Position{File: "a.yaml", Line: 8, Column: 31}) {
		t.Errorf("the instance is said to stand at %v", at)
	}
}

func TestAValueOfTheWrongKindIsReportedWithItsPosition(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ text, want string }{
		"a rule with a list for its link": {"rules: [{name: a, when: x, link: [a]}]", `a.yaml:1:34: rule "a": write where to link to`},
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
