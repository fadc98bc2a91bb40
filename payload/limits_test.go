package payload_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"postlink/payload"
)

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
		"a title on several lines becomes one":      {title: " a\r\nb\n\n\tc\u2028d\u0085e \u00a0 f ", text: "x", subject: "a b c d e f", description: "x"},
		"a text on several lines has one subject":   {text: "a\nb  c\n", subject: "a b c", description: "a\nb  c\n"},
		"white space is not counted to the limit":   {title: text(199) + "   \n  é!", text: "x", subject: text(199) + " ", description: "x"},
		"nothing stays nothing":                     {},
		"a character that Dynamics refuses is lost": {text: "a\x00b\x0b\ufffe", subject: "ab", description: "ab"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := payload.Build(&payload.Post{ID: "1", Title: tc.title, Text: tc.text}, payload.Options{Entity: "lead"})
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
			a, err := payload.Build(&payload.Post{ID: "1"}, payload.Options{Entity: "lead", Notes: tc.notes})
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

func TestBuildKeepsTheAdditionalParametersWithinTheColumn(t *testing.T) {
	t.Parallel()
	share := func(change func(*payload.Post)) payload.Post {
		p := payload.Post{
			ID: "1", Type: "share", Network: "twitter", URL: "https://example.com/1",
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
		a, err := payload.Build(&p, payload.Options{Entity: "lead", Notes: notes, Backlink: backlink})
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
			a, err := payload.Build(&tc.post, payload.Options{Entity: "lead", Notes: notes, Backlink: tc.backlink})
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
			ID: "1", ExternalID: handle, Text: text, Title: title, URL: link, Type: kind, Network: source, Sentiment: sentiment,
			Score: &payload.Score{Influence: influence}, Author: author, Referenced: &payload.Reference{Author: author},
		}
		a, err := payload.Build(p, payload.Options{Entity: "incident", Notes: notes, Backlink: link})
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
