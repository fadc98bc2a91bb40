package rules_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"postlink/payload"
	"postlink/rules"
	"postlink/rules/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rule is an active one of that age.
func rule(name, when string, age uint64) rules.Rule {
	return rules.Rule{Name: name, Active: true, When: when, Age: age, Link: rules.Link{Instance: "contoso", Entity: "incident"}}
}

func off(r rules.Rule) rules.Rule {
	r.Active = false
	return r
}

func compile(t testing.TB, rs ...rules.Rule) *rules.Set {
	t.Helper()
	set, err := rules.Compile(rs)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func names(failed []rules.Failure) string {
	var all []string
	for _, f := range failed {
		all = append(all, f.Rule.Name)
	}
	return strings.Join(all, " ")
}

func TestTheNewestActiveRuleActs(t *testing.T) {
	t.Parallel()
	const crash = "post.tags[9] == ''"
	cases := map[string]struct {
		rules        []rules.Rule
		want, failed string
	}{
		"no rule":                                   {nil, "", ""},
		"no match":                                  {[]rules.Rule{rule("a", "false", 1)}, "", ""},
		"the highest age wins":                      {[]rules.Rule{rule("a", "true", 1), rule("b", "true", 3), rule("c", "true", 2)}, "b", ""},
		"of the same age the later one wins":        {[]rules.Rule{rule("a", "true", 0), rule("b", "true", 0)}, "b", ""},
		"a newer rule that does not match":          {[]rules.Rule{rule("a", "true", 1), rule("b", "false", 2)}, "a", ""},
		"an inactive rule neither acts nor shadows": {[]rules.Rule{rule("a", "true", 1), off(rule("b", "true", 2))}, "a", ""},
		"only an inactive rule":                     {[]rules.Rule{off(rule("a", "true", 1))}, "", ""},
		"a newer rule that fails":                   {[]rules.Rule{rule("a", "true", 1), rule("b", crash, 2)}, "a", "b"},
		"all rules fail":                            {[]rules.Rule{rule("a", crash, 1), rule("b", crash, 2)}, "", "b a"},
		"an older rule is not asked":                {[]rules.Rule{rule("a", crash, 1), rule("b", "true", 2)}, "b", ""},
		"an inactive rule cannot fail":              {[]rules.Rule{off(rule("a", crash, 1))}, "", ""},
		"a rule matches after another one failed":   {[]rules.Rule{rule("a", "all(post.tags, # == 't')", 1), rule("b", "any(post.tags, post.tags[9] == #)", 2)}, "a", "b"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := compile(t, tc.rules...)
			for range 2 { // what the first call leaves behind must not matter to the second
				got := set.Match(&payload.Post{ID: "1", Tags: []string{"t"}}, time.Time{})
				var rule string
				if got.Rule != nil {
					rule = got.Rule.Name
				}
				if rule != tc.want || names(got.Failed) != tc.failed {
					t.Errorf("got rule %q, failed %q; want %q, %q", rule, names(got.Failed), tc.want, tc.failed)
				}
			}
		})
	}
}

