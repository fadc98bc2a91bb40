package feed_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"postlink/cmd/postlink/internal/feed"
)

func TestALineMayBeAsLongAsAMessageAndNoLonger(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	long := func(bytes int) string {
		text := `{"post":{"id":1,"source":{"param":"Twitter"},"content":{"text":""}}}`
		return strings.Replace(text, `""`, `"`+strings.Repeat("x", bytes-len(text))+`"`, 1)
	}
	if n, err := open(t, "f.ndjson", long(most)+"\n"+post(2)+"\n").Check(1); n != 2 || err != nil {
		t.Errorf("a line of %d bytes: %d posts, %v", most, n, err)
	}
	_, err := open(t, "f.ndjson", post(1)+"\n"+long(most+2)+"\n").Check(1)
	var format *feed.FormatError
	if !errors.As(err, &format) || !strings.Contains(err.Error(), "f.ndjson:2: the line is longer than 1048576 bytes") {
		t.Errorf("a line of %d bytes: %v", most+2, err)
	}
}

// What was cut off while it was copied is noticed while the file is read: the start alone looks well.
func TestGzipThatIsDamagedFurtherOnIsNoticedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 30_000 {
		text.WriteString(post(i) + "\n")
	}
	whole := packed(t, text.String())
	damaged := []byte(whole)
	damaged[len(damaged)-6] ^= 0xff // in the checksum
	for name, content := range map[string]string{"cut off": whole[:len(whole)-20], "damaged": string(damaged)} {
		_, err := open(t, "f.ndjson.gz", content).Check(1)
		var format *feed.FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), "damaged or cut off; copy it again") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// It changes where temporary files are made, so it runs alone.
func TestATextIsAFileThatLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	f, err := feed.Text("samples", []byte(posts(2)+"\nnonsense\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Check(1); err == nil || !strings.Contains(err.Error(), "samples:4: ") {
		t.Errorf("the name of the text is not said: %v", err)
	}
	if _, err := feed.Open(feed.Stdin, bytes.NewReader([]byte("[1]"))); err == nil {
		t.Error("an array was taken")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// An unreadable line still goes to the subject of its network, so that its dead letter says where it came from.
func TestUnreadableLinesGoToTheSubjectOfTheirNetwork(t *testing.T) {
	t.Parallel()
	ctx, p, _ := newStream(t)
	text := `{"post":{"id":1,"source":{"param":"Facebook"},"content":7}}` + "\nnonsense\n" + post(3) + "\n"
	got, err := open(t, "f.ndjson", text).Publish(ctx, p, feed.Options{})
	if err != nil || got.Published != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	var subjects []string
	for _, m := range kept(t, p) {
		subjects = append(subjects, m.Subject)
	}
	if len(subjects) != 3 || subjects[0] != "posts.facebook" || subjects[2] != "posts.twitter" || subjects[1] == subjects[2] {
		t.Errorf("subjects %q", subjects)
	}
}
