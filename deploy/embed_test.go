package deploy_test

import (
	"bytes"
	"testing"

	"postlink/deploy"
	"postlink/payload"
)

func TestSamplePostsDecode(t *testing.T) {
	t.Parallel()
	sources, types := map[string]int{}, map[string]int{}
	ids := map[string]bool{}
	for i, line := range bytes.Split(bytes.TrimSpace(deploy.SamplePosts()), []byte("\n")) {
		p, err := payload.DecodePost(line)
		if err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		if ids[p.ID] {
			t.Errorf("line %d: id %s comes twice", i+1, p.ID)
		}
		ids[p.ID] = true
		sources[p.Source]++
		types[p.Type]++
	}
	for _, source := range []string{"twitter", "facebook", "youtubevideos", "blogs", "board"} {
		if sources[source] < 2 {
			t.Errorf("%d posts from %s, want some", sources[source], source)
		}
	}
	for _, kind := range []string{payload.TypePost, payload.TypeReply, payload.TypeShare, payload.TypePrivateMessage} {
		if types[kind] < 2 {
			t.Errorf("%d posts of type %s, want some", types[kind], kind)
		}
	}
	t.Log(len(ids), sources, types)
}
