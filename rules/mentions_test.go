package rules_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"postlink/payload"
)

// mentions asks two conditions, which take different ways: one has the keywords as constants, the other learns them with
// the post.
func mentions(t testing.TB, p payload.Post, keywords ...string) bool {
	t.Helper()
	quoted := make([]string, len(keywords))
	for i, k := range keywords {
		quoted[i] = strconv.Quote(k)
	}
	p.ID, p.Topics = "1", keywords
	want := compile(t, rule("r", "post.mentions("+strings.Join(quoted, ", ")+")", 1)).Match(&p, time.Time{})
	got := compile(t, rule("r", "any(post.topics, post.mentions(#))", 1)).Match(&p, time.Time{})
	if len(want.Failed)+len(got.Failed) > 0 || (want.Rule == nil) != (got.Rule == nil) {
		t.Fatalf("keywords %q in %q, %q: as constants %+v, computed %+v", keywords, p.Title, p.Text, want, got)
	}
	return want.Rule != nil
}

var mentioned = map[string]struct {
	text, keyword string
	want          bool
}{
	"a word":                                     {"the phone rings", "phone", true},
	"the whole text":                             {"phone", "phone", true},
	"not a part of a word":                       {"two phones", "phone", false},
	"not the end of a word":                      {"smartphone", "phone", false},
	"an underscore belongs to the word":          {"my_phone", "phone", false},
	"a digit belongs to the word":                {"phone2", "phone", false},
	"punctuation ends a word":                    {"(phone),", "phone", true},
	"case does not matter":                       {"PhOnE", "pHoNe", true},
	"no sign finds #":                            {"fly #Delta", "delta", true},
	"no sign finds @":                            {"hey @delta!", "Delta", true},
	"no sign finds $":                            {"$AAL falls", "aal", true},
	"a sign finds itself":                        {"$AAL falls", "$aal", true},
	"a sign does not find the bare word":         {"AAL falls", "$AAL", false},
	"a sign does not find another sign":          {"#AAL falls", "$AAL", false},
	"of two signs the nearer one counts":         {"@#x", "#x", true},
	"of two signs the farther one does not":      {"@#x", "@x", false},
	"a doubled sign":                             {"@@x", "@x", true},
	"a sign inside ends a word":                  {"a#b", "a", true},
	"a sign inside belongs to the next word":     {"a#b", "#b", true},
	"a sign that stands apart":                   {"# delta", "#delta", false},
	"a sign behind a word":                       {"delta#", "#delta", false},
	"% is no sign":                               {"%delta", "delta", true},
	"two words":                                  {"my cancelled flight", "cancelled flight", true},
	"two words in another order":                 {"flight cancelled", "cancelled flight", false},
	"two words with one between":                 {"cancelled my flight", "cancelled flight", false},
	"two words on two lines":                     {"cancelled\r\n\tflight", "cancelled flight", true},
	"two words with punctuation between":         {"Cancelled... (flight)", "cancelled flight", true},
	"two words with nothing but a sign between":  {"cancelled#flight", "cancelled flight", true},
	"two words with an emoji between":            {"cancelled 😡 flight", "cancelled flight", true},
	"two words, the second with a sign":          {"cancelled #flight", "cancelled #flight", true},
	"two words, the second without its sign":     {"cancelled flight", "cancelled #flight", false},
	"a keyword that is punctuated itself":        {"on time guarantee", "on-time!", true},
	"a start that repeats":                       {"very very late", "very late", true},
	"a keyword longer than the text":             {"late", "late again", false},
	"a keyword cut off by the end":               {"so late", "late again", false},
	"an apostrophe":                              {"I can't", "can't", true},
	"a curly apostrophe":                         {"I can’t", "can't", true},
	"an apostrophe splits":                       {"I can't", "can", true},
	"no apostrophe":                              {"I cant", "can't", false},
	"accents, composed and not":                  {"cafe\u0301", "caf\u00e9", true},
	"accents, not composed and composed":         {"caf\u00e9", "cafe\u0301", true},
	"accents are not dropped":                    {"café", "cafe", false},
	"two marks in another order":                 {"a\u0323\u0302", "a\u0302\u0323", true},
	"ß is ss":                                    {"STRASSE", "straße", true},
	"ss is ß":                                    {"Straße", "strasse", true},
	"final sigma":                                {"ΟΔΟΣ", "οδος", true},
	"Turkish dotted capital i":                   {"\u0130stanbul", "i\u0307stanbul", true},
	"a ligature":                                 {"o\ufb03ce", "office", true},
	"Kelvin":                                     {"5\u212a", "5k", true},
	"Arabic":                                     {"رحلة ملغاة!", "رحلة ملغاة", true},
	"Arabic with direction marks":                {"\u200fرحلة\u200f", "رحلة", true},
	"Hebrew with points":                         {"שָׁלוֹם", "שָׁלוֹם", true},
	"Hindi vowel signs belong to the word":       {"उड़ान रद्द", "रद", false},
	"Hindi":                                      {"उड़ान रद्द", "रद्द", true},
	"Chinese has no spaces":                      {"航班取消了", "取消", false},
	"Arabic digits":                              {"\u0661\u0662", "\u0661\u0662", true},
	"a fraction is no digit":                     {"flight½", "flight", true},
	"an emoji with a joiner beside a word":       {"late👨\u200d👩\u200d👧", "late", true},
	"text is not decoded":                        {"fish &amp; chips", "amp", true},
	"so & is not the word's neighbour":           {"fish &amp; chips", "fish & chips", false},
	"an address":                                 {"see http://t.co/Delta", "delta", true},
	"invalid UTF-8 is no word":                   {"a\xffb", "b", true},
	"a NUL is no word":                           {"a\x00b", "a b", true},
	"an empty text":                              {"", "a", false},
	"a text of signs":                            {"@#$", "a", false},
	"the sign of a word that starts with a mark": {"#\u0301x", "#\u0301x", true},
	"a long s is an s":                           {"\u017fo", "so", true},
}

