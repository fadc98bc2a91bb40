package posts_test

import (
	"context"
	"fmt"
	"time"

	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/posts"
)

// Posts are published, read by their sequence, and taken until none is left.
func Example() {
	b, stop := bustest.Temporary()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := posts.Open(ctx, b, posts.Options{Remembered: 400 * bus.Day})
	if err != nil {
		panic(err)
	}
	for _, post := range []string{`{"post": {"id": 1}}`, `{"post": {"id": 2}}`} {
		if err := stream.Publish(ctx, "twitter", []byte(post)); err != nil {
			panic(err)
		}
	}
	second, err := stream.Read(ctx, 2)
	fmt.Println(second.Subject, string(second.Data), err)
	left, err := stream.Backlog(ctx)
	fmt.Println("posts wait:", left > 0, err) // 2, or 1 while the server still counts

	taken := make(chan uint64, 2)
	stream.Take(ctx, bus.Consumption{Slots: 1, Drain: time.Second}, func(_ context.Context, d bus.Delivery) bus.Settlement {
		taken <- d.Sequence
		if len(taken) == cap(taken) {
			cancel() // all that there are
		}
		return bus.Ack()
	})
	close(taken)
	fmt.Println("taken:", <-taken, <-taken)
	// Output:
	// posts.twitter {"post": {"id": 2}} <nil>
	// posts wait: true <nil>
	// taken: 1 2
}
