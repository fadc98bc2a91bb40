package catalog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
	"postlink/worker/catalog"
)

func TestHistoryIsKeptAndBounded(t *testing.T) {
	t.Parallel()
	const commits = jetstream.KeyValueMaxHistory + 10
	cases := map[string]func(commit int) bool{
		"while nobody starts":                  func(int) bool { return false },
		"with a start now and then":            func(commit int) bool { return commit%20 == 0 },
		"with a start before all of the rest":  func(commit int) bool { return commit == 0 },
		"with a start at the end of a history": func(commit int) bool { return commit == jetstream.KeyValueMaxHistory },
	}
	for name, starts := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBus(t)
			s := open(t, b)
			for i := range commits {
				c := sample()
				c.Instances[1].Entities[0].Fields = []string{fmt.Sprintf("f%d", i)}
				if _, _, err := s.Apply(t.Context(), c, catalog.Commit{Author: "anna", Message: fmt.Sprint(i)}); err != nil {
					t.Fatal(err)
				}
				if !starts(i) {
					continue
				}
				if _, err := s.ApplyAtStart(t.Context(), c, anna); err != nil { // takes a number of the bucket
					t.Fatal(err)
				}
			}
			checkHistory(t, b, commits-1)
		})
	}
}

// checkHistory looks whether the history is full, ends in a commit, and has the content of each revision and no other.
func checkHistory(t *testing.T, b *bus.Bus, last int) {
	t.Helper()
	history, err := open(t, b).History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(history) != jetstream.KeyValueMaxHistory || history[0].Message != fmt.Sprint(last) {
		t.Fatalf("got %d revisions, the newest %+v", len(history), history[0])
	}
	if blobs := blobsOf(t, b); len(blobs) != len(history) {
		t.Errorf("got %d blobs for %d revisions", len(blobs), len(history))
	}
	entries, err := bucket(t, b).History(t.Context(), "current")
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries { // the oldest first
		var pointer struct{ Blob, Message string }
		if err := json.Unmarshal(e.Value(), &pointer); err != nil {
			t.Fatal(err)
		}
		if _, err := blobs(t, b).GetBytes(t.Context(), pointer.Blob); err != nil || pointer.Message != history[len(history)-1-i].Message {
			t.Errorf("revision %d, committed as %q: %v", e.Revision(), pointer.Message, err)
		}
	}
}

// kept is where a catalog is kept, for those who damage it.
type kept struct {
	ctx    context.Context //nolint:containedctx // of one test
	bucket jetstream.KeyValue
	blobs  jetstream.ObjectStore
}

func TestDamagedContentIsRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		damage func(k kept, pointer map[string]any) error
		want   string
	}{
		"a missing blob": {func(k kept, p map[string]any) error {
			return k.blobs.Delete(k.ctx, p["blob"].(string))
		}, "object not found"},
		"a blob of another revision": {func(k kept, p map[string]any) error {
			return putPointer(k.ctx, k.bucket, p, "id", strings.Repeat("0", 64))
		}, "it is damaged"},
		"a blob that is not compressed": {func(k kept, p map[string]any) error {
			_, err := k.blobs.PutBytes(k.ctx, p["blob"].(string), []byte("{}"))
			return err
		}, "decompress the catalog"},
		"a pointer to nothing": {func(k kept, p map[string]any) error {
			return putPointer(k.ctx, k.bucket, p, "blob", "")
		}, "id or blob is missing"},
		"a pointer of a newer postlink": {func(k kept, p map[string]any) error {
			return putPointer(k.ctx, k.bucket, p, "signature", "x")
		}, `unknown field "signature"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBus(t)
			apply(t, open(t, b), sample())
			if err := tc.damage(kept{t.Context(), bucket(t, b), blobs(t, b)}, readPointer(t, b)); err != nil {
				t.Fatal(err)
			}
			_, err := open(t, b).Current(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
}

func readPointer(t *testing.T, b *bus.Bus) map[string]any {
	t.Helper()
	e, err := bucket(t, b).Get(t.Context(), "current")
	if err != nil {
		t.Fatal(err)
	}
	var pointer map[string]any
	if err := json.Unmarshal(e.Value(), &pointer); err != nil {
		t.Fatal(err)
	}
	return pointer
}

func putPointer(ctx context.Context, kv jetstream.KeyValue, pointer map[string]any, key string, value any) error {
	pointer[key] = value
	data, err := json.Marshal(pointer)
	if err != nil {
		return err
	}
	_, err = kv.Put(ctx, "current", data)
	return err
}
