package deploy_test

import (
	"bytes"
	"testing"
	"time"

	"postlink/deploy"
	"postlink/payload"
	"postlink/worker/catalog"
)

func TestSampleRulesTakeSamplePosts(t *testing.T) {
	t.Parallel()
	sample, err := catalog.LoadFS(deploy.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	set, err := sample.Compile()
	if err != nil {
		t.Fatal(err)
	}
	taken, posts := map[string]int{}, samplePosts(t)
	for _, p := range posts {
		m := set.Match(p, time.Time{})
		if len(m.Failed) > 0 {
			t.Errorf("post %s: %v", p.ID, m.Failed)
		}
		if m.Rule != nil {
			taken[m.Rule.Name]++
		}
	}
	for _, r := range sample.Rules {
		if r.Active != (taken[r.Name] >= 5) {
			t.Errorf("rule %s, active %t, takes %d of %d posts", r.Name, r.Active, taken[r.Name], len(posts))
		}
	}
	t.Log(taken)
}

func TestComposeCatalogIsValid(t *testing.T) {
	t.Parallel()
	if _, err := catalog.Load("compose/catalog"); err != nil {
		t.Fatal(err)
	}
}

func TestSamplePostsAreOfEveryKind(t *testing.T) {
	t.Parallel()
	sources, types, ids := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, p := range samplePosts(t) {
		if ids[p.ID] {
			t.Errorf("id %s comes twice", p.ID)
		}
		ids[p.ID] = true
		sources[p.Network]++
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
}

func samplePosts(t *testing.T) []*payload.Post {
	t.Helper()
	var posts []*payload.Post
	for i, line := range bytes.Split(bytes.TrimSpace(deploy.SamplePosts()), []byte("\n")) {
		p, err := payload.DecodePost(line)
		if err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		posts = append(posts, p)
	}
	return posts
}
