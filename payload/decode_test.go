package payload_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"postlink/payload"
)

func TestDecodePostReadsEveryField(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("", -5*3600)
	want := &payload.Post{
		ID: "7001", ExternalID: "820000000000000001", Type: "post", ContentType: "POST",
		URL:      "https://www.twitter.com/lena_rides/status/820000000000000001",
		Text:     "My new bike's brakes <squeal> & the shop & its hotline are closed 🚲",
		Language: "en", Network: "twitter", Sentiment: "negative", SentimentScore: -0.46,
		Score:       &payload.Score{Reach: 4, Influence: 41},
		PublishedAt: time.Date(2016, 12, 30, 8, 15, 30, 250e6, east),
		AcquiredAt:  time.Date(2016, 12, 30, 8, 20, 0, 0, east),
		Author: payload.Author{
			ID: "40001", ExternalID: "40001", Handle: "lena_rides", Name: "Lena Rides @lena_rides", FullName: "Lena Rides",
			Link:     "http://www.twitter.com/lena_rides",
			Location: payload.Location{Country: "United States", Region: "Massachusetts", City: "Boston"},
		},
		Location: payload.Location{Country: "United States", City: "Cambridge"},
		Topics:   []string{"Bikes", "Brakes"}, Tags: []string{"Complaint", "brakes"},
		Origin: "Bike corner", Length: 66,
	}
	got := decodeFile(t, "post")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := got.PublishedAt.Format(time.RFC3339Nano); got != "2016-12-30T08:15:30.25-05:00" {
		t.Errorf("published %s: the offset of the event is lost", got)
	}
}

func ref(a payload.Author) *payload.Reference {
	return &payload.Reference{ID: "2", ExternalID: "x2", Author: a}
}

type post = payload.Post

