package event_test

import (
	"context"
	"fmt"
	"time"

	"postlink/worker/bus/bustest"
	"postlink/worker/event"
	"postlink/worker/ledger"
)

// Each change of a link is published and followed. A second publication of the same change is dropped.
func Example() {
	b, stop := bustest.Temporary()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	links, err := ledger.Open(ctx, b, ledger.Options{})
	if err != nil {
		panic(err)
	}
	events, err := event.Open(ctx, b, 0)
	if err != nil {
		panic(err)
	}
	post := ledger.Key{Network: "twitter", PostID: "42"}
	entry, _, err := links.Freeze(ctx, post, 17, ledger.Decision{Instance: "contoso", Entity: "incident", By: "rule complaints"})
	if err != nil {
		panic(err)
	}
	for range 2 { // a crash makes a worker publish again
		if err := events.Publish(ctx, event.Of(entry, "")); err != nil {
			panic(err)
		}
	}
	entry, err = links.Move(ctx, entry, ledger.Step{State: ledger.Linked, By: "postlink"}, nil)
	if err != nil {
		panic(err)
	}
	if err := events.Publish(ctx, event.Of(entry, "https://contoso.crm.dynamics.com/main.aspx")); err != nil {
		panic(err)
	}

	err = events.Follow(ctx, 0, func(e event.Event) error {
		fmt.Println(e.Sequence, e.Post, e.State, "by", e.By)
		if e.State == ledger.Linked {
			cancel()
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// 1 twitter/42 queued by rule complaints
	// 2 twitter/42 linked by postlink
	// <nil>
}