func TestFailuresSayWhereAndWhyButNotWhatThePostSays(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ when, want string }{
		"an index":             {"post.isReply || post.tags[3] == ''", "1:26: index out of range: 3 (array length is 1)"},
		"a regular expression": {"post.id != '' and\n  post.text matches post.title", "2:13: the text behind matches is no regular expression"},
		"a whole number":       {"int(post.title) > 1", "1:1: int() needs a text that is a whole number"},
		"a number":             {"float(post.title) > 1", "1:1: float() needs a text that is a number"},
		"a date":               {"date(post.title) > post.publishedAt", "1:1: date() does not understand the text"},
		"a date of a form":     {"date(post.title, '2006') > post.publishedAt", "1:1: date() does not understand the text"},
		"a duration":           {"post.publishedAt + duration(post.title) > post.publishedAt", "1:20: duration() needs a text such as 1h30m"},
		"a division":           {"1 % post.length == 1", "1:3: integer divide by zero"},
		"a huge range":         {"len(1..10000000) > 0", "1:6: memory budget exceeded"},
		"endless loops":        {"all(1..2000, all(1..2000, true))", "the condition does too much on this post"},
		"too much text":        {"let a = map(1..100, post.text + post.text); len(a) > 0", "1:31: the condition does too much on this post"},
		"text that doubles":    {doubling(30), "the condition does too much on this post"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret := "(secret"
			m := compile(t, rule("r", tc.when, 1)).Match(&payload.Post{ID: "1", Title: secret, Text: strings.Repeat(secret, 1000), Tags: []string{secret}}, time.Time{})
			if m.Rule != nil || len(m.Failed) != 1 {
				t.Fatalf("got %+v", m)
			}
			if got := m.Failed[0].Err.Error(); !strings.Contains(got, tc.want) || strings.Contains(got, secret) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// doubling is a condition whose text gets twice as long in each of n steps.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString("let a0 = post.text + post.text;\n")
	for i := range n {
		fmt.Fprintf(&b, "let a%d = a%d + a%d;\n", i+1, i, i)
	}
	fmt.Fprintf(&b, "len(a%d) > 0", n)
	return b.String()
}

func TestAFailureOfARuleFromAFilePointsIntoIt(t *testing.T) {
	t.Parallel()
	set, problems := load("a.yaml", []byte("rules:\n  - name: r\n    link: {instance: a, entity: b}\n    when: >\n      post.isReply\n      || post.tags[0] == 'x'\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	m := set.Match(&payload.Post{ID: "1"}, time.Time{})
	if got := fmt.Sprint(m.Failed[0].Err); !strings.HasPrefix(got, "a.yaml:6:19: index out of range: 0") {
		t.Errorf("got %q", got)
	}
}

func TestConditionsReadTheWholeOriginalOfAClippedShare(t *testing.T) {
	t.Parallel()
	p, err := payload.DecodePost([]byte(`{"id":1,"postType":"share","source":{"param":"Twitter"},"content":{"text":"RT @ann: Stuck in Imst, flight can…"},
		"referencedPost":{"content":{"text":"Stuck in Imst, flight cancelled again"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	set := compile(t, rule("r", `post.isRetweet && post.source == "twitter" && post.mentions("cancelled") && post.text endsWith "again"`, 1))
	if m := set.Match(p, time.Time{}); m.Rule == nil {
		t.Errorf("no rule takes %+v: %+v", p, m)
	}
}

func TestProblemsOfAllRulesComeAtOnce(t *testing.T) {
	t.Parallel()
	bad := rule("bad", "post.nope", 1)
	bad.Pos = source.Position{File: "b.yaml", Line: 4, Column: 11}
	long := off(rule("long", strings.Repeat("(", 20_000), 1))
	noted := rule("noted", "true", 1)
	noted.Link.Notes = strings.Repeat("✈", payload.MaxNotes) + "."
	first := rule("twice", "true", 1)
	first.Pos = source.Position{File: "a.yaml", Line: 1, Column: 2}
	second := off(rule("twice", "true", 1))
	second.Pos = source.Position{File: "c.yaml", Line: 3, Column: 4}
	_, err := rules.Compile([]rules.Rule{bad, long, noted, {When: " "}, first, second, rule("fine", "true", 1)})
	var got source.Problems
	if !errors.As(err, &got) {
		t.Fatalf("got %v", err)
	}
	want := []string{
		"the name is empty; give every rule a name",
		"the condition is empty; write what a post must be, or true for every post",
		"link.instance is empty; name a configured instance",
		"link.entity is empty; name an entity that is configured for the instance, such as incident",
		`rule "long": the condition has 20000 bytes, 16384 are allowed; split it into several rules`,
		`rule "noted": the notes have 251 characters, 250 are allowed; shorten them`,
		`b.yaml:4:11: rule "bad": unknown name post.nope; known here: `,
		`c.yaml:3:4: rule "twice": the name is taken by the rule at a.yaml:1:2; choose another name`,
	}
	var lines []string
	for _, p := range got {
		text, _, _ := strings.Cut(p.String(), "\n")
		before, _, _ := strings.Cut(text, "id, externalId")
		lines = append(lines, before)
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestManyGoroutinesMatchAtOnce(t *testing.T) {
	t.Parallel()
	var rs []rules.Rule
	for i := range 300 {
		rs = append(rs, rule(fmt.Sprint("r", i), fmt.Sprintf(`post.mentions("word%d") && all(post.tags, # != "x") && post.tags[0] == "t"`, i), uint64(i)))
	}
	set := compile(t, rs...)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 100 {
				n := (i*7 + g) % 300
				p := &payload.Post{ID: "1", Text: fmt.Sprintf("a #Word%d ü", n)}
				if i%3 != 0 {
					p.Tags = []string{"t"}
				}
				m := set.Match(p, time.Time{})
				switch {
				case i%3 == 0 && (m.Rule != nil || len(m.Failed) != 1):
					t.Errorf("want rule %d to fail, got %+v", n, m)
				case i%3 != 0 && (m.Rule == nil || m.Rule.Name != fmt.Sprint("r", n) || len(m.Failed) != 0):
					t.Errorf("want rule %d, got %+v", n, m)
				}
			}
		})
	}
	group.Wait()
}

func TestMatchingLeavesThePostAlone(t *testing.T) {
	t.Parallel()
	p := &payload.Post{ID: "1", Tags: []string{"b", "a"}, Topics: []string{"z", "y"}}
	set := compile(t, rule("r", `len(filter(post.tags, # > "a")) == 1 && first(map(post.tags, upper(#))) == "B"`, 1))
	if set.Match(p, time.Time{}).Rule == nil {
		t.Error("no match")
	}
	if diff := cmp.Diff(&payload.Post{ID: "1", Tags: []string{"b", "a"}, Topics: []string{"z", "y"}}, p); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestExplainTellsEachRuleAndClause(t *testing.T) {
	t.Parallel()
	set := compile(t,
		rule("oldest", `post.isReply`, 1),
		rule("older", `post.reach == 0`, 2),
		rule("acts", `post.sentiment == "negative" && (post.mentions("late") || post.isReply) and not post.isRetweet`, 3),
		rule("fails", `post.isReply && post.tags[0] == "x" && post.text != ""`, 4),
		rule("broken", `post.text != "" && post.tags[0] == "x"`, 5),
		off(rule("off", `true`, 6)),
		rule("let", `let words = split(post.text, " "); let n = len(words); n > 1 && n < 3`, 7),
	)
	type clause struct {
		Text   string
		Result string
	}
	type explained struct {
		Rule    string
		Outcome rules.Outcome
		Clauses []clause
	}
	var got []explained
	for _, e := range set.Explain(&payload.Post{ID: "1", Sentiment: "negative", Text: "Late! again today"}) {
		row := explained{Rule: e.Rule.Name, Outcome: e.Outcome}
		for _, c := range e.Clauses {
			mark := "✗"
			if c.Holds {
				mark = "✓"
			}
			if c.Err != nil {
				mark = c.Err.Error()
			}
			row.Clauses = append(row.Clauses, clause{c.Text, mark})
		}
		if (e.Err != nil) != (e.Outcome == rules.Failed) {
			t.Errorf("rule %s: %s, but the error is %v", e.Rule.Name, e.Outcome, e.Err)
		}
		got = append(got, row)
	}
	want := []explained{
		{"let", rules.NoMatch, []clause{{"n > 1", "✓"}, {"n < 3", "✗"}}},
		{"off", rules.Inactive, []clause{{"true", "✓"}}},
		{"broken", rules.Failed, []clause{{`post.text != ""`, "✓"}, {`post.tags[0] == "x"`, "1:29: index out of range: 0 (array length is 0)"}}},
		{"fails", rules.NoMatch, []clause{{"post.isReply", "✗"}, {`post.tags[0] == "x"`, "1:26: index out of range: 0 (array length is 0)"}, {`post.text != ""`, "✓"}}},
		{"acts", rules.Acts, []clause{{`post.sentiment == "negative"`, "✓"}, {`post.mentions("late") || post.isReply`, "✓"}, {"not post.isRetweet", "✓"}}},
		{"older", rules.Shadowed, []clause{{"post.reach == 0", "✓"}}},
		{"oldest", rules.NoMatch, []clause{{"post.isReply", "✗"}}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestARuleActsOnPostsThatArriveFromItsActivationOn(t *testing.T) {
	t.Parallel()
	activated := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	older, newer := rule("older", "true", 1), rule("newer", "true", 2)
	newer.Since = activated
	set := compile(t, older, newer)
	for name, tc := range map[string]struct {
		arrived time.Time
		want    string
	}{
		"before its activation an older rule acts": {activated.Add(-time.Nanosecond), "older"},
		"from its activation on it acts":           {activated, "newer"},
		"a post of now":                            {time.Time{}, "newer"},
	} {
		if m := set.Match(&payload.Post{ID: "1"}, tc.arrived); m.Rule == nil || m.Rule.Name != tc.want {
			t.Errorf("%s: %+v", name, m.Rule)
		}
	}
}
