package payload_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postlink/payload"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden is all that Build gives, in one readable document.
type golden struct {
	Document payload.SocialActivity `json:"document"`
	Text     string                 `json:"activityadditionalparams as text"`
	PostID   string                 `json:"postid"`
	AuthorID string                 `json:"author id"`
}

func TestBuildMakesTheGoldenActivities(t *testing.T) {
	t.Parallel()
	backlink := "https://postlink.example.com/posts/1"
	tests := map[string]struct {
		file    string
		options payload.Options
	}{
		"a post":                      {"post", payload.Options{Entity: "incident", Notes: "Call <back> & apologise", Backlink: backlink}},
		"a reply":                     {"reply", payload.Options{Entity: "lead", Backlink: backlink}},
		"a retweet":                   {"retweet", payload.Options{Entity: "incident", Backlink: backlink}},
		"a clipped retweet":           {"clipped-retweet", payload.Options{Entity: "incident", Backlink: backlink}},
		"a private message":           {"private-message", payload.Options{Entity: "incident"}},
		"a facebook post":             {"facebook", payload.Options{Entity: "new_ticket", Backlink: backlink}},
		"an unknown author":           {"unknown-author", payload.Options{Entity: "incident"}},
		"a blog":                      {"blog", payload.Options{Entity: "lead"}},
		"the sample":                  {"sample", payload.Options{Entity: "incident", Notes: "Send flowers.", Backlink: "https://listening-prod.dynamics.com/app/23534544/#postid=45663"}},
		"one over every length limit": {"over-every-limit", payload.Options{Entity: "incident", Notes: strings.Repeat("n", payload.MaxNotes)}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := payload.Build(decodeFile(t, tc.file), tc.options)
			if err != nil {
				t.Fatal(err)
			}
			got := encode(t, golden{Document: a, Text: a.Additional.Text(), PostID: a.PostID, AuthorID: a.Author.ID})
			path := filepath.Join("testdata", tc.file+".golden.json")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("run with -update if this is meant (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBuildWritesTheSampleKeyForKey compares keys in their order, and values in their spelling: 41.0 is not 41.
func TestBuildWritesTheSampleKeyForKey(t *testing.T) {
	t.Parallel()
	p := decodeFile(t, "sample")
	a, err := payload.Build(p, payload.Options{
		Entity: "incident", Notes: "Send flowers.", Backlink: "https://listening-prod.dynamics.com/app/23534544/#postid=45663",
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"postmessagetype":0,"community":2,"sentimentvalue":1,` +
		`"posturl":"https://www.twitter.com/contoso/stauts/123412341234",` +
		`"description":"Our coffee machine hums again, thank you!","subject":"Our coffee machine hums again, thank you!",` +
		`"postedon":"2016-12-30T08:15:30-05:00","activityadditionalparams":{` +
		`"targetEntityName":"socialactivity","userPreferredTargetEntity":"incident","socialHandle":"Contoso","profileName":"Contoso",` +
		`"profilelink":"http://www.twitter.com/Contoso","fullName":"Contoso","community":2,"influencescore":41.0,` +
		`"notes":"Send flowers.","isRetweet":false,` +
		`"MSEbacklinkPost":"https://listening-prod.dynamics.com/app/23534544/#postid=45663"}}`
	got, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	_, inner, _ := strings.Cut(want, `"activityadditionalparams":`)
	if diff := cmp.Diff(strings.TrimSuffix(inner, "}"), a.Additional.Text()); diff != "" {
		t.Errorf("text of the column, -want +got:\n%s", diff)
	}
}

// founding is the document of Microsoft's that the payload comes from; it lies beside the repository on machines that have it.
const founding = "../../shared/reference/000_249a27f1ec36cf8f.txt"

// TestBuildWritesMicrosoftsSample makes a post of the sample's own values and expects the sample back, to the byte.
func TestBuildWritesMicrosoftsSample(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(founding)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("MICROSOFT'S SAMPLE IS MISSING: put the document at %s to run this test", founding)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, sample, _ := bytes.Cut(document, []byte("## Sample payload"))
	_, sample, _ = bytes.Cut(sample, []byte("```"))
	sample, _, _ = bytes.Cut(sample, []byte("```"))
	var want bytes.Buffer
	if err := json.Compact(&want, sample); err != nil {
		t.Fatal(err)
	}
	var values struct {
		URL         string `json:"posturl"`
		Description string `json:"description"`
		PostedOn    string `json:"postedon"`
		Additional  struct {
			Notes    string `json:"notes"`
			Backlink string `json:"MSEbacklinkPost"`
		} `json:"activityadditionalparams"`
	}
	if err := json.Unmarshal(sample, &values); err != nil {
		t.Fatal(err)
	}
	p := decodeFile(t, "sample")
	p.URL, p.Text, p.PublishedAt = values.URL, values.Description, at(values.PostedOn)
	a, err := payload.Build(p, payload.Options{Entity: "incident", Notes: values.Additional.Notes, Backlink: values.Additional.Backlink})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestBuildTakesOnlyLogicalNamesOfEntities(t *testing.T) {
	t.Parallel()
	for entity, good := range map[string]bool{
		"incident": true, "lead": true, "new_ticket2": true, strings.Repeat("a", 128): true,
		"": false, "Incident": false, "new ticket": false, "2do": false, "_x": false, "incident\n": false,
		"lead'": false, "größe": false, strings.Repeat("a", 129): false,
	} {
		_, err := payload.Build(&payload.Post{ID: "1"}, payload.Options{Entity: entity})
		var bad *payload.EntityError
		switch {
		case good && err != nil:
			t.Errorf("entity %q: %v", entity, err)
		case !good && (!errors.As(err, &bad) || bad.Entity != entity):
			t.Errorf("entity %q: error = %v, want an *EntityError", entity, err)
		case !good && !strings.Contains(err.Error(), "such as incident"):
			t.Errorf("entity %q: %q does not say what to write", entity, err)
		}
	}
}

// url200 is as long as the column of the post's URL.
var url200 = "https://example.com/" + strings.Repeat("u", 180)

// fields are those of a whole document, inner keys with a dot; nil means absent, or null for sentimentvalue.
type fields = map[string]any

var choices = map[string]struct {
	post payload.Post
	want fields
}{
	"a positive post":             {payload.Post{Sentiment: "positive"}, fields{"sentimentvalue": 1.0}},
	"a neutral post":              {payload.Post{Sentiment: "neutral"}, fields{"sentimentvalue": 0.0}},
	"a negative post":             {payload.Post{Sentiment: "negative"}, fields{"sentimentvalue": -1.0}},
	"a post of unknown sentiment": {payload.Post{Sentiment: "mixed"}, fields{"sentimentvalue": nil}},
	"a twitter post":              {payload.Post{Network: "twitter"}, fields{"community": 2.0, ".community": 2.0}},
	"a facebook post":             {payload.Post{Network: "facebook"}, fields{"community": 1.0, ".community": 1.0}},
	"a video":                     {payload.Post{Network: "youtubevideos"}, fields{"community": 0.0, ".community": 0.0}},
	"a public reply":              {payload.Post{Type: "reply"}, fields{"postmessagetype": 0.0, ".isRetweet": false}},
	"a private message":           {payload.Post{Type: "privatemessage"}, fields{"postmessagetype": 1.0}},
	"an author with all names": {
		payload.Post{Author: payload.Author{Handle: "h", Name: "n", FullName: "f", ExternalID: "x"}},
		fields{".socialHandle": "h", ".profileName": "h", ".fullName": "f"},
	},
	"an author without handle": {
		payload.Post{Author: payload.Author{Name: "n", ExternalID: "x"}},
		fields{".socialHandle": "n", ".profileName": "n", ".fullName": "n"},
	},
	"an author with an id alone": {
		payload.Post{Author: payload.Author{ExternalID: "x"}},
		fields{".socialHandle": "x", ".profileName": "x", ".fullName": nil},
	},
	"nobody": {payload.Post{}, fields{".socialHandle": nil, ".profileName": nil, ".fullName": nil, ".profilelink": nil, ".influencescore": nil, ".notes": nil, "postedon": nil, "posturl": nil, "subject": nil, "description": nil}},
	"a link of a network without profile links": {
		payload.Post{Network: "blogs", Author: payload.Author{Link: "https://b.example.com"}}, fields{".profilelink": nil},
	},
	"a link over the column's limit stays in the text": {
		payload.Post{Network: "twitter", Author: payload.Author{Link: url200}}, fields{".profilelink": url200},
	},
	"a share of a named author": {
		payload.Post{Type: "share", Author: payload.Author{Handle: "s", FullName: "S", ExternalID: "1"}, Referenced: &payload.Reference{Author: payload.Author{Handle: "o", FullName: "O", ExternalID: "2"}}},
		fields{".isRetweet": true, ".socialHandle": "o", ".fullName": "O", ".retweetedBy_screenName": "s", ".retweetedBy_displayName": "S", ".retweetedBy_externalId": "1"},
	},
	"a share of nobody": {
		payload.Post{Type: "share", Network: "facebook", Author: payload.Author{Handle: "s", FullName: "S"}, Referenced: &payload.Reference{ID: "9"}},
		fields{".isRetweet": true, ".socialHandle": "s", ".fullName": "S", ".retweetedBy_screenName": "s", ".retweetedBy_displayName": "S", ".retweetedBy_externalId": nil},
	},
	"a share without a reference": {
		payload.Post{Type: "share", Author: payload.Author{Handle: "s"}}, fields{".isRetweet": true, ".socialHandle": "s", ".retweetedBy_screenName": "s"},
	},
	"a reply keeps its author": {
		payload.Post{Type: "reply", Author: payload.Author{Handle: "r"}, Referenced: &payload.Reference{Author: payload.Author{Handle: "o"}}},
		fields{".socialHandle": "r", ".retweetedBy_screenName": nil, ".isRetweet": false},
	},
	"a whole influence":                   {payload.Post{Score: &payload.Score{Influence: 41}}, fields{".influencescore": 41.0}},
	"an influence of zero":                {payload.Post{Score: &payload.Score{}}, fields{".influencescore": 0.0}},
	"no influence":                        {payload.Post{Score: &payload.Score{Reach: 3, Unrated: true}}, fields{".influencescore": nil}},
	"an influence below zero":             {payload.Post{Score: &payload.Score{Influence: -1}}, fields{".influencescore": nil}},
	"an influence over the column's":      {payload.Post{Score: &payload.Score{Influence: 1e9 + 1}}, fields{".influencescore": nil}},
	"an influence that is no number":      {payload.Post{Score: &payload.Score{Influence: math.NaN()}}, fields{".influencescore": nil}},
	"a url of 200":                        {payload.Post{URL: url200}, fields{"posturl": url200, ".posturl": nil}},
	"a url of 201 moves to the text":      {payload.Post{URL: url200 + "u"}, fields{"posturl": nil, ".posturl": url200 + "u"}},
	"a url with a space":                  {payload.Post{URL: " http://example.com/a b "}, fields{"posturl": "http://example.com/a%20b"}},
	"a url in capitals":                   {payload.Post{URL: "HTTPS://example.com"}, fields{"posturl": "HTTPS://example.com"}},
	"a relative url":                      {payload.Post{URL: "/a/b"}, fields{"posturl": nil, ".posturl": nil}},
	"a url without a host":                {payload.Post{URL: "https:///a"}, fields{"posturl": nil}},
	"a script for a url":                  {payload.Post{URL: "javascript:alert(1)"}, fields{"posturl": nil}},
	"a url that cannot be read":           {payload.Post{URL: "http://[::1"}, fields{"posturl": nil}},
	"a date keeps its offset":             {payload.Post{PublishedAt: at("2016-12-30T08:15:30.999-05:00")}, fields{"postedon": "2016-12-30T08:15:30-05:00"}},
	"a date in UTC":                       {payload.Post{PublishedAt: at("2016-12-30T08:15:30Z")}, fields{"postedon": "2016-12-30T08:15:30Z"}},
	"a date with an offset of 15 hours":   {payload.Post{PublishedAt: at("2016-12-30T23:15:30+15:00")}, fields{"postedon": "2016-12-30T08:15:30Z"}},
	"a date that SQL Server cannot store": {payload.Post{PublishedAt: at("1752-12-31T00:00:00Z")}, fields{"postedon": nil}},
	"the last year":                       {payload.Post{PublishedAt: at("9999-12-31T23:59:59Z")}, fields{"postedon": "9999-12-31T23:59:59Z"}},
	"a date whose year is over in UTC":    {payload.Post{PublishedAt: at("9999-12-31T23:59:59-15:00")}, fields{"postedon": nil}},
}

func TestBuildChoosesWhatItSends(t *testing.T) {
	t.Parallel()
	for name, tc := range choices {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.post.ID = "1"
			a, err := payload.Build(&tc.post, payload.Options{Entity: "lead"})
			if err != nil {
				t.Fatal(err)
			}
			var outer, inner map[string]any
			remarshal(t, a, &outer)
			inner, _ = outer["activityadditionalparams"].(map[string]any)
			for key, want := range tc.want {
				document, key, nested := outer, key, strings.HasPrefix(key, ".")
				if nested {
					document, key = inner, key[1:]
				}
				got, present := document[key]
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, -want +got:\n%s", key, diff)
				}
				if want == nil && present != (key == "sentimentvalue") {
					t.Errorf("%s present = %t: what is unknown is left out, a sentiment is null", key, present)
				}
			}
		})
	}
}

func TestBuildGivesThePostIDColumn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ id, external, want string }{
		"the external id":         {"1", "x", "x"},
		"else the id":             {"1", "", "1"},
		"160 units":               {"1", strings.Repeat("x", 160), strings.Repeat("x", 160)},
		"161 units are left out":  {"1", strings.Repeat("x", 161), ""},
		"160 units in more bytes": {"1", strings.Repeat("é", 160), strings.Repeat("é", 160)},
	} {
		a, err := payload.Build(&payload.Post{ID: tc.id, ExternalID: tc.external}, payload.Options{Entity: "lead"})
		if err != nil || a.PostID != tc.want {
			t.Errorf("%s: %q, %v, want %q", name, a.PostID, err, tc.want)
		}
	}
}

func TestInfluenceKeepsADecimal(t *testing.T) {
	t.Parallel()
	for f, want := range map[float64]string{0: "0.0", 41: "41.0", 29.5: "29.5", -1: "-1.0", 99.125: "99.125", 1e9: "1000000000.0", 1e-7: "0.0000001", math.Inf(1): "null"} {
		got, err := json.Marshal(payload.Influence(f))
		if err != nil || string(got) != want {
			t.Errorf("%v is written %s, %v, want %s", f, got, err, want)
		}
	}
	var back payload.Influence
	if err := json.Unmarshal([]byte("41.0"), &back); err != nil || back != 41 {
		t.Errorf("41.0 reads as %v, %v", back, err)
	}
}

func decodeFile(t *testing.T, name string) *payload.Post {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := payload.DecodePost(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func remarshal(t *testing.T, from, to any) {
	t.Helper()
	if err := json.Unmarshal(encode(t, from), to); err != nil {
		t.Fatal(err)
	}
}

func at(s string) time.Time {
	d, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return d
}
