package rules_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"testing"
	"time"

	"postlink/payload"
	"postlink/rules"
)

// Real posts lie beside the repository on machines that have them; a few made-up ones stand in for them elsewhere.
const (
	airlinePosts = "../../shared/posts/airline.ndjson.gz"
	samplePosts  = "testdata/posts.ndjson"
)

// readPosts returns posts, and which ones: airline or sample.
func readPosts(b *testing.B) (posts []*payload.Post, from string) {
	b.Helper()
	from = "airline"
	data, err := os.ReadFile(airlinePosts)
	if errors.Is(err, fs.ErrNotExist) {
		from = "sample"
		data, err = os.ReadFile(samplePosts)
	} else if err == nil {
		var unzipped io.Reader
		if unzipped, err = gzip.NewReader(bytes.NewReader(data)); err == nil {
			data, err = io.ReadAll(unzipped)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p, err := payload.DecodePost(lines.Bytes())
		if err != nil {
			b.Fatal(err)
		}
		posts = append(posts, p)
	}
	return posts, from
}

// airlineRules are n conditions of the shapes that people write; each finds few posts, most none.
func airlineRules(n int) []rules.Rule {
	subjects := []string{"refund", "luggage", "lost bag", "wifi", "seat", "gate", "crew", "upgrade", "delayed", "cancelled flight", "voucher", "hold", "website", "check in"}
	rs := make([]rules.Rule, n)
	for i := range rs {
		subject := subjects[i%len(subjects)]
		when := []string{
			`post.sentiment == "negative" && post.mentions("%[1]s %[2]d", "#%[1]s%[2]d")`,
			`post.source == "twitter" && post.reach >= 3 && post.mentions("%[1]s", "city%[2]d")`,
			`post.language == "en" && post.text contains "%[1]s %[2]d"`,
			`post.author.handle == "user%[2]d" || any(post.tags, # == "%[1]s %[2]d")`,
			`post.sentiment in ["negative", "neutral"] and post.type == "reply" and post.country == "C%[2]d"`,
		}[i%5]
		rs[i] = rule(fmt.Sprintf("rule %d", i), fmt.Sprintf(when, subject, i), uint64(i))
	}
	return rs
}

// The time is that of one post. "vm" evaluates every condition with the library alone.
func BenchmarkMatch(b *testing.B) {
	posts, from := readPosts(b)
	for _, n := range []int{1, 100, 1000} {
		set := compile(b, airlineRules(n)...)
		b.Run(fmt.Sprintf("posts=%s/rules=%d/match", from, n), func(b *testing.B) {
			b.ReportAllocs()
			matched, i := 0, 0
			for b.Loop() {
				if m := set.Match(posts[i%len(posts)], time.Time{}); m.Rule != nil {
					matched++
				} else if len(m.Failed) > 0 {
					b.Fatal(m.Failed[0].Err)
				}
				i++
			}
			b.ReportMetric(float64(matched)/float64(i), "matched/post")
		})
		b.Run(fmt.Sprintf("posts=%s/rules=%d/vm", from, n), func(b *testing.B) {
			b.ReportAllocs()
			holding, i := 0, 0
			for b.Loop() {
				n, err := set.CountWithVM(posts[i%len(posts)])
				if err != nil {
					b.Fatal(err)
				}
				holding += n
				i++
			}
			b.ReportMetric(float64(holding)/float64(i), "matches/post")
		})
	}
}

// The time is that of one rule.
func BenchmarkCompile(b *testing.B) {
	rs := airlineRules(2000)
	b.ReportAllocs()
	rounds := 0
	for b.Loop() {
		if _, err := rules.Compile(rs); err != nil {
			b.Fatal(err)
		}
		rounds++
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(rounds*len(rs)), "µs/rule")
}
