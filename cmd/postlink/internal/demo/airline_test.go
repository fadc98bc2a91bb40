package demo_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"postlink/cmd/postlink/internal/demo"
	"postlink/cmd/postlink/internal/feed"
)

// airline is a file of real posts that stands beside the project on some machines.
const airline = "../../../../../shared/posts/airline.ndjson.gz"

// TestRealPostsAreMatchedAsCountedByOtherMeans settles real posts with the sample catalog, and compares what came of them with
// a count that shares no code with ours: encoding/json and regular expressions, rule by rule, the newest first.
func TestRealPostsAreMatchedAsCountedByOtherMeans(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(airline); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: the real posts are not on this machine: %v", err)
	}
	records := filepath.Join(t.TempDir(), "records.ndjson")
	posts, err := feed.Open(airline, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := posts.Close(); err != nil {
			t.Error(err)
		}
	}()
	summary, err := demo.Run(t.Context(), demo.Options{Posts: posts, Exit: true, Records: records, Listener: listen(t), Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	want := countByOtherMeans(t)
	matched := want["incident"] + want["lead"] + want["new_complaint"]
	if summary.Posts != 14485 || summary.Undecodable != 0 || summary.Matched != matched || summary.Linked != matched ||
		summary.Records != matched || summary.Duplicates != 0 || summary.Unmatched != 14485-matched {
		t.Errorf("%+v, want %d matched", summary, matched)
	}
	got := map[string]int{}
	seen := map[string]bool{}
	eachLine(t, records, func(line []byte) {
		var r struct {
			Table, ID string
			Record    struct {
				Params string `json:"activityadditionalparams"`
			}
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if r.Table != "socialactivity" {
			return
		}
		var params struct{ UserPreferredTargetEntity, TargetEntityName, MSEbacklinkPost string }
		if err := json.Unmarshal([]byte(r.Record.Params), &params); err != nil {
			t.Fatal(err)
		}
		if params.TargetEntityName != "socialactivity" || params.MSEbacklinkPost == "" || seen[r.ID] {
			t.Errorf("record %s: %+v, seen before: %v", r.ID, params, seen[r.ID])
		}
		seen[r.ID] = true
		got[params.UserPreferredTargetEntity]++
	})
	for _, entity := range []string{"incident", "lead", "new_complaint"} {
		if got[entity] != want[entity] {
			t.Errorf("%d records prefer %s, want %d", got[entity], entity, want[entity])
		}
	}
}

// countByOtherMeans counts posts by the entity that the sample catalog's rules ask for.
func countByOtherMeans(t *testing.T) map[string]int {
	t.Helper()
	purchase := anyOf("want to book", "trying to book", "going to book", "ready to book", "book a flight", "booking a flight",
		"buy tickets", "buy a ticket", "any deals", "fare sale", "upgrade to first", "business class", "companion pass")
	cancelled := anyOf("cancelled flight", "canceled flight", "flight cancelled", "flight canceled",
		"flight was cancelled", "flight was canceled", "cancelled my flight", "canceled my flight")
	luggage := anyOf("lost luggage", "lost baggage", "lost bag", "lost bags", "lost my luggage",
		"lost my bag", "lost my bags", "missing bag", "missing luggage", "delayed bag", "damaged bag", "where is my bag")
	rude := anyOf("rude", "rudest", "rudeness", "unprofessional", "disrespectful", "yelled at")
	count := map[string]int{}
	eachLine(t, airline, func(line []byte) {
		var event struct{ Post map[string]any }
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatal(err)
		}
		at := func(path string) string {
			var v any = event.Post
			for key := range strings.SplitSeq(path, ".") {
				m, _ := v.(map[string]any)
				v = m[key]
			}
			s, _ := v.(string)
			return s
		}
		var tags []string
		list, _ := event.Post["tags"].([]any)
		for _, tag := range list {
			m, _ := tag.(map[string]any)["tag"].(map[string]any)
			tags = append(tags, m["name"].(string))
		}
		tagged := func(name string) bool { return slices.Contains(tags, name) }
		text := at("title") + "\x00" + at("content.text")
		sentiment := strings.ToLower(at("sentiment.polarity"))
		negative := sentiment == "negative"
		switch { // the newest rule first; the one about influence matches no post of this file, which has no scores
		case negative && (tagged("Flight Attendant Complaints") || rude.MatchString(text)):
			count["new_complaint"]++
		case tagged("Lost Luggage") || tagged("Damaged Luggage") || sentiment != "positive" && luggage.MatchString(text):
			count["incident"]++
		case negative && (tagged("Cancelled Flight") || cancelled.MatchString(text)):
			count["incident"]++
		case at("language.code") == "en" && !negative && at("postType") != "share" && (tagged("Purchase") || purchase.MatchString(text)):
			count["lead"]++
		}
	})
	return count
}

// anyOf finds any of some phrases: their words in a row, with anything but words between them.
func anyOf(phrases ...string) *regexp.Regexp {
	for i, p := range phrases {
		phrases[i] = strings.ReplaceAll(p, " ", `[^\pL\pM\p{Nd}_]+`)
	}
	const edge = `[^\pL\pM\p{Nd}_]`
	return regexp.MustCompile(`(?i)(?:^|` + edge + `)(?:` + strings.Join(phrases, "|") + `)(?:$|` + edge + `)`)
}

func eachLine(t *testing.T, path string, visit func([]byte)) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		scanner = bufio.NewScanner(z)
	}
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		visit(scanner.Bytes())
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
}