var oddities = map[string]struct {
	in   string
	want payload.Post // ID "1" where none is given
}{
	"a bare post":                          {`{"id":"1"}`, post{}},
	"an event":                             {`{"metadata":{},"post":{"id":"1"}}`, post{}},
	"an event with an id of its own":       {`{"id":7,"postType":[],"post":{"id":"1"}}`, post{}},
	"an event whose post comes first":      {`{"post":{"id":"1"},"metadata":{"matchedRules":[{"id":1}]}}`, post{}},
	"an event whose post comes twice":      {`{"post":{"id":"2","title":"b"},"post":{"id":"1"}}`, post{}},
	"a null post beside a bare one":        {`{"post":null,"id":"1"}`, post{}},
	"a byte order mark":                    {"\ufeff" + `{"id":"1"}`, post{}},
	"white space of all kinds around":      {" \t\r\n{ \"id\"\t:\r\n\"1\" }\n\n", post{}},
	"an id as a number":                    {`{"id":1}`, post{}},
	"an id beyond 2^53":                    {`{"id":9007199254740993}`, post{ID: "9007199254740993"}},
	"an id beyond 2^64":                    {`{"id":123456789012345678901234567890}`, post{ID: "123456789012345678901234567890"}},
	"a negative id":                        {`{"id":-5}`, post{ID: "-5"}},
	"an id with leading zeros":             {`{"id":"007"}`, post{ID: "007"}},
	"an id with white space around":        {`{"id":" \u00a01\n"}`, post{}},
	"an id in decomposed form":             {`{"id":"e\u0301"}`, post{ID: "é"}},
	"an id with wildcards":                 {`{"id":"a.*.>"}`, post{ID: "a.*.>"}},
	"an id of 512 bytes":                   {`{"id":"` + strings.Repeat("9", payload.MaxID) + `"}`, post{ID: strings.Repeat("9", payload.MaxID)}},
	"an id with a space inside":            {`{"id":"a b"}`, post{ID: "a b"}},
	"external ids as numbers":              {`{"id":1,"externalId":820000000000000001,"profile":{"externalId":40001}}`, post{ExternalID: "820000000000000001", Author: payload.Author{ID: "40001", ExternalID: "40001"}}},
	"names in another case are not ours":   {`{"id":1,"ID":2,"Title":"t","posttype":"share"}`, post{}},
	"names with escapes are":               {`{"i\u0064":1,"t\u0069tle":"t"}`, post{Title: "t"}},
	"unknown fields of every kind":         {`{"id":1,"a":{"b":[1,-2.5e+3,0.1E-2,"x\"\\\/\b\f\n\r\t\u00e9",true,false,null,{},[],[ ],{ }]},"":0}`, post{}},
	"media as an object":                   {`{"id":1,"media":{"type":"IMAGE"}}`, post{}},
	"media as an array":                    {`{"id":1,"media":[{"type":"IMAGE"}],"embeddedMedia":"x"}`, post{}},
	"nulls everywhere":                     {`{"id":1,"externalId":null,"contentType":null,"postType":null,"uri":null,"title":null,"content":null,"language":null,"source":null,"sentiment":null,"score":null,"publicationDate":null,"acquisitionDate":null,"profile":null,"postLocation":null,"matchingSearchTopics":null,"tags":null,"origin":null,"fullContentLength":null,"referencedPost":null}`, post{}},
	"nulls further in":                     {`{"id":1,"content":{"text":null},"language":{"code":null},"source":{"param":null},"sentiment":{"polarity":null,"value":null},"score":{"normalScore":null,"providerScore":null},"profile":{"uri":null,"externalId":null,"profileLocation":null},"postLocation":{"locality":null},"matchingSearchTopics":[null,{"name":null}],"tags":[null,{"tag":null},{"tag":{"name":null}}],"origin":{"name":null}}`, post{}},
	"empty objects and arrays":             {`{"id":1,"content":{},"score":{},"profile":{},"tags":[],"matchingSearchTopics":[{}]}`, post{}},
	"a field that comes twice":             {`{"id":2,"title":"a","content":{"text":"a"},"tags":[{"tag":{"name":"a"}}],"id":1,"title":"b","content":{},"tags":null}`, post{Title: "b"}},
	"a field taken back by null":           {`{"id":1,"title":"a","sentiment":{"polarity":"positive","value":1},"title":null,"sentiment":{"value":0.5}}`, post{SentimentScore: 0.5}},
	"a sentiment in capitals":              {`{"id":1,"sentiment":{"polarity":"POSITIVE"}}`, post{Sentiment: "positive"}},
	"a sentiment in title case":            {`{"id":1,"sentiment":{"polarity":" Neutral "}}`, post{Sentiment: "neutral"}},
	"a sentiment that is new to us":        {`{"id":1,"sentiment":{"polarity":"Mixed"}}`, post{Sentiment: "mixed"}},
	"words in any case":                    {`{"id":1,"postType":"privateMessage","language":{"code":"DE"},"source":{"param":"YoutubeVideos"},"contentType":"Video"}`, post{Type: "privatemessage", Language: "de", Network: "youtubevideos", ContentType: "Video"}},
	"a date with a colon in the offset":    {`{"id":1,"publicationDate":"2016-01-23T12:34:56-07:00"}`, post{PublishedAt: at("2016-01-23T12:34:56-07:00")}},
	"a date without one":                   {`{"id":1,"publicationDate":"2016-01-23T12:34:56-0700"}`, post{PublishedAt: at("2016-01-23T12:34:56-07:00")}},
	"a date with fractions":                {`{"id":1,"publicationDate":"2016-01-23T12:34:56.789+0000","acquisitionDate":"2016-01-23T12:34:56.123456789Z"}`, post{PublishedAt: at("2016-01-23T12:34:56.789Z"), AcquiredAt: at("2016-01-23T12:34:56.123456789Z")}},
	"a date in UTC":                        {`{"id":1,"publicationDate":"2016-02-29T23:59:59Z"}`, post{PublishedAt: at("2016-02-29T23:59:59Z")}},
	"an empty date":                        {`{"id":1,"publicationDate":" "}`, post{}},
	"the year 1":                           {`{"id":1,"publicationDate":"0001-01-01T00:00:00Z"}`, post{}},
	"the year 9999":                        {`{"id":1,"publicationDate":"9999-12-31T23:59:59.9999999Z"}`, post{PublishedAt: at("9999-12-31T23:59:59.9999999Z")}},
	"numbers in all forms":                 {`{"id":1,"fullContentLength":3.5e1,"sentiment":{"value":-1},"score":{"normalScore":5.0,"providerScore":4.6e1}}`, post{Length: 35, SentimentScore: -1, Score: &payload.Score{Reach: 5, Influence: 46}}},
	"a reach without an influence":         {`{"id":1,"score":{"normalScore":3}}`, post{Score: &payload.Score{Reach: 3, Unrated: true}}},
	"an influence of zero without a reach": {`{"id":1,"score":{"providerScore":0}}`, post{Score: &payload.Score{}}},
	"an influence past its range":          {`{"id":1,"score":{"providerScore":100.5}}`, post{Score: &payload.Score{Influence: 100.5}}},
	"a provider without a score":           {`{"id":1,"score":{"provider":"KLOUT"}}`, post{}},
	"a text with every escape":             {`{"id":1,"content":{"text":"\"\\\/\b\f\n\r\t\u00e9\u20AC"}}`, post{Text: "\"\\/\n\r\té€"}},
	"a text with a surrogate pair":         {`{"id":1,"content":{"text":"\ud83d\udeb2\uD83D\uDEB2"}}`, post{Text: "🚲🚲"}},
	"a text with half a surrogate pair":    {`{"id":1,"content":{"text":"a\ud83db\udeb2\ud83d\ud83d\udeb2\ud83d\u0041\ud83d\n"}}`, post{Text: "a\ufffdb\ufffd\ufffd🚲\ufffdA\ufffd\n"}},
	"a text with NUL and other controls":   {`{"id":1,"title":"\u0000","content":{"text":"a\u0000b\u001f\u007f\ufffe\uffff"}}`, post{Text: "ab\x7f"}},
	"a text in many scripts":               {`{"id":1,"content":{"text":"e` + "\u0301" + ` שלום ` + "\u200f" + ` 👩‍🚒 投稿` + "\u2028" + `"}}`, post{Text: "e\u0301 שלום \u200f 👩‍🚒 投稿\u2028"}},
	"a text keeps its white space":         {`{"id":1,"title":" t ","content":{"text":"\n a \r\n"}}`, post{Title: " t ", Text: "\n a \r\n"}},
	"a handle with an at sign":             {`{"id":1,"profile":{"externalHandle":" @Lena "},"source":{"param":"twitter"}}`, post{Network: "twitter", Author: payload.Author{ID: "Lena", Handle: "Lena", Link: "http://www.twitter.com/Lena"}}},
	"a handle that is no path":             {`{"id":1,"profile":{"externalHandle":"a/../b?c"},"source":{"param":"twitter"}}`, post{Network: "twitter", Author: payload.Author{ID: "a/../b?c", Handle: "a/../b?c", Link: "http://www.twitter.com/a%2F..%2Fb%3Fc"}}},
	"a source behind the profile":          {`{"id":1,"profile":{"externalId":"5"},"referencedPost":{"id":2,"externalId":"x2","profile":{"externalId":"6"}},"source":{"param":"Facebook"}}`, post{Network: "facebook", Author: payload.Author{ID: "5", ExternalID: "5", Link: "http://www.facebook.com/5"}, Referenced: ref(payload.Author{ID: "6", ExternalID: "6", Link: "http://www.facebook.com/6"})}},
	"a network without profile links":      {`{"id":1,"profile":{"externalId":"5","externalHandle":"h"},"source":{"param":"Blogs"}}`, post{Network: "blogs", Author: payload.Author{ID: "5", ExternalID: "5", Handle: "h"}}},
	"an author known by uri":               {`{"id":1,"profile":{"uri":"mse-tw://#9","id":"8","externalHandle":"h"}}`, post{Author: payload.Author{ID: "mse-tw://#9", Handle: "h"}}},
	"an author known by the old id":        {`{"id":1,"profile":{"id":8,"externalHandle":"h"}}`, post{Author: payload.Author{ID: "8", Handle: "h"}}},
	"an author whose uri names nobody":     {`{"id":1,"profile":{"uri":"mse-fb://#","id":"mse-fb://#"}}`, post{}},
	"an author known by name only":         {`{"id":1,"profile":{"name":" A ","displayName":" B "}}`, post{Author: payload.Author{Name: "A", FullName: "B"}}},
	"a referenced post":                    {`{"id":1,"referencedPost":{"id":2,"externalId":"x2","content":{"text":7},"profile":{"displayName":"O"}}}`, post{Referenced: ref(payload.Author{FullName: "O"})}},
	"an author with a page of his own":     {`{"id":1,"source":{"param":"twitter"},"profile":{"uri":"https://twitter.com/i/user/9","externalHandle":"h"}}`, post{Network: "twitter", Author: payload.Author{ID: "https://twitter.com/i/user/9", Handle: "h", Link: "https://twitter.com/i/user/9"}}},
	"a page on any network":                {`{"id":1,"source":{"param":"blogs"},"profile":{"uri":"HTTP://b.example.com/a b","externalId":"5"}}`, post{Network: "blogs", Author: payload.Author{ID: "5", ExternalID: "5", Link: "HTTP://b.example.com/a%20b"}}},
	"a uri that is no page":                {`{"id":1,"source":{"param":"twitter"},"profile":{"uri":"javascript:alert(1)","externalHandle":"h"}}`, post{Network: "twitter", Author: payload.Author{ID: "javascript:alert(1)", Handle: "h", Link: "http://www.twitter.com/h"}}},
	"an empty referenced post":             {`{"id":1,"referencedPost":{}}`, post{Referenced: &payload.Reference{}}},
	"a referenced post taken back":         {`{"id":1,"referencedPost":{"id":2,"profile":{"name":"O"}},"referencedPost":null}`, post{}},
	"63 levels":                            {`{"id":1,"a":` + strings.Repeat("[", 62) + strings.Repeat("]", 62) + `}`, post{}},
	"63 levels in an event":                {`{"post":{"id":1,"a":` + strings.Repeat(`{"a":`, 61) + "1" + strings.Repeat("}", 61) + `}}`, post{}},
}

