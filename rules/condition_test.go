package rules_test

import (
	"strings"
	"testing"
	"time"

	"postlink/payload"
	"postlink/rules"
)

func full() *payload.Post {
	return &payload.Post{
		ID: "p1", ExternalID: "x1", Type: "share", ContentType: "LINK", URL: "http://example.com/1", Title: "A Title", Text: "Some text",
		Language: "en", Network: "twitter", Sentiment: "negative", SentimentScore: -0.5, Score: &payload.Score{Reach: 3, Influence: 41.5},
		PublishedAt: time.Date(2016, 2, 29, 23, 30, 0, 0, time.UTC), AcquiredAt: time.Date(2016, 2, 29, 23, 40, 0, 0, time.UTC),
		Author:   payload.Author{ID: "a1", ExternalID: "ax", Handle: "ann", Name: "Ann @ann", FullName: "Ann A", Link: "http://example.com/ann", Location: payload.Location{Country: "AT", Region: "Tyrol", City: "Imst"}},
		Location: payload.Location{Country: "DE", Region: "Hesse", City: "Kassel"},
		Topics:   []string{"t1", "t2"}, Tags: []string{"vip"}, Origin: "page", Length: 300,
	}
}

// All these hold for full().
func TestConditionsReadEveryField(t *testing.T) {
	t.Parallel()
	for _, when := range []string{
		`post.id == "p1"`, `post.externalId == "x1"`, `post.type == "share"`, `post.contentType == "LINK"`, `post.url endsWith "/1"`,
		`post.title == "A Title"`, `post.text contains "text"`, `post.language == "en"`, `post.source == "twitter"`, `post.sentiment == "negative"`,
		`post.sentimentScore == -0.5`, `post.reach == 3`, `post.influence == 41.5`, `post.publishedAt < post.acquiredAt`,
		`post.publishedAt >= date("2016-02-29T23:30:00Z")`, `post.acquiredAt - post.publishedAt == duration("10m")`,
		`post.publishedAt.In(timezone("Europe/Berlin")).Day() == 1`, `post.publishedAt.Year() == 2016`,
		`post.author.id == "a1"`, `post.author.handle == "ann"`, `post.author.name == "Ann @ann"`, `post.author.fullName == "Ann A"`,
		`post.author.link == "http://example.com/ann"`, `post.author.country == "AT"`, `post.author.region == "Tyrol"`, `post.author.city == "Imst"`,
		`post.country == "DE"`, `post.region == "Hesse"`, `post.city == "Kassel"`, `post.topics == ["t1", "t2"]`, `"vip" in post.tags`,
		`post.origin == "page"`, `post.length == 300`, `post.isRetweet`, `!post.isPrivate`, `not post.isReply`,
		`post?.author?.handle == "ann"`, `post["text"] == "Some text"`, `post.text matches "^S.*t$"`, `post.title not contains "B"`,
		`post.topics | map(upper(#)) | any(# == "T2")`, `lower(post.title) == "a title"`, `sum(post.topics, int(trimPrefix(#, "t"))) == 3`,
		`post.mentions("some text") and post.mentions(post.author.handle, post.title)`, `count(post.topics, # startsWith "t") == 2`,
		`1 < post.reach < 5`, `post.reach in 1..5`, `(post.country ?? "") == "DE"`, `if post.isReply { false } else { true }`,
		`let m = post.title + " " + post.text; m contains "Title Some"`, `any(post.topics, any(post.tags, true) && # == "t2")`,
		`any(filter(split(post.text, " "), len(#) > 3), # == "text")`, `post.source in ["facebook", "twitter"]`, `post.sentiment in ["negative"]`,
		`min(post.reach, 7) == 3 && abs(post.sentimentScore) == 0.5 && round(post.influence) == 42`,
	} {
		m := compile(t, rule("r", when, 1)).Match(full(), time.Time{})
		if m.Rule == nil || len(m.Failed) > 0 {
			t.Errorf("%s: got %+v", when, m)
		}
	}
}

