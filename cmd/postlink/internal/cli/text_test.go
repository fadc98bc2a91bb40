package cli_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/cmd/postlink/internal/cli"
)

func TestWidthCountsTheColumnsOfATerminal(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want int
	}{
		"nothing":                        {"", 0},
		"plain letters":                  {"flight", 6},
		"letters with a combining mark":  {"e\u0301te\u0301", 3},
		"Chinese":                        {"航班取消", 8},
		"Korean":                         {"항공편", 6},
		"Korean in single letters":       {"\u1112\u1161\u11bc", 2},
		"full-width letters":             {"ＡＢ", 4},
		"an emoji":                       {"😡", 2},
		"an emoji with a skin tone":      {"👍🏽", 2},
		"a family joined into one emoji": {"👩‍👩‍👧", 2},
		"a flag":                         {"🇩🇪", 2},
		"two flags":                      {"🇩🇪🇫🇷", 4},
		"a sign that becomes an emoji":   {"✈\ufe0f", 2},
		"a sign that stays one":          {"✈", 1},
		"a zero-width space":             {"a\u200bb", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := cli.Width(test.text); got != test.want {
				t.Errorf("%q takes %d columns, want %d", test.text, got, test.want)
			}
		})
	}
}

func TestCutKeepsWholeCharacters(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text    string
		columns int
		want    string
	}{
		"what fits is not cut":               {"cancelled", 9, "cancelled"},
		"a cut is marked":                    {"cancelled flight", 9, "cancelle…"},
		"no space stands before the mark":    {"lost bags", 6, "lost…"},
		"a wide character is not halved":     {"航班取消", 6, "航班…"},
		"half a column is left free":         {"航班取消", 5, "航班…"},
		"an emoji of several runes is kept":  {"👩‍👩‍👧abc", 4, "👩‍👩‍👧a…"},
		"an emoji of several runes is whole": {"ab👩‍👩‍👧c", 4, "ab…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := cli.Cut(test.text, test.columns)
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if w := cli.Width(got); w > test.columns {
				t.Errorf("%q takes %d columns, more than %d", got, w, test.columns)
			}
		})
	}
}

func TestWrapBreaksAtSpacesAndNeverInAWord(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text    string
		columns int
		want    []string
	}{
		"a short line stays one":      {"all fine", 20, []string{"all fine"}},
		"words fill each line":        {"one two three four", 9, []string{"one two", "three", "four"}},
		"wide words count twice":      {"航班 取消 了", 9, []string{"航班 取消", "了"}},
		"an address is not broken":    {"see https://contoso.example/main.aspx now", 10, []string{"see", "https://contoso.example/main.aspx", "now"}},
		"without a limit it is whole": {"one two", 0, []string{"one two"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, cli.Wrap(test.text, test.columns)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHarmlessTextCannotControlATerminal(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"colours":                       "a\x1b[31mred",
		"a title of the window":         "\x1b]0;mine\x07",
		"eight-bit control characters":  "a\u009b2J",
		"a carriage return":             "good\rbad",
		"a turned writing direction":    "abc\u202edef\u2066x\u200f",
		"characters that delete others": "abc\b\b\x7f",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := cli.Harmless(text)
			if i := strings.IndexFunc(got, func(r rune) bool {
				return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200f
			}); i >= 0 {
				t.Errorf("%q still controls the terminal at byte %d", got, i)
			}
		})
	}
	if got := cli.Line(" two\n\tlines\x1b[2J "); got != "two lines [2J" {
		t.Errorf("as one line: %q", got)
	}
}
