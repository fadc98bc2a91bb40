package ledger_test

import (
	"context"
	"errors"
	"fmt"

	"postlink/worker/bus/bustest"
	"postlink/worker/ledger"
)

// A rule decides about a post, a worker makes the record, a person removes the link and links the post anew.
func Example() {
	b, stop := bustest.Temporary()
	defer stop()
	ctx := context.Background()
	links, err := ledger.Open(ctx, b, ledger.Options{})
	if err != nil {
		panic(err)
	}

	post := ledger.Key{Network: "twitter", PostID: "567588278875213824"}
	decision := ledger.Decision{Instance: "contoso", Entity: "incident", Rule: "cancelled-flights", By: "rule cancelled-flights"}
	entry, frozen, err := links.Freeze(ctx, post, 17, decision)
	fmt.Println(entry.Current().State, frozen, err)

	_, frozen, err = links.Freeze(ctx, post, 17, decision) // the post is delivered again
	fmt.Println("decided anew:", frozen, err)

	linked, err := links.Move(ctx, entry, ledger.Step{State: ledger.Linked, By: "postlink"}, nil)
	fmt.Println(linked.Current().State, err)
	_, err = links.Move(ctx, entry, ledger.Step{State: ledger.Dead, By: "postlink"}, nil) // by a worker that was asleep
	fmt.Println("stale:", errors.Is(err, ledger.ErrStale))

	removed, err := links.Move(ctx, linked, ledger.Step{State: ledger.Removed, By: "ann", Reason: "wrong customer"}, nil)
	fmt.Println(removed.Current().State, err)
	again, err := links.Decide(ctx, removed, ledger.Decision{Instance: "contoso", Entity: "lead", By: "ann"})
	fmt.Println(again.Current().State, "generation", again.Current().Generation, err)
	// Output:
	// queued true <nil>
	// decided anew: false <nil>
	// linked <nil>
	// stale: true
	// removed <nil>
	// queued generation 2 <nil>
}