func TestDecodePostReadsTheOddities(t *testing.T) {
	t.Parallel()
	for name, tc := range oddities {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.want.ID == "" {
				tc.want.ID = "1"
			}
			got, err := payload.DecodePost([]byte(tc.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// bad are documents that are no post, and what the error says.
var bad = map[string]struct{ in, want string }{
	"nothing":                        {"", "post: the text is empty"},
	"white space":                    {" \n\t", "post: the text is empty"},
	"a byte order mark alone":        {"\ufeff", "post: the text is empty"},
	"null":                           {"null", "post.id: missing or blank"},
	"an array":                       {"[]", "post: want an object, found an array"},
	"a number":                       {"12", "post: want an object, found a number"},
	"a string":                       {`"secret"`, "post: want an object, found a string"},
	"a boolean":                      {"true", "post: want an object, found a boolean"},
	"no JSON":                        {"secret", "post: not JSON at byte 0"},
	"a NUL":                          {"\x00", "post: not JSON at byte 0"},
	"a NUL behind the post":          {`{"id":1}` + "\x00", "post: a second document or other text follows the first"},
	"two byte order marks":           {"\ufeff\ufeff{}", "post: not JSON at byte 0"},
	"a truncated post":               {`{"id":1,"content":{"text":"secr`, "post.content.text: the text ends too early: is it truncated?"},
	"a truncated object":             {`{"id":1,"content":{`, "post.content: the text ends too early: is it truncated?"},
	"a truncated name":               {`{"id":1,"secr`, "post: the text ends too early: is it truncated?"},
	"a name without a value":         {`{"id"`, "post: the text ends too early: is it truncated?"},
	"a truncated value":              {`{"id":`, "post.id: the text ends too early: is it truncated?"},
	"a truncated number":             {`{"id":1,"sentiment":{"value":-`, "post.sentiment.value: the text ends too early: is it truncated?"},
	"a truncated array":              {`{"id":1,"tags":[{"tag":{"name":"a"}},`, "post.tags[1]: the text ends too early: is it truncated?"},
	"a truncated event":              {`{"metadata":{"a":[1`, "post: the text ends too early: is it truncated?"},
	"a truncated event behind":       {`{"post":{"id":1}`, "post: the text ends too early: is it truncated?"},
	"a truncated literal":            {`{"id":nul`, "post.id: not JSON at byte 6"},
	"a truncated escape":             {`{"id":1,"title":"\u00`, "post.title: not JSON at byte 17"},
	"two documents":                  {`{"id":1}{"id":2}`, "post: a second document or other text follows the first"},
	"two lines":                      {"{\"id\":1}\n{\"id\":2}", "post: a second document or other text follows the first"},
	"trailing garbage":               {`{"post":{"id":1}}secret`, "post: a second document or other text follows the first"},
	"one bracket too many":           {`{"id":1}}`, "post: a second document or other text follows the first"},
	"a trailing comma":               {`{"id":1,}`, "post: not JSON at byte 8"},
	"a trailing comma in an array":   {`{"id":1,"tags":[{},]}`, "post.tags[1]: not JSON at byte 19"},
	"a trailing comma passed over":   {`{"id":1,"x":[1,]}`, "post: not JSON at byte 15"},
	"a missing comma":                {`{"id":1 "title":"a"}`, "post.id: not JSON at byte 8"},
	"a missing colon":                {`{"id" 1}`, "post: not JSON at byte 6"},
	"brackets that do not match":     {`{"id":1,"tags":[}`, "post.tags[0]: not JSON at byte 16"},
	"brackets that do not close":     {`{"id":1,"x":[{]}`, "post: not JSON at byte 14"},
	"a name without quotes":          {`{id:1}`, "post: not JSON at byte 1"},
	"single quotes":                  {`{'id':1}`, "post: not JSON at byte 1"},
	"a comment":                      {`{"id":1/* secret */}`, "post.id: not JSON at byte 7"},
	"a line break in a text":         {"{\"id\":1,\"title\":\"a\nb\"}", "post.title: not JSON at byte 18"},
	"an unknown escape":              {`{"id":1,"title":"\x41"}`, "post.title: not JSON at byte 17"},
	"an escape that is not hex":      {`{"id":1,"title":"\u12g4"}`, "post.title: not JSON at byte 17"},
	"a leading zero":                 {`{"id":01}`, "post.id: not JSON at byte 7"},
	"a leading plus":                 {`{"id":+1}`, "post.id: not JSON at byte 6"},
	"a bare point":                   {`{"id":1,"sentiment":{"value":1.}}`, "post.sentiment.value: not JSON at byte 31"},
	"a bare exponent":                {`{"id":1,"sentiment":{"value":1e}}`, "post.sentiment.value: not JSON at byte 31"},
	"NaN":                            {`{"id":1,"sentiment":{"value":NaN}}`, "post.sentiment.value: not JSON at byte 29"},
	"a number out of range":          {`{"id":1,"score":{"providerScore":1e999}}`, "post.score.providerScore: the number is out of range"},
	"bytes that are not UTF-8":       {"{\"id\":1,\"content\":{\"text\":\"secret\xff\"}}", "post.content.text: not UTF-8"},
	"UTF-16":                         {"\xff\xfe{\x00\"\x00", "post: not UTF-8"},
	"a surrogate in UTF-8":           {"{\"id\":1,\"title\":\"\xed\xa0\xbd\"}", "post.title: not UTF-8"},
	"a name that is not UTF-8":       {"{\"id\":1,\"\xff\":1}", "post: not UTF-8"},
	"a skipped text not UTF-8":       {"{\"id\":1,\"abstractText\":[\"\xc3\"]}", "post: not UTF-8"},
	"a half character outside":       {"{\"id\":1,\xc3}", "post: not UTF-8"},
	"64 levels":                      {`{"id":1,"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`, "post: nested 64 levels deep or deeper"},
	"64 levels in an event":          {`{"post":{"id":1,"a":` + strings.Repeat(`{"a":`, 62) + "1" + strings.Repeat("}", 62) + `}}`, "post: nested 64 levels deep or deeper"},
	"a million levels":               {strings.Repeat("[", 1e6), "post: want an object, found an array"},
	"a million levels in a field":    {`{"id":1,"metadata":` + strings.Repeat("[", 1e6), "post: nested 64 levels deep or deeper"},
	"a null post":                    {`{"post":null}`, "post.id: missing or blank"},
	"a post that is a text":          {`{"post":"secret"}`, "post: want an object, found a string"},
	"a post in an array":             {`{"post":[{"id":1}]}`, "post: want an object, found an array"},
	"an empty post":                  {`{}`, "post.id: missing or blank"},
	"a null id":                      {`{"id":null}`, "post.id: missing or blank"},
	"a blank id":                     {`{"id":" \n\u00a0"}`, "post.id: missing or blank"},
	"an id of 513 bytes":             {`{"id":"` + strings.Repeat("x", 513) + `"}`, "post.id: 513 bytes long, want at most 512"},
	"an id of 513 digits":            {`{"id":` + strings.Repeat("9", 513) + `}`, "post.id: 513 bytes long, want at most 512"},
	"an id with an exponent":         {`{"id":1e3}`, "post.id: want a string or a whole number, found a number with a point or an exponent"},
	"an id with a point":             {`{"id":1.5}`, "post.id: want a string or a whole number, found a number with a point or an exponent"},
	"an id that is true":             {`{"id":true}`, "post.id: want a string or a whole number, found a boolean"},
	"an id that is an object":        {`{"id":{"secret":1}}`, "post.id: want a string or a whole number, found an object"},
	"an id with a NUL":               {`{"id":"a\u0000b"}`, "post.id: holds a control character"},
	"an author's id with a NUL":      {`{"id":1,"profile":{"externalId":"a\u0000b"}}`, "post.profile.externalId: holds a control character"},
	"a sentiment that is a number":   {`{"post":{"id":1,"sentiment":{"polarity":0.5}}}`, "post.sentiment.polarity: want a string, found a number"},
	"a sentiment that is a text":     {`{"id":1,"sentiment":"secret"}`, "post.sentiment: want an object, found a string"},
	"a sentiment value as a text":    {`{"id":1,"sentiment":{"value":"0.5"}}`, "post.sentiment.value: want a number, found a string"},
	"an influence that is a text":    {`{"id":1,"score":{"providerScore":"41"}}`, "post.score.providerScore: want a number, found a string"},
	"a reach with a fraction":        {`{"id":1,"score":{"normalScore":2.5}}`, "post.score.normalScore: want a whole number"},
	"a length without bounds":        {`{"id":1,"fullContentLength":1e300}`, "post.fullContentLength: want a whole number"},
	"a length that is a text":        {`{"id":1,"fullContentLength":"66"}`, "post.fullContentLength: want a number, found a string"},
	"a content that is a text":       {`{"id":1,"content":"secret"}`, "post.content: want an object, found a string"},
	"a text that is an array":        {`{"id":1,"content":{"text":["secret"]}}`, "post.content.text: want a string, found an array"},
	"a title that is false":          {`{"id":1,"title":false}`, "post.title: want a string, found a boolean"},
	"tags that are an object":        {`{"id":1,"tags":{"tag":{}}}`, "post.tags: want an array, found an object"},
	"a tag that is a text":           {`{"id":1,"tags":[{},"secret"]}`, "post.tags[1]: want an object, found a string"},
	"a tag whose name is a number":   {`{"id":1,"tags":[{},{},{"tag":{"name":1}}]}`, "post.tags[2].tag.name: want a string, found a number"},
	"a topic whose name is a number": {`{"post":{"id":1,"matchingSearchTopics":[{"name":1}]}}`, "post.matchingSearchTopics[0].name: want a string, found a number"},
	"a city that is a number":        {`{"id":1,"profile":{"profileLocation":{"locality":1}}}`, "post.profile.profileLocation.locality: want a string, found a number"},
	"the deepest of our fields":      {`{"post":{"id":1,"referencedPost":{"profile":{"profileLocation":{"locality":1}}}}}`, "post.referencedPost.profile.profileLocation.locality: want a string, found a number"},
	"a date that is a number":        {`{"id":1,"publicationDate":1453552496}`, "post.publicationDate: want a string, found a number"},
	"a date that is none":            {`{"id":1,"publicationDate":"secret"}`, "post.publicationDate: " + wantDate},
	"a date without an offset":       {`{"id":1,"publicationDate":"2016-01-23T12:34:56"}`, "post.publicationDate: " + wantDate},
	"a day without a time":           {`{"id":1,"acquisitionDate":"2016-01-23"}`, "post.acquisitionDate: " + wantDate},
	"the 30th of February":           {`{"id":1,"publicationDate":"2016-02-30T00:00:00Z"}`, "post.publicationDate: " + wantDate},
	"a date with a zone's name":      {`{"id":1,"publicationDate":"2016-01-23T12:34:56 PST"}`, "post.publicationDate: " + wantDate},
	"an unknown field's name":        {`{"id":1,"secret":{"secret":tru}}`, "post: not JSON at byte 27"},
}

const wantDate = "want a date and time with an offset, such as 2016-01-23T12:34:56-07:00"

func TestDecodePostNamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tc := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := payload.DecodePost([]byte(tc.in))
			if p != nil {
				t.Errorf("a post came out: %+v", p)
			}
			var wrong *payload.DecodeError
			if !errors.As(err, &wrong) {
				t.Fatalf("error = %v, want a *DecodeError", err)
			}
			if diff := cmp.Diff(tc.want, wrong.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if wrong.Error() != wrong.Field+": "+wrong.Reason || strings.Contains(wrong.Error(), "secret") {
				t.Errorf("%q, of field %q and reason %q", wrong, wrong.Field, wrong.Reason)
			}
		})
	}
}

// TestDecodePostRefusesEveryTruncation cuts a post at each byte: what is left is never taken for a post.
func TestDecodePostRefusesEveryTruncation(t *testing.T) {
	t.Parallel()
	whole := []byte(`{"metadata":{"a":[1.5e3,true,null]},"post":{"id":1,"title":"\ud83d\udeb2é","tags":[{"tag":{"name":"a"}}],"score":{"providerScore":41.0}}}`)
	if _, err := payload.DecodePost(whole); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		var wrong *payload.DecodeError
		if _, err := payload.DecodePost(whole[:n]); !errors.As(err, &wrong) {
			t.Errorf("%s: error = %v, want a *DecodeError", whole[:n], err)
		}
	}
}

