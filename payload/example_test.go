package payload_test

import (
	"fmt"

	"postlink/payload"
)

func Example() {
	post, err := payload.DecodePost([]byte(`{"post": {
		"id": 7001, "postType": "post", "source": {"param": "Twitter"},
		"profile": {"externalHandle": "lena_rides", "displayName": "Lena Rides 🚲"},
		"content": {"text": "My new bike's\nbrakes squeal"},
		"sentiment": {"polarity": "Negative", "value": -0.46}
	}}`))
	if err != nil {
		fmt.Println(err) // names the field that is wrong, and nothing of the post
		return
	}
	activity, err := payload.Build(post, payload.Options{Entity: "incident", Notes: "Call back"})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, last := post.Author.Names()
	fmt.Printf("subject: %s\n", activity.Subject)
	fmt.Printf("contact: %s, %s\n", last, first)
	fmt.Println(activity.Additional.Text())
	fmt.Println("link:", payload.ActivityID("contoso", post.Network, post.ID, 1))
	// Output:
	// subject: My new bike's brakes squeal
	// contact: Rides, Lena
	// {"targetEntityName":"socialactivity","userPreferredTargetEntity":"incident","socialHandle":"lena_rides","profileName":"lena_rides","profilelink":"http://www.twitter.com/lena_rides","fullName":"Lena Rides 🚲","community":2,"notes":"Call back","isRetweet":false}
	// link: f770e583-c841-5d4e-885c-7184797a234d
}
