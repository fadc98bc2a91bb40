package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postlink/payload"
	"postlink/rules"
)

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{
		"", "~", "---\n---\n", "rules:\n\t- a", "rules: [{name: no, when: true, link: {}}]", "rules: &a [*a]", "rules: [{<<: *x}]", "a: b: c", "\ufeffrules: []",
		"rules:\n - name: ~\n   when: |2+\n", "rules:\n - when: \"\\x41 \\\n  && \\u0042\"\n", "rules:\n - when: 'a''\n  b'\n", "rules: [{when: >\n a\n}]", "? ? ?", "rules: !!binary x",
		strings.Repeat("[", 300), "00000: {0", "rules:\r\n- when: |\r\n    B\r\n", "rules:\u2028- when: x\u0085",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, problems := load("a.yaml", data)
		if set == nil && len(problems) == 0 {
			t.Fatal("neither rules nor problems")
		}
		for _, p := range problems {
			if p.Message == "" || p.Pos.File != "a.yaml" || p.Pos.Line < 1 || p.Pos.Column < 1 || p.Pos.Line > strings.Count(string(data), "\n")+strings.Count(string(data), "\r")+strings.Count(string(data), "\u0085")+strings.Count(string(data), "\u2028")+strings.Count(string(data), "\u2029")+1 {
				t.Errorf("a problem without a place: %+v", p)
			}
		}
		if set != nil {
			set.Match(full(), time.Time{})
		}
	})
}

func FuzzCondition(f *testing.F) {
	for _, when := range []string{
		`post.sentiment == "negative" && post.mentions("cancelled", "cancelled flight")`, `post.id = "x"`, `post.text`, `now()`, `1..1000000`, `len(1..1000000) > 0`,
		`all(post.tags, all(post.tags, all(post.tags, true)))`, `post.author?.handle == "x"`, `post.tags[9] == ""`, `post.text matches "("`, `post.text matches post.title`,
		`let a = 1..900000; all(a, all(a, true))`, doubling(40), `let a = map(1..500, post.text + post.text); len(a) > 0`, `date("x") > post.publishedAt`,
		`any(split(post.text, ""), any(split(post.text, ""), # == "☃"))`, `post.publishedAt.In(timezone("UTC")).Format(post.text) == ""`, `1 % 0 == 0`, `-9223372036854775808 % -1 == 0`,
		`float("nan") > 1 || int("0x10") == 16`, `string(post.tags) == ""`, `sum(post.tags) == 1`, `$env == $env`, `(1 ?? 2) == 1 ? true : false`, `post?.["text"] == ""`, `#`, `{}`, `post.text[100:1] == ""`,
		`median(1..3, 4) > mean(post.tags)`, `first(post.tags)?.x == 1`, `b"\xff" == b""`, `if true { true } else { 1 }`, `1; 2; true`, `post.tags | filter(# != "") | len() > 0`, "\"\\u{110000}\" == ''", strings.Repeat("(", 2000) + "true" + strings.Repeat(")", 2000),
		strings.Repeat("!", 3000) + "true", strings.Repeat("-", 3000) + "1 == 1", strings.Repeat("true ? ", 500) + "true" + strings.Repeat(": false", 500),
	} {
		f.Add(when)
	}
	p := full()
	p.Text = strings.Repeat("a #word, ", 200)
	for range payload.MaxNames {
		p.Tags, p.Topics = append(p.Tags, "tag"), append(p.Topics, "topic")
	}
	f.Fuzz(func(t *testing.T, when string) {
		begin := time.Now()
		set, err := rules.Compile([]rules.Rule{rule("r", when, 1)})
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without a text")
			}
			return
		}
		m := set.Match(p, time.Time{})
		if len(m.Failed) > 0 && (m.Failed[0].Err == nil || m.Rule != nil) {
			t.Errorf("got %+v", m)
		}
		explained := set.Explain(p)
		if acts := explained[0].Outcome == rules.Acts; acts != (m.Rule != nil) || (explained[0].Outcome == rules.Failed) != (len(m.Failed) > 0) {
			t.Errorf("matched %+v, explained %+v", m, explained[0])
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("took %s", took)
		}
	})
}