func TestDecodePostCapsWhatConditionsWalk(t *testing.T) {
	t.Parallel()
	list := func(element string, n int) string { return "[" + strings.Repeat(element+",", n-1) + element + "]" }
	doc := func(n int) []byte {
		return []byte(`{"id":1,"tags":` + list(`{"tag":{"name":"a"}}`, n) + `,"matchingSearchTopics":` + list(`{"name":"b"}`, n) + `,"title":"t"}`)
	}
	for n, want := range map[int]int{1: 1, 399: 399, 400: 400, 401: 400, 100_000: 400} {
		p, err := payload.DecodePost(doc(n))
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Tags) != want || len(p.Topics) != want || p.Title != "t" {
			t.Errorf("of %d: %d tags, %d topics, title %q, want %d", n, len(p.Tags), len(p.Topics), p.Title, want)
		}
	}
	broken := []byte(`{"id":1,"tags":` + strings.TrimSuffix(list(`{"tag":{"name":"a"}}`, 500), "]") + `,{"tag":tru}]}`)
	if _, err := payload.DecodePost(broken); err == nil {
		t.Error("what is dropped is not checked to be JSON")
	}
}

func TestDecodePostKeepsNothingOfItsInput(t *testing.T) {
	t.Parallel()
	data := []byte(`{"id":"abc","title":"title","content":{"text":"text"},"tags":[{"tag":{"name":"tag"}}]}`)
	p, err := payload.DecodePost(data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		data[i] = '!'
	}
	want := &payload.Post{ID: "abc", Title: "title", Text: "text", Tags: []string{"tag"}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("the post changed with the buffer, -want +got:\n%s", diff)
	}
}

