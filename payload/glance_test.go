package payload_test

import (
	"testing"

	"postlink/payload"
)

func TestAGlanceReadsNetworkAndIDOfBrokenEventsToo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ event, network, id string }{
		"whole":                  {`{"post":{"id":"17","source":{"param":"Twitter"}}}`, "twitter", "17"},
		"without an envelope":    {`{"id":17,"source":{"param":"facebook"}}`, "facebook", "17"},
		"broken off":             {`{"post":{"id":9007199254740993,"source":{"param":"Twitter"},"content":{"te`, "twitter", "9007199254740993"},
		"a field of wrong type":  {`{"post":{"id":"17","source":7}}`, "", "17"},
		"ids of other things":    {`{"post":{"profile":{"id":"9"},"items":[{"id":"8"}],"id":"17"}}`, "", "17"},
		"nothing to read":        {`nonsense`, "", ""},
		"empty":                  {``, "", ""},
		"a list":                 {`[{"id":"17"}]`, "", ""},
		"an id that is no value": {`{"post":{"id":{"a":"b"},"source":{"param":"blogs"}}}`, "blogs", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if network, id := payload.Glance([]byte(test.event)); network != test.network || id != test.id {
				t.Errorf("network %q and id %q, want %q and %q", network, id, test.network, test.id)
			}
		})
	}
}

func FuzzGlance(f *testing.F) {
	f.Add([]byte(`{"post":{"id":"17","source":{"param":"Twitter"}}}`))
	f.Add([]byte(`{"a":[[[{"b":`))
	f.Fuzz(func(t *testing.T, data []byte) {
		post, err := payload.DecodePost(data)
		if network, id := payload.Glance(data); err == nil && id == "" {
			t.Errorf("a post %q of %q was read as %q of %q", post.ID, post.Network, id, network)
		}
	})
}
