package payload_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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
		file   string
		target payload.Target
	}{
		"a post":                      {"post", payload.Target{Entity: "incident", Notes: "Call <back> & apologise", Backlink: backlink}},
		"a reply":                     {"reply", payload.Target{Entity: "lead", Backlink: backlink}},
		"a retweet":                   {"retweet", payload.Target{Entity: "incident", Backlink: backlink}},
		"a private message":           {"private-message", payload.Target{Entity: "incident"}},
		"a facebook post":             {"facebook", payload.Target{Entity: "new_ticket", Backlink: backlink}},
		"an unknown author":           {"unknown-author", payload.Target{Entity: "incident"}},
		"a blog":                      {"blog", payload.Target{Entity: "lead"}},
		"the sample":                  {"sample", payload.Target{Entity: "incident", Notes: "Send flowers.", Backlink: "https://listening-prod.dynamics.com/app/23534544/#postid=45663"}},
		"one over every length limit": {"over-every-limit", payload.Target{Entity: "incident", Notes: strings.Repeat("n", payload.MaxNotes)}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := payload.Build(decodeFile(t, tc.file), tc.target)
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
	a, err := payload.Build(p, payload.Target{
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

func TestBuildCutsInUTF16UnitsBetweenCharacters(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return strings.Repeat("é", n) }
	tests := map[string]struct {
		title, text          string
		subject, description string
	}{
		"1999 units stay":                           {text: text(1999), subject: text(200), description: text(1999)},
		"2000 units stay":                           {text: text(2000), subject: text(200), description: text(2000)},
		"2001 units lose one":                       {text: text(2001), subject: text(200), description: text(2000)},
		"an emoji that ends on the limit stays":     {text: text(1998) + "🚲", subject: text(200), description: text(1998) + "🚲"},
		"an emoji across the limit goes whole":      {text: text(1999) + "🚲!", subject: text(200), description: text(1999)},
		"an emoji across the subject's limit too":   {text: text(199) + "🚲!", subject: text(199), description: text(199) + "🚲!"},
		"emojis count two":                          {text: strings.Repeat("🚲", 1001), subject: strings.Repeat("🚲", 100), description: strings.Repeat("🚲", 1000)},
		"a text of 199 is the subject":              {text: text(199), subject: text(199), description: text(199)},
		"a text of 200 is the subject":              {text: text(200), subject: text(200), description: text(200)},
		"a text of 201 is cut for the subject":      {text: text(201), subject: text(200), description: text(201)},
		"a title of 200 stays":                      {title: text(200), text: "x", subject: text(200), description: "x"},
		"a title of 201 is cut without an ellipsis": {title: text(201), text: "x", subject: text(200), description: "x"},
		"a blank title is none":                     {title: " \n", text: "x", subject: "x", description: "x"},
		"a title stands without a text":             {title: "x", subject: "x"},
		"nothing stays nothing":                     {},
		"a character that Dynamics refuses is lost": {text: "a\x00b\x0b\ufffe", subject: "ab", description: "ab"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := payload.Build(&payload.Post{ID: "1", Title: tc.title, Text: tc.text}, payload.Target{Entity: "lead"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.subject, a.Subject); diff != "" {
				t.Errorf("subject, -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tc.description, a.Description); diff != "" {
				t.Errorf("description, -want +got:\n%s", diff)
			}
		})
	}
}

func TestBuildRefusesNotesOverTheLimit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		notes  string
		length int // 0: accepted
	}{
		"249 units":                     {notes: strings.Repeat("é", 249)},
		"250 units":                     {notes: strings.Repeat("é", 250)},
		"125 emojis":                    {notes: strings.Repeat("🚲", 125)},
		"251 units":                     {notes: strings.Repeat("é", 251), length: 251},
		"126 emojis":                    {notes: strings.Repeat("🚲", 126), length: 252},
		"what Dynamics refuses is free": {notes: strings.Repeat("é", 250) + "\x00"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := payload.Build(&payload.Post{ID: "1"}, payload.Target{Entity: "lead", Notes: tc.notes})
			if tc.length == 0 {
				if err != nil || a.Additional.Notes != strings.TrimSuffix(tc.notes, "\x00") {
					t.Fatalf("notes = %q, %v, want them whole", a.Additional.Notes, err)
				}
				return
			}
			var long *payload.NotesError
			if !errors.As(err, &long) || long.Length != tc.length {
				t.Fatalf("error = %v, want a *NotesError of length %d", err, tc.length)
			}
			if text := err.Error(); !strings.Contains(text, "at most 250") || strings.Contains(text, tc.notes[:4]) {
				t.Errorf("%q tells no limit, or the notes", text)
			}
		})
	}
}

func TestBuildTakesOnlyLogicalNamesOfEntities(t *testing.T) {
	t.Parallel()
	for entity, good := range map[string]bool{
		"incident": true, "lead": true, "new_ticket2": true, strings.Repeat("a", 128): true,
		"": false, "Incident": false, "new ticket": false, "2do": false, "_x": false, "incident\n": false,
		"lead'": false, "größe": false, strings.Repeat("a", 129): false,
	} {
		_, err := payload.Build(&payload.Post{ID: "1"}, payload.Target{Entity: entity})
		var bad *payload.EntityError
		switch {
		case good && err != nil:
			t.Errorf("entity %q: %v", entity, err)
		case !good && (!errors.As(err, &bad) || bad.Entity != entity):
			t.Errorf("entity %q: error = %v, want an *EntityError", entity, err)
		}
	}
}

func TestBuildChoosesWhatItSends(t *testing.T) {
	t.Parallel()
	long := "https://example.com/" + strings.Repeat("u", 180)
	type fields = map[string]any
	tests := map[string]struct {
		post payload.Post
		want fields // of the whole document, inner keys with a dot; nil means absent, or null for sentimentvalue
	}{
		"a positive post":             {payload.Post{Sentiment: "positive"}, fields{"sentimentvalue": 1.0}},
		"a neutral post":              {payload.Post{Sentiment: "neutral"}, fields{"sentimentvalue": 0.0}},
		"a negative post":             {payload.Post{Sentiment: "negative"}, fields{"sentimentvalue": -1.0}},
		"a post of unknown sentiment": {payload.Post{Sentiment: "mixed"}, fields{"sentimentvalue": nil}},
		"a twitter post":              {payload.Post{Source: "twitter"}, fields{"community": 2.0, ".community": 2.0}},
		"a facebook post":             {payload.Post{Source: "facebook"}, fields{"community": 1.0, ".community": 1.0}},
		"a video":                     {payload.Post{Source: "youtubevideos"}, fields{"community": 0.0, ".community": 0.0}},
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
			payload.Post{Source: "blogs", Author: payload.Author{Link: "https://b.example.com"}}, fields{".profilelink": nil},
		},
		"a link over the column's limit stays in the text": {
			payload.Post{Source: "twitter", Author: payload.Author{Link: long}}, fields{".profilelink": long},
		},
		"a share of a named author": {
			payload.Post{Type: "share", Author: payload.Author{Handle: "s", FullName: "S", ExternalID: "1"}, Referenced: &payload.Reference{Author: payload.Author{Handle: "o", FullName: "O", ExternalID: "2"}}},
			fields{".isRetweet": true, ".socialHandle": "o", ".fullName": "O", ".retweetedBy_screenName": "s", ".retweetedBy_displayName": "S", ".retweetedBy_externalId": "1"},
		},
		"a share of nobody": {
			payload.Post{Type: "share", Source: "facebook", Author: payload.Author{Handle: "s", FullName: "S"}, Referenced: &payload.Reference{ID: "9"}},
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
		"a url of 200":                        {payload.Post{URL: long}, fields{"posturl": long, ".posturl": nil}},
		"a url of 201 moves to the text":      {payload.Post{URL: long + "u"}, fields{"posturl": nil, ".posturl": long + "u"}},
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
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.post.ID = "1"
			a, err := payload.Build(&tc.post, payload.Target{Entity: "lead"})
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
		a, err := payload.Build(&payload.Post{ID: tc.id, ExternalID: tc.external}, payload.Target{Entity: "lead"})
		if err != nil || a.PostID != tc.want {
			t.Errorf("%s: %q, %v, want %q", name, a.PostID, err, tc.want)
		}
	}
}

func TestBuildKeepsTheAdditionalParametersWithinTheColumn(t *testing.T) {
	t.Parallel()
	share := func(change func(*payload.Post)) payload.Post {
		p := payload.Post{
			ID: "1", Type: "share", Source: "twitter", URL: "https://example.com/1",
			Author:     payload.Author{Handle: "s", FullName: "S", ExternalID: "11"},
			Referenced: &payload.Reference{Author: payload.Author{Handle: "o", FullName: "O", Link: "http://www.twitter.com/o"}},
		}
		change(&p)
		return p
	}
	notes := strings.Repeat("\"", payload.MaxNotes)
	const backlink = "https://postlink.example.com/posts/1"
	// all is what a share has when nothing is dropped; the length of its text with a URL of n units in it is base + n.
	all := []string{"retweetedBy_displayName", "retweetedBy_screenName", "retweetedBy_externalId", "fullName", "profilelink", "posturl", "MSEbacklinkPost"}
	base := func(change func(*payload.Post)) int {
		p := share(change)
		p.URL = "https://e.com/" + strings.Repeat("u", 300-14)
		a, err := payload.Build(&p, payload.Target{Entity: "lead", Notes: notes, Backlink: backlink})
		if err != nil {
			t.Fatal(err)
		}
		return len(a.Additional.Text()) - 300
	}(func(*payload.Post) {})
	url := func(n int) string { return "https://e.com/" + strings.Repeat("u", n-14) }
	tests := map[string]struct {
		post     payload.Post
		backlink string
		dropped  []string
	}{
		"just fits": {
			share(func(p *payload.Post) { p.URL = url(payload.MaxAdditional - base) }), backlink, nil,
		},
		"one too many costs the least useful": {
			share(func(p *payload.Post) { p.URL = url(payload.MaxAdditional - base + 1) }), backlink, all[:1],
		},
		"an endless url costs itself only": {
			share(func(p *payload.Post) { p.URL = url(9000) }), backlink, []string{"posturl"},
		},
		"an endless backlink costs itself only": {
			share(func(p *payload.Post) {}), url(9000), []string{"MSEbacklinkPost", "posturl"},
		},
		"two endless urls cost names first, then both": {
			share(func(p *payload.Post) { p.URL = url(9000) }), url(9000), all,
		},
		"escapes count as they are written": {
			share(func(p *payload.Post) { p.URL = url(300) + strings.Repeat("\u2028", 1400) + "u" }), backlink, []string{"posturl"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := payload.Build(&tc.post, payload.Target{Entity: "lead", Notes: notes, Backlink: tc.backlink})
			if err != nil {
				t.Fatal(err)
			}
			text := a.Additional.Text()
			if n := payload.Units(text); n > payload.MaxAdditional {
				t.Errorf("the text has %d units", n)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			for _, key := range all {
				if key == "posturl" && tc.post.URL == "https://example.com/1" {
					continue // short enough for its column
				}
				_, kept := got[key]
				if want := !slices.Contains(tc.dropped, key); kept != want {
					t.Errorf("%s kept = %t, want %t", key, kept, want)
				}
			}
			if got["notes"] != notes || got["socialHandle"] != "o" || got["profileName"] != "o" {
				t.Errorf("notes or handle are not whole: %v", got)
			}
		})
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

func TestUnitsCountsWhatDynamicsCounts(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"": 0, "abc": 3, "é": 1, "e\u0301": 2, "🚲": 2, "👩‍🚒": 5, "\xff": 1} {
		if got := payload.Units(s); got != want {
			t.Errorf("Units(%q) = %d, want %d", s, got, want)
		}
	}
}

func FuzzBuild(f *testing.F) {
	f.Add("text", "title", "https://example.com", "handle", "name", "notes", "share", "twitter", "positive", 41.0)
	f.Add(strings.Repeat("🚲", 1001), strings.Repeat("t", 199)+"🚲", "javascript:x", "\x00", "\xff\xfe", strings.Repeat("\u2028", 300), "post", "facebook", "", math.Inf(1))
	f.Add("", "", "http://"+strings.Repeat("u", 9000), strings.Repeat("\"", 9000), strings.Repeat("\\", 9000), "", "share", "facebook", "x", -1.0)
	f.Fuzz(func(t *testing.T, text, title, link, handle, name, notes, kind, source, sentiment string, influence float64) {
		author := payload.Author{ID: handle, ExternalID: handle, Handle: handle, Name: name, FullName: name, Link: link}
		p := &payload.Post{
			ID: "1", ExternalID: handle, Text: text, Title: title, URL: link, Type: kind, Source: source, Sentiment: sentiment,
			Score: &payload.Score{Influence: influence}, Author: author, Referenced: &payload.Reference{Author: author},
		}
		a, err := payload.Build(p, payload.Target{Entity: "incident", Notes: notes, Backlink: link})
		if err != nil {
			var long *payload.NotesError
			if !errors.As(err, &long) || long.Length <= payload.MaxNotes {
				t.Fatalf("error = %v", err)
			}
			return
		}
		checkLimits(t, a)
	})
}

// checkLimits holds an activity against what Dynamics stores.
func checkLimits(t *testing.T, a payload.SocialActivity) {
	t.Helper()
	for _, field := range []struct {
		name, text string
		limit      int
	}{
		{"subject", a.Subject, 200},
		{"description", a.Description, 2000},
		{"posturl", a.PostURL, 200},
		{"postid", a.PostID, 160},
		{"notes", a.Additional.Notes, 250},
		{"socialHandle", a.Additional.SocialHandle, 100},
		{"fullName", a.Additional.FullName, 160},
		{"activityadditionalparams", a.Additional.Text(), 8192},
	} {
		if n := payload.Units(field.text); n > field.limit {
			t.Errorf("%s has %d units, over %d", field.name, n, field.limit)
		}
		if !utf8.ValidString(field.text) || strings.ContainsAny(field.text, "\x00\x01\x1f\ufffe\uffff") {
			t.Errorf("%s has characters that Dynamics refuses", field.name)
		}
	}
	if !json.Valid([]byte(a.Additional.Text())) {
		t.Errorf("activityadditionalparams is not JSON: %s", a.Additional.Text())
	}
	if _, err := json.Marshal(a); err != nil {
		t.Error(err)
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
