package worker

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"postlink/worker/bus"
	"postlink/worker/ledger"
)

// Headers of what waits in outboxes and of dead letters.
const (
	headerPost       = "Postlink-Post"       // the ledger key of the post, encoded
	headerGeneration = "Postlink-Generation" // which link of the post
	headerReason     = "Postlink-Reason"     // why it is dead, for people
	headerSequence   = "Postlink-Sequence"   // of the post in the posts stream
	headerStack      = "Postlink-Stack"      // of a crash
)

// maxReason bounds what a header tells of an error, in bytes.
const maxReason = 2000

// postLetter is the id of the dead letter of a post.
func postLetter(sequence uint64) string { return fmt.Sprintf("post-%d", sequence) }

// buryPost keeps a post that cannot be handled: its original bytes, where it stood in the posts stream (0 if it did not), and
// why. Two letters of one id, minutes apart at most, are one.
func buryPost(ctx context.Context, b *bus.Bus, id string, sequence uint64, data []byte, reason, stack string) error {
	header := nats.Header{headerReason: {headerText(reason)}}
	if sequence != 0 {
		header.Set(headerSequence, fmt.Sprint(sequence))
	}
	if stack != "" {
		header.Set(headerStack, headerText(stack))
	}
	return b.PublishDead(ctx, "post", id, header, data)
}

// buryLink keeps the post of a dead link, so that the link can be made again after the posts stream has forgotten it.
func buryLink(ctx context.Context, b *bus.Bus, entry ledger.Entry, data []byte) error {
	link := entry.Current()
	return b.PublishDead(ctx, "link."+link.Instance, link.ID.String(), nats.Header{
		headerReason:     {headerText(link.Reason())},
		headerSequence:   {fmt.Sprint(entry.Sequence)},
		headerPost:       {entry.Post.Encode()},
		headerGeneration: {fmt.Sprint(link.Generation)},
	}, data)
}

// headerText makes any text fit for a header value: one line, bounded.
func headerText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "")
	}
	return strings.TrimSpace(s)
}
