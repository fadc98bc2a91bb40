package outbox_test

import (
	"context"
	"fmt"
	"time"

	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/ledger"
	"postlink/worker/outbox"
)

// A link is decided, waits in the outbox of its instance, and is taken from there.
func Example() {
	b, stop := bustest.Temporary()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	links, err := ledger.Open(ctx, b, ledger.Options{})
	if err != nil {
		panic(err)
	}
	post := ledger.Key{Network: "twitter", PostID: "42"}
	entry, _, err := links.Freeze(ctx, post, 17, ledger.Decision{Instance: "contoso", Entity: "incident", By: "rule complaints"})
	if err != nil {
		panic(err)
	}

	outboxes := outbox.New(b, 0)
	if err := outboxes.Put(ctx, entry, []byte(`{"post": {"id": 42}}`)); err != nil {
		panic(err) // outbox.ErrFull: too many links wait for the instance
	}
	waiting, err := outboxes.Waiting(ctx, "contoso")
	fmt.Println(waiting.Messages, "link waits", err)

	outboxes.Take(ctx, "contoso", bus.Consumption{Slots: 1, Drain: time.Second}, func(_ context.Context, d bus.Delivery) bus.Settlement {
		taken, err := outbox.Read(d.Message)
		fmt.Println("post", taken.Post, "generation", taken.Generation, "as", taken.Decision.Entity, err)
		cancel() // one is enough here
		return bus.Ack()
	})
	// Output:
	// 1 link waits <nil>
	// post twitter/42 generation 1 as incident <nil>
}
