package payload_test

import (
	"encoding/json"
	"os"
	"testing"

	"postlink/payload"
)

// wire is a whole event for encoding/json, as wide as the fields that DecodePost reads: the measure that it has to beat.
type wire struct {
	Post struct {
		ID              any
		ExternalID      string
		PostType        string
		ContentType     string
		URI             string
		Title           string
		PublicationDate string
		AcquisitionDate string
		Content         struct{ Text string }
		Language        struct{ Code string }
		Source          struct{ Param string }
		Origin          struct{ Name string }
		Sentiment       struct {
			Polarity string
			Value    float64
		}
		Score *struct {
			NormalScore   int
			ProviderScore float64
		}
		Profile              wireProfile
		PostLocation         wireLocation
		MatchingSearchTopics []struct{ Name string }
		Tags                 []struct{ Tag struct{ Name string } }
		FullContentLength    int
		ReferencedPost       *struct {
			ID, ExternalID any
			Profile        wireProfile
		}
	}
}

type wireProfile struct {
	URI, ID, Name, DisplayName, ExternalHandle string
	ExternalID                                 any
	ProfileLocation                            wireLocation
}

type wireLocation struct{ Locality, AdminDistrict, CountryRegion string }

func BenchmarkDecodePost(b *testing.B) {
	posts := map[string]string{"full": "testdata/post.json", "retweet": "testdata/retweet.json", "facebook": "testdata/facebook.json"}
	decoders := map[string]func([]byte) error{
		"payload":            func(data []byte) error { _, err := payload.DecodePost(data); return err },
		"json into a struct": func(data []byte) error { return json.Unmarshal(data, new(wire)) },
		"json into a map":    func(data []byte) error { return json.Unmarshal(data, new(map[string]any)) },
	}
	for post, path := range posts {
		data, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		for name, decode := range decoders {
			b.Run(post+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if err := decode(data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkDecodeAirlinePosts takes one real post after another.
func BenchmarkDecodeAirlinePosts(b *testing.B) {
	posts := readAirlinePosts(b)
	for name, decode := range map[string]func([]byte) error{
		"payload":            func(data []byte) error { _, err := payload.DecodePost(data); return err },
		"json into a struct": func(data []byte) error { return json.Unmarshal(data, new(wire)) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := decode(posts[i%len(posts)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	data, err := os.ReadFile("testdata/retweet.json")
	if err != nil {
		b.Fatal(err)
	}
	p, err := payload.DecodePost(data)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := payload.Build(p, payload.Options{Entity: "incident", Notes: "n", Backlink: "https://postlink.example.com/posts/1"}); err != nil {
			b.Fatal(err)
		}
	}
}
