package desk_test

import (
	"context"
	"errors"
	"fmt"

	"postlink/worker/desk"
)

// A person links a post, and looks at the record when it is there. What cannot be done is a refusal with a kind, and a text
// for the person.
func Example() {
	link := func(ctx context.Context, d *desk.Desk) error {
		entry, err := d.Links.Link(ctx, desk.Request{Post: "twitter/17", Entity: "incident", Notes: "call back", By: "ann"})
		if refusal, ok := errors.AsType[*desk.Refusal](err); ok && refusal.Kind == desk.RefusedAlreadyLinked {
			entry = *refusal.Entry
		} else if err != nil {
			return err
		}
		fmt.Println("link", entry.Current().ID, "is", entry.Current().State)
		details, err := d.Links.Details(ctx, entry.Post.PathName())
		if err != nil {
			return err // such as still-queued, while the link waits to be delivered
		}
		for _, field := range details.Record.Fields {
			fmt.Println(field.Label, field.Value)
		}
		return nil
	}
	_ = link
}
