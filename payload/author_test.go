package payload_test

import (
	"testing"

	"postlink/payload"
)

func TestAnAuthorHasAFirstAndALastName(t *testing.T) {
	t.Parallel()
	type author = payload.Author
	tests := map[string]struct {
		author      author
		first, last string
	}{
		"two words":                             {author{FullName: "Lena Rides"}, "Lena", "Rides"},
		"many words":                            {author{FullName: " Anna  Maria\tvan der Berg "}, "Anna Maria van der", "Berg"},
		"one word":                              {author{FullName: "Prince"}, "", "Prince"},
		"an emoji at the end":                   {author{FullName: "Lena Rides 🚲"}, "Lena", "Rides"},
		"an emoji after a dot of two words":     {author{FullName: "J. R. 🚲"}, "J.", "R."},
		"emojis at the end":                     {author{FullName: "Lena Rides 🚲 ✈️🛫 ❤️"}, "Lena", "Rides"},
		"an emoji at the last word":             {author{FullName: "Lena Rides🚲"}, "Lena", "Rides"},
		"an emoji of several parts":             {author{FullName: "Lena Rides 👩🏽‍🚒"}, "Lena", "Rides"},
		"a flag":                                {author{FullName: "Lena Rides 🇦🇹"}, "Lena", "Rides"},
		"a flag of a region":                    {author{FullName: "Lena Rides 🏴󠁧󠁢󠁳󠁣󠁴󠁿"}, "Lena", "Rides"},
		"a keycap":                              {author{FullName: "Lena Rides 1️⃣"}, "Lena", "Rides"},
		"a heart of text":                       {author{FullName: "Lena Rides <3"}, "Lena Rides", "<3"},
		"a smiley of signs":                     {author{FullName: "Lena Rides :-)"}, "Lena", "Rides"},
		"a trade mark":                          {author{FullName: "Fly Fast™"}, "Fly", "Fast"},
		"an emoji between":                      {author{FullName: "Lena 🚲 Rides"}, "Lena 🚲", "Rides"},
		"an emoji before":                       {author{FullName: "🚲 Lena"}, "🚲", "Lena"},
		"a name and an emoji":                   {author{FullName: "Lena 🚲"}, "", "Lena"},
		"a number at the end":                   {author{FullName: "Station 4"}, "Station", "4"},
		"marks that belong to letters":          {author{FullName: "Ada Lovelace\u0301"}, "Ada", "Lovelace\u0301"},
		"another script":                        {author{FullName: "नमन शर्मा"}, "नमन", "शर्मा"},
		"emojis only, with a handle":            {author{FullName: "🚲🚲", Handle: "lena"}, "", "lena"},
		"emojis only, with another name":        {author{FullName: "🚲", Name: "Lena Rides @lena", Handle: "lena"}, "Lena Rides", "@lena"},
		"emojis only":                           {author{FullName: "🚲 ✈️"}, "", "🚲 ✈️"},
		"a handle":                              {author{Handle: "lena_rides", ID: "7"}, "", "lena_rides"},
		"an id":                                 {author{ID: "mse-tw://#7"}, "", "mse-tw://#7"},
		"characters that Dynamics would refuse": {author{FullName: "Lena\x00 Ri\x01des \x02"}, "Lena", "Rides"},
		"nobody":                                {author{}, "", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if first, last := tc.author.Names(); first != tc.first || last != tc.last {
				t.Errorf("%q: got %q, %q, want %q, %q", tc.author, first, last, tc.first, tc.last)
			}
		})
	}
}
