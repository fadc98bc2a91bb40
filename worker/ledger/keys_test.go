package ledger_test

import (
	"testing"

	"pgregory.net/rapid"

	"postlink/payload"
	"postlink/worker/ledger"
)

func TestKeysAreEncodedReversibly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := ledger.Key{Network: rapid.String().Draw(t, "network"), PostID: rapid.StringN(1, -1, -1).Draw(t, "id")}
		got, err := ledger.DecodeKey(k.Encode())
		if err != nil || got != k {
			t.Fatalf("%+v became %q became %+v, error %v", k, k.Encode(), got, err)
		}
	})
}

func TestKeysNameAPostForPeople(t *testing.T) {
	t.Parallel()
	if got := ledger.KeyOf(&payload.Post{Network: "twitter", ID: "1 2"}).String(); got != "twitter/1 2" {
		t.Errorf("key %q", got)
	}
	if got := (ledger.Key{PostID: "1"}).String(); got != "1" {
		t.Errorf("key without a network %q", got)
	}
}

func FuzzDecodeKey(f *testing.F) {
	for _, s := range []string{"", ".", "=.", "=.MQ", "MQ.MQ", "a.b.c", "*.MQ", "MR.MQ", "MQ.=", "MQ.M\nQ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ledger.DecodeKey(s)
		if err == nil && k.Encode() != s {
			t.Errorf("%q was read as %+v, which is written %q", s, k, k.Encode())
		}
	})
}

// Whatever stands in the bucket, reading and using it does not panic.
func FuzzDecode(f *testing.F) {
	key := ledger.Key{Network: "twitter", PostID: "1"}
	for _, s := range []string{
		`{"post":{"network":"twitter","post_id":"1"},"links":[{"state":"queued"}]}`,
		`{"post":{"network":"twitter","post_id":"1"},"links":[{"state":"linked","steps":[]},{"steps":[{"at":"2026-01-01T00:00:00Z"}]}]}`,
		`{"post":{"network":"twitter","post_id":"1"},"links":[]}`,
		`{"post":{"network":"twitter","post_id":"2"},"links":[{}]}`,
		`{"links":null}`, `null`, `[]`, ``,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ledger.Decode(key.Encode(), []byte(s), 7)
		if err != nil {
			return
		}
		link := e.Current()
		if e.Post != key || link.Last().At.Before(link.Decided().At) && len(link.Steps) < 2 {
			t.Errorf("%s was read as %+v", s, e)
		}
		if d := link.Decision(); d.By != link.Decided().By || d.Instance != link.Instance {
			t.Errorf("link %+v has decision %+v", link, d)
		}
		if e.Active() != link.Active() || e.NextGeneration() != link.Generation+1 {
			t.Errorf("entry %+v disagrees with its current link", e)
		}
	})
}
