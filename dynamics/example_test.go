package dynamics_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/payload"
)

// A simulated organization takes a post, turns it into a case, and shows the case.
func Example() {
	organization, err := sandbox.New(sandbox.Options{Name: "contoso", Tokens: []string{"secret"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(organization)
	defer server.Close()

	client, err := dynamics.New(dynamics.Options{
		Instance: dynamics.Instance{Name: "contoso", URL: server.URL},
		Tokens:   dynamics.StaticToken("secret"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()

	activity := dynamics.Activity{
		ID:      payload.ActivityID("contoso", "twitter", "42", 1),
		Network: "twitter",
		SocialActivity: payload.SocialActivity{
			Community:  2,
			Subject:    "Flight cancelled",
			PostID:     "42",
			Author:     payload.Author{ID: "7", Handle: "ada", FullName: "Ada Lovelace"},
			Additional: payload.AdditionalParameters{TargetEntityName: "socialactivity", UserPreferredTargetEntity: "incident", Community: 2},
		},
	}
	ctx := context.Background()
	for range 2 { // a repetition makes no second record
		if err := client.Create(ctx, activity); err != nil {
			fmt.Println(err)
			return
		}
	}
	details, err := client.Details(ctx, dynamics.Query{
		Activity: activity.ID,
		Fields:   func(string) []string { return []string{"title", "statuscode", "customerid", "slaname"} },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(details.Label, organization.Count("incident"))
	for _, f := range details.Fields {
		fmt.Printf("%s: %q, missing: %v\n", f.Label, f.Value, f.Missing)
	}
	// Output:
	// Case 1
	// Case Title: "Flight cancelled", missing: false
	// Status Reason: "In Progress", missing: false
	// Customer: "Ada Lovelace", missing: false
	// slaname: "", missing: true
}
