package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"postlink/worker/console/api"
)

// A client reads a list page by page and branches on the kind of a refusal.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(api.Problem{Type: api.ProblemType + api.KindAlreadyLinked, Detail: "post 17 is linked already"})
			return
		}
		_ = json.NewEncoder(w).Encode(api.Page[api.Link]{Items: []api.Link{{PostID: "17", State: "linked", Entity: "incident"}}})
	}))
	defer server.Close()

	ctx := context.Background()
	client, err := api.New(server.URL, "secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	for page, err := range api.Pages[api.Link](ctx, client, api.PathLinks, url.Values{"state": {"linked"}}, 0) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, link := range page.Items {
			fmt.Println("post", link.PostID, "is", link.State, "as", link.Entity)
		}
	}

	_, _, err = api.Send[api.Link](ctx, client, api.Request{Method: http.MethodPost, Path: api.PathLinks, Body: api.NewLink{Post: "17"}})
	var problem *api.Problem
	if errors.As(err, &problem) && problem.Kind() == api.KindAlreadyLinked {
		fmt.Println("refused:", problem.Detail)
	}
	// Output:
	// post 17 is linked as incident
	// refused: post 17 is linked already
}
