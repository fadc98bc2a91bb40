package main

import (
	"fmt"
	"strings"
	"time"

	"postlink/worker/console/api"
)

// when is a time as the clock on the wall shows it; empty for none. JSON has it as the API sent it.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

// yes is a boolean in a table; false is left empty.
func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}

// postOf names the post of a link, in a way that works as long as the link is known.
func postOf(l api.Link) string { return postName(l.Network, l.PostID) }

// postName is the name of a post that commands take: network/id.
func postName(network, id string) string {
	if network == "" {
		return id
	}
	return network + "/" + id
}

// atSequence is the name of a post by its place in the stream, as in @17; empty when it has none.
func atSequence(sequence uint64) string {
	if sequence == 0 {
		return ""
	}
	return fmt.Sprintf("@%d", sequence)
}

// many is a number with its noun: 1 link, 2 links, 2 entities. The noun is English and regular.
func many(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
