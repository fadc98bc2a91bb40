package payload_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/payload"
)

// The texts of a share and of its original, and whether the share stands for the whole original.
func TestAClippedShareGetsTheWholeOriginal(t *testing.T) {
	t.Parallel()
	const whole = "My new bike's brakes squeal & the shop is closed 🚲"
	tests := map[string]struct {
		kind, text, original string
		want                 string // the text as it is when empty
	}{
		"clipped within a word":                 {"share", "RT @lena: My new bike's bra…", whole, whole},
		"clipped after a word":                  {"share", "RT @lena: My new bike's …", whole, whole},
		"clipped, with white space around":      {"share", " RT @lena: My new bike's bra… \n", whole, whole},
		"clipped without RT":                    {"share", "My new bike's bra…", whole, whole},
		"shared twice":                          {"share", "RT @omar: RT @lena: My new bi…", whole, whole},
		"an original that is a retweet":         {"share", "RT @omar: RT @lena: My new bi…", "RT @lena: " + whole, "RT @lena: " + whole},
		"line breaks that became spaces":        {"share", "RT @lena: My new bike's bra…", "My new\nbike's  brakes\n\nsqueal", "My new\nbike's  brakes\n\nsqueal"},
		"an original that ends in an ellipsis":  {"share", "RT @lena: My new…", "My new bike…", "My new bike…"},
		"another original":                      {"share", "RT @lena: My new bike's bra…", "My old bike's brakes", ""},
		"a comment before the retweet":          {"share", "So true! RT @lena: My new bike's bra…", whole, ""},
		"a text that is not clipped":            {"share", "RT @lena: My new bike's bra", whole, ""},
		"a text that is clipped in the middle":  {"share", "RT @lena: My new… bike", whole, ""},
		"an original without text":              {"share", "RT @lena: My new bike's bra…", "", ""},
		"an original clipped at the same place": {"share", "RT @lena: My new bike's bra…", "My new bike's bra…", ""},
		"an original that does not go on":       {"share", "RT @lena: My new bike's bra…", "My new bike's bra", ""},
		"nothing before the ellipsis":           {"share", "RT @lena: …", whole, ""},
		"a reply":                               {"reply", "My new bike's bra…", whole, ""},
		"a post":                                {"post", "My new bike's bra…", whole, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, _ := json.Marshal(tc.text)
			original, _ := json.Marshal(tc.original)
			// The type may stand after the texts, and the reference before them.
			for _, doc := range []string{
				`{"id":1,"postType":"` + tc.kind + `","content":{"text":` + string(text) + `},"referencedPost":{"id":2,"content":{"metaText":null,"text":` + string(original) + `}}}`,
				`{"id":1,"referencedPost":{"content":{"text":` + string(original) + `},"id":2},"content":{"text":` + string(text) + `},"postType":"` + tc.kind + `"}`,
			} {
				p, err := payload.DecodePost([]byte(doc))
				if err != nil {
					t.Fatal(err)
				}
				want := tc.want
				if want == "" {
					want = tc.text
				}
				if diff := cmp.Diff(want, p.Text); diff != "" {
					t.Errorf("%s, -want +got:\n%s", doc, diff)
				}
			}
		})
	}
}

// The text of a referenced post only helps: whatever stands there instead must not keep the post from being read.
func TestAReferencedPostMayHaveAnyContent(t *testing.T) {
	t.Parallel()
	for _, content := range []string{`null`, `"text"`, `7`, `[]`, `["text"]`, `{}`, `{"text":null}`, `{"text":{"text":"a"}}`, `{"text":["a"]}`} {
		p, err := payload.DecodePost([]byte(`{"id":1,"postType":"share","content":{"text":"RT @a: te…"},"referencedPost":{"id":2,"content":` + content + `}}`))
		if err != nil {
			t.Errorf("%s: %v", content, err)
		} else if p.Text != "RT @a: te…" || p.Referenced.ID != "2" {
			t.Errorf("%s: got %+v", content, p)
		}
	}
	if _, err := payload.DecodePost([]byte(`{"id":1,"referencedPost":{"content":{"text":tru}}}`)); err == nil {
		t.Error("what is not JSON is read")
	}
}
