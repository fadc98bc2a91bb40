package deadletter_test

import (
	"context"
	"errors"
	"fmt"

	"postlink/worker/bus/bustest"
	"postlink/worker/deadletter"
)

// A post that cannot be decoded is buried, listed, read with its data, and dropped.
func Example() {
	b, stop := bustest.Temporary()
	defer stop()
	ctx := context.Background()
	letters, err := deadletter.Open(ctx, b, 0)
	if err != nil {
		panic(err)
	}
	err = letters.BuryPost(ctx, deadletter.Letter{
		Code: deadletter.CodeUndecodable, Reason: "the post is not JSON", PostSequence: 17, Data: []byte("hello"),
	})
	if err != nil {
		panic(err)
	}

	var found uint64
	err = letters.Backwards(ctx, deadletter.Filter{Kind: deadletter.Post}, 0, func(l deadletter.Letter) (more bool, err error) {
		fmt.Printf("@%d %s: %s\n", l.PostSequence, l.Code, l.Reason)
		found = l.Sequence
		return true, nil
	})
	if err != nil {
		panic(err)
	}
	letter, err := letters.Read(ctx, found)
	fmt.Printf("%s %v\n", letter.Data, err)

	fmt.Println("drop:", letters.Drop(ctx, found))
	fmt.Println("again:", errors.Is(letters.Drop(ctx, found), deadletter.ErrNotFound))
	// Output:
	// @17 undecodable: the post is not JSON
	// hello <nil>
	// drop: <nil>
	// again: true
}