// All these hold for a post of which only the id is known.
func TestAMissingFieldIsItsZeroValue(t *testing.T) {
	t.Parallel()
	for _, when := range []string{
		`post.text == "" and post.author.name == "" and post.author.country == ""`, `post.reach == 0 && post.influence == 0 && post.length == 0`,
		`post.tags == [] && len(post.topics) == 0`, `none(post.tags, true) && all(post.topics, false)`, `not ("a" in post.tags)`,
		`post.publishedAt.IsZero() && post.acquiredAt < date("1970-01-01")`, `not post.mentions("a")`, `not post.mentions(post.title)`,
		`!(post.isReply || post.isPrivate || post.isRetweet)`, `post.sentimentScore < 0.1`, `first(post.tags) == nil`, `post.text != nil`,
		`post.mentions(post.title, "a") == false`,
	} {
		m := compile(t, rule("r", when, 1)).Match(&payload.Post{ID: "1"}, time.Time{})
		if m.Rule == nil || len(m.Failed) > 0 {
			t.Errorf("%s: got %+v", when, m)
		}
	}
}

var badConditions = map[string]struct{ when, want string }{
	"unknown field":                     {`post.sentimnt == "a"`, "1:6: unknown name post.sentimnt; did you mean sentiment?"},
	"wrong case":                        {`post.Text == ""`, "1:6: unknown name post.Text; did you mean text?"},
	"our own fields":                    {`post.work > 0`, "1:6: unknown name post.work; known here: id,"},
	"unknown field by index":            {`post["nope"] == ""`, "1:6: unknown name post.nope"},
	"unknown field of the author":       {`post.author.nick == ""`, "1:13: unknown name post.author.nick; known here: id, handle"},
	"unknown field of an optional post": {`post?.nope == ""`, "unknown name post.nope"},
	"unknown field of a text":           {`post.text.size > 1`, "1:11: unknown name size"},
	"a field without post":              {`text contains "a"`, "1:1: unknown name text; did you mean post.text?"},
	"unknown variable":                  {`foo`, "1:1: unknown name foo; conditions read the post"},
	"unknown function":                  {`foo(1)`, "1:1: unknown name foo"},
	"the environment":                   {`$env.post.text == ""`, "1:1: unknown name $env"},
	"the environment by index":          {`$env["post"]["x"] == ""`, "1:1: unknown name $env"},
	"a text":                            {`post.text`, "1:1: the condition must be true or false, this is a text"},
	"a number":                          {"\n  1 + 1", "2:3: the condition must be true or false, this is a number"},
	"nothing":                           {`nil`, "1:1: the condition must be true or false, this is a value of unknown type"},
	"a value of unknown type":           {`[1, "a"][0]`, "1:1: the condition must be true or false, this is a value of unknown type"},
	"only a comment":                    {`// nothing`, "1:11: the condition ends too early"},
	"half a condition":                  {`post.isReply &&`, "1:16: the condition ends too early; complete it"},
	"a single =":                        {`post.text = "a"`, "1:11: = does not compare; write =="},
	"an open bracket":                   {`(post.isReply`, "1:14: the condition ends too early"},
	"an open text":                      {`post.text == "a`, "literal not terminated"},
	"types that do not compare":         {`post.text == 1`, "1:11: invalid operation: == (mismatched types string and int)"},
	"text as a number":                  {`post.text > 1`, "mismatched types"},
	"a list as a text":                  {`post.tags contains "a"`, "mismatched types"},
	"upper case sentiment":              {`post.sentiment == "Negative"`, `1:19: post.sentiment is always in lower case, so it never equals "Negative"; write "negative"`},
	"upper case on the left":            {`"Twitter" != post.source`, `1:1: post.source is always in lower case`},
	"upper case in a list":              {`post.language not in ["en", "DE"]`, `1:29: post.language is always in lower case, so it never equals "DE"; write "de"`},
	"upper case optional":               {`post?.type == "Reply"`, `post.type is always in lower case`},
	"upper case part":                   {`post.source contains "Face"`, `post.source is always in lower case`},
	"the clock":                         {`post.publishedAt > now()`, "1:20: now() would decide differently on every replay"},
	"the local time":                    {`post.publishedAt.Local().Hour() == 1`, "1:18: the local time differs from worker to worker"},
	"the local time zone":               {`post.publishedAt.In(timezone("Local")).Hour() == 1`, "1:21: the local time differs"},
	"a date in local time":              {`date("2016-01-01", "2006-01-02", "Local") > post.publishedAt`, "1:1: the local time differs"},
	"a computed time zone":              {`post.publishedAt.In(timezone(post.city)).Hour() == 1`, "1:21: write the time zone itself"},
	"an unknown time zone":              {`post.publishedAt.In(timezone("Mars/Base")).Hour() == 1`, "1:21: unknown time zone Mars/Base"},
	"a bad date":                        {`post.publishedAt > date("yesterday")`, "1:20: invalid date yesterday"},
	"a bad duration":                    {`duration("5") > duration("1s")`, `1:1: time: missing unit in duration "5"`},
	"too many arguments":                {`duration("5s", "5s") > duration("1s")`, "1:1: duration() takes one text"},
	"a bad regular expression":          {`post.text matches "(a"`, "1:11: this is no regular expression: missing closing )"},
	"no keyword":                        {`post.mentions()`, "1:6: not enough arguments to call mentions"},
	"a number as a keyword":             {`post.mentions(1)`, "cannot use int as argument"},
	"an empty keyword":                  {`post.mentions("a", "")`, `1:20: the keyword "" has no word in it`},
	"a keyword of signs":                {`post.mentions("!!!")`, `1:15: the keyword "!!!" has no word in it`},
	"a keyword of an emoji":             {"post.mentions(\"❤\ufe0f\")", `has no word in it`},
	"mentions without a call":           {`post.mentions == post.mentions`, "1:6: this must be called"},
	"mentions in a variable":            {`let m = post.mentions; m("a")`, "1:14: this must be called"},
	"the post in a variable":            {`let p = post; p.nope == ""`, "p.nope"},
	"the post as a value":               {`post == post`, "1:1: this is no value to compare"},
	"the author as a value":             {`post.author == nil`, "1:6: this is no value to compare"},
	"a name in the post":                {`"nope" in post`, "1:11: this is no value to compare"},
	"a computed name":                   {`post[post.title] == ""`, "1:11: write the name of the field"},
	"a map":                             {`{"a": 1}.b == 1`, "1:1: a condition cannot make maps"},
	"a list of lists":                   {`[[1]] == [[1]]`, "1:2: a list can hold texts"},
	"lists that double":                 {`let a = [1]; let b = [a, a]; b == b`, "1:23: a list can hold texts"},
	"map to lists":                      {`len(map(post.tags, split(#, ""))) > 1`, "1:5: map() can make texts"},
	"adding what is not known":          {`let a = [post.text, 1][0]; let b = a + a; b == b`, "1:38: + needs to know"},
	"a function without an order":       {`keys(post.tags)[0] == ""`, "1:1: keys() has no fixed order"},
	"a function that grows":             {`repeat("a", 100) == ""`, "1:1: repeat() is not available; conditions test a post"},
	"reduce":                            {`reduce(post.tags, #acc + #) == ""`, "1:1: reduce() is not available"},
	"get":                               {`get(post, "nope") == ""`, "1:1: get() does not check names"},
	"three loops in each other":         {`all(post.tags, all(post.tags, all(post.tags, true)))`, "1:46: loops (all, any, filter, ...) stand more than 2 deep"},
	"three different loops":             {`any(filter(post.tags, any(post.topics, count(post.tags, true) > 1)), true)`, "loops"},
	"a pointer outside a loop":          {`# == 1`, `unexpected token Operator("#")`},
	"too many nodes":                    {strings.Repeat("1+", 6000) + "1 == 1", "exceeds maximum allowed nodes"},
	"a hidden function":                 {`post.spend(1)`, "unknown name post.spend"},
}

func TestBadConditionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range badConditions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []rules.Rule{rule("r", tc.when, 1), off(rule("r", tc.when, 1))} {
				_, err := rules.Compile([]rules.Rule{r})
				if err == nil || !strings.Contains(strings.Replace(err.Error(), `rule "r": `, "", 1), tc.want) {
					t.Errorf("%.200s\ngot %v\nwant %q", tc.when, err, tc.want)
				}
			}
		})
	}
}