func TestPostTellsItsKind(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string][3]bool{
		"post": {}, "share": {true, false, false}, "Reply": {false, true, false}, "PrivateMessage": {false, false, true}, "poll": {},
	} {
		p, err := payload.DecodePost([]byte(`{"id":1,"postType":"` + kind + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := [3]bool{p.IsShare(), p.IsReply(), p.IsPrivate()}; got != want {
			t.Errorf("%s: share, reply, private = %v, want %v", kind, got, want)
		}
	}
}

func FuzzDecodePost(f *testing.F) {
	for _, tc := range bad {
		if len(tc.in) < 1<<12 {
			f.Add([]byte(tc.in))
		}
	}
	f.Add([]byte(`{"metadata":{"a":[1,{"b":null}]},"post":{"id":1,"tags":[{"tag":{"name":"a"}}],"profile":{"uri":"u","profileLocation":{"locality":"c"}}}}`))
	f.Add([]byte(`{"id":"1","publicationDate":"2016-01-23T12:34:56.789+0000","score":{"normalScore":3,"providerScore":2.5},"referencedPost":{"id":2,"profile":{"externalHandle":"@x"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := payload.DecodePost(data)
		body := []byte(strings.TrimPrefix(string(data), "\ufeff"))
		if err != nil {
			var wrong *payload.DecodeError
			if !errors.As(err, &wrong) || wrong.Field == "" || wrong.Reason == "" || len(wrong.Error()) > 200 {
				t.Fatalf("error = %#v", err)
			}
			// What we call broken is broken for encoding/json too.
			if broken := strings.HasPrefix(wrong.Reason, "not JSON") || strings.HasPrefix(wrong.Reason, "the text ends"); broken && json.Valid(body) {
				t.Fatalf("%s, but it is JSON", wrong)
			}
			return
		}
		if p.ID == "" || len(p.ID) > payload.MaxID || strings.TrimSpace(p.ID) != p.ID {
			t.Fatalf("id %q", p.ID)
		}
		if !json.Valid(body) || !utf8.Valid(body) {
			t.Fatal("a post came out of what is not JSON in UTF-8")
		}
		compareWithMap(t, body, p)
		a, err := payload.Build(p, payload.Options{Entity: "incident"})
		if err != nil {
			t.Fatal(err)
		}
		checkLimits(t, a)
	})
}
