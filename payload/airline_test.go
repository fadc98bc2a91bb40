package payload_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"

	"postlink/payload"
)

// airlinePosts are real posts, too many for the repository; they lie beside it on machines that have them.
const airlinePosts = "../../shared/posts/airline.ndjson.gz"

func TestAirlinePostsBecomeActivities(t *testing.T) {
	t.Parallel()
	posts := readAirlinePosts(t)
	if len(posts) != 14485 {
		t.Errorf("%d posts, want 14485", len(posts))
	}
	ids := make(map[string]bool, len(posts))
	for i, data := range posts {
		p, err := payload.DecodePost(data)
		if err != nil {
			t.Fatalf("post %d: %v", i, err)
		}
		if ids[p.ID] {
			t.Errorf("post %d: id %s comes twice", i, p.ID)
		}
		ids[p.ID] = true
		compareWithMap(t, data, p)
		a, err := payload.Build(p, payload.Options{Entity: "incident", Notes: "n", Backlink: "https://postlink.example.com/posts/" + p.ID})
		if err != nil {
			t.Fatalf("post %d: %v", i, err)
		}
		checkLimits(t, a)
		if a.Community != 2 || a.Description != p.Text || !a.Author.Known() || a.PostedOn == "" || a.Additional.ProfileLink == "" || a.SentimentValue == nil {
			t.Errorf("post %d: something is lost: %+v", i, a)
		}
		if t.Failed() {
			return
		}
	}
}

// compareWithMap reads the post once more, through encoding/json and maps, and compares what can be compared without
// repeating the decoder's decisions.
func compareWithMap(t *testing.T, data []byte, p *payload.Post) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if inner, ok := doc["post"].(map[string]any); ok {
		doc = inner
	}
	var id string
	switch v := doc["id"].(type) {
	case string:
		id = norm.NFC.String(strings.TrimSpace(v))
	case json.Number:
		id = v.String()
	}
	polarity, _ := member(doc, "sentiment", "polarity").(string)
	source, _ := member(doc, "source", "param").(string)
	text, _ := member(doc, "content", "text").(string)
	if original, _ := member(doc, "referencedPost", "content", "text").(string); p.IsShare() && strings.HasSuffix(strings.TrimSpace(text), "…") && p.Text == printable(original) {
		text = original
	}
	title, _ := doc["title"].(string)
	city, _ := member(doc, "profile", "profileLocation", "locality").(string)
	var score float64
	if n, ok := member(doc, "sentiment", "value").(json.Number); ok {
		score, _ = n.Float64()
	}
	for _, c := range []struct{ name, got, want string }{
		{"id", p.ID, id},
		{"sentiment", p.Sentiment, strings.ToLower(strings.TrimSpace(printable(polarity)))},
		{"network", p.Network, strings.ToLower(strings.TrimSpace(printable(source)))},
		{"text", p.Text, printable(text)},
		{"title", p.Title, printable(title)},
		{"city", p.Author.Location.City, printable(city)},
	} {
		if c.got != c.want {
			t.Errorf("post %s: %s is %q, through a map %q", p.ID, c.name, c.got, c.want)
		}
	}
	if p.SentimentScore != score {
		t.Errorf("post %s: sentiment value %v, through a map %v", p.ID, p.SentimentScore, score)
	}
	if date, _ := doc["publicationDate"].(string); strings.HasSuffix(date, "00") && !p.PublishedAt.IsZero() {
		date = strings.TrimSpace(date)
		if n := len(date) - 2; n > 3 && date[n-1] != ':' {
			date = date[:n] + ":" + date[n:]
		}
		if want, err := time.Parse(time.RFC3339, date); err != nil || !want.Equal(p.PublishedAt) {
			t.Errorf("post %s: published %v, through a map %v, %v", p.ID, p.PublishedAt, want, err)
		}
	}
}

func member(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && !strings.ContainsRune("\t\n\r", r) || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, s)
}

// readAirlinePosts skips the test, loudly, where the posts are not.
func readAirlinePosts(tb testing.TB) [][]byte {
	tb.Helper()
	f, err := os.Open(airlinePosts)
	if errors.Is(err, fs.ErrNotExist) {
		tb.Skipf("REAL POSTS ARE MISSING: put the airline posts at %s to run this test", airlinePosts)
	}
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var posts [][]byte
	for lines := bufio.NewReader(unzipped); ; {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			posts = append(posts, line)
		}
		if err == io.EOF {
			return posts
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}