func TestMentions(t *testing.T) {
	t.Parallel()
	for name, tc := range mentioned {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := mentions(t, payload.Post{Text: tc.text}, tc.keyword); got != tc.want {
				t.Errorf("%q in the text %q: got %v", tc.keyword, tc.text, got)
			}
			if got := mentions(t, payload.Post{Title: tc.text, Text: "other"}, "nothing", tc.keyword); got != tc.want {
				t.Errorf("%q in the title %q: got %v", tc.keyword, tc.text, got)
			}
			if got := slowMentions(tc.text, "", tc.keyword); got != tc.want {
				t.Errorf("%q in %q: the reference says %v", tc.keyword, tc.text, got)
			}
		})
	}
}

func TestAPhraseDoesNotSpanTitleAndText(t *testing.T) {
	t.Parallel()
	p := payload.Post{Title: "my cancelled", Text: "flight today"}
	if mentions(t, p, "cancelled flight") {
		t.Error("found a phrase that begins in the title and ends in the text")
	}
	if !mentions(t, p, "cancelled flight", "flight today") || !mentions(t, p, "my cancelled") {
		t.Error("a phrase of one of them is not found")
	}
}

func TestWordsOfOnePostAreForgottenWithIt(t *testing.T) {
	t.Parallel()
	set := compile(t, rule("r", `post.mentions("late")`, 1))
	for i := range 100 {
		text, want := "late", true
		if i%2 == 1 {
			text, want = "", false
		}
		if got := set.Match(&payload.Post{ID: "1", Text: text}, time.Time{}); (got.Rule != nil) != want {
			t.Fatalf("post %d: got %v", i, got.Rule)
		}
	}
}

// slowMentions says the same as post.mentions in the plainest way: texts are searched for words by a regular expression.
func slowMentions(title, text string, keywords ...string) bool {
	for _, keyword := range keywords {
		wanted := slowWords(keyword)
		for _, part := range []string{title, text} {
			words := slowWords(part)
			for len(wanted) > 0 && len(words) >= len(wanted) {
				if slices.EqualFunc(words[:len(wanted)], wanted, func(word, want string) bool {
					return word == want || strings.TrimLeft(word, "@#$") == want
				}) {
					return true
				}
				words = words[1:]
			}
		}
	}
	return false
}

var slowWord = regexp.MustCompile(`[@#$]?[\p{L}\p{M}\p{Nd}_]+`)

func slowWords(text string) []string {
	words := slowWord.FindAllString(text, -1)
	for i, w := range words {
		words[i] = norm.NFC.String(cases.Fold().String(norm.NFC.String(w)))
	}
	return words
}

func TestMentionsIsWhatTheReferenceSays(t *testing.T) {
	t.Parallel()
	// Few letters, so that words repeat, and the characters that are decisive.
	piece := rapid.SampledFrom([]string{"a", "b", "A", "ß", "ss", "SS", "é", "e\u0301", "\u0301", "Σ", "ς", "σ", "1", "\u0661", "_", "@", "#", "$", " ", " ", " ",
		"\n", "'", "-", "😀", "\ufe0f", "\u200d", "ن", "\u200f", "飛", "&amp;", "İ", "\xff", "\u212a", "k", "½", "\u2028"})
	text := rapid.Map(rapid.SliceOfN(piece, 0, 12), func(parts []string) string { return strings.Join(parts, "") })
	keyword := rapid.Map(rapid.SliceOfN(piece, 0, 4), func(parts []string) string { return strings.Join(parts, "") })
	rapid.Check(t, func(rt *rapid.T) {
		p := payload.Post{ID: "1", Title: text.Draw(rt, "title"), Text: text.Draw(rt, "text"), Topics: rapid.SliceOfN(keyword, 1, 3).Draw(rt, "keywords")}
		set := compile(t, rule("computed", "any(post.topics, post.mentions(#))", 1))
		want := slowMentions(p.Title, p.Text, p.Topics...)
		if got := set.Match(&p, time.Time{}); (got.Rule != nil) != want {
			rt.Fatalf("computed: got %+v, want %v", got, want)
		}
		var usable []string
		for _, k := range p.Topics {
			if strings.Trim(slowWord.FindString(k), "@#$") != "" && regexp.MustCompile(`[\p{L}\p{Nd}_]`).MatchString(k) {
				usable = append(usable, k)
			}
		}
		if len(usable) == 0 || !valid(usable) {
			return
		}
		if got, want := mentions(t, p, usable...), slowMentions(p.Title, p.Text, usable...); got != want {
			rt.Fatalf("constant %q: got %v, want %v", usable, got, want)
		}
	})
}

// valid reports whether keywords can stand in a condition, which is UTF-8.
func valid(keywords []string) bool {
	return strings.ToValidUTF8(fmt.Sprint(keywords), "") == fmt.Sprint(keywords)
}
