package sandbox_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"postlink/dynamics/sandbox"
)

// A test plays an organization, makes it fail once, and reads afterwards what was really asked and made.
func Example() {
	organization, err := sandbox.New(sandbox.Options{Name: "contoso", Tokens: []string{"secret"}})
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(organization)
	defer server.Close()

	// The next create takes effect, but its answer is lost.
	if _, err := organization.AddFault(sandbox.Fault{Kind: sandbox.FaultDrop, Method: http.MethodPatch, Times: 1}); err != nil {
		panic(err)
	}
	for range 2 { // the client does not know what became of it, and tries again
		request, err := http.NewRequest(http.MethodPatch,
			server.URL+"/api/data/v9.2/socialactivities(a0000000-0000-4000-8000-000000000001)", strings.NewReader(`{"postid":"42"}`))
		if err != nil {
			panic(err)
		}
		request.Header.Set("Authorization", "Bearer secret")
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("If-None-Match", "*") // create only
		if answer, err := http.DefaultClient.Do(request); err == nil {
			_ = answer.Body.Close()
		}
	}
	for _, r := range organization.Requests() {
		fmt.Printf("%s %s: status %d, created %t, fault %q\n", r.Method, r.Table, r.Status, r.Created, r.Fault)
	}
	fmt.Println(organization.Count("socialactivity"), "record,", organization.Duplicates(), "duplicates")
	// Output:
	// PATCH socialactivity: status 204, created true, fault "drop"
	// PATCH socialactivity: status 412, created false, fault ""
	// 1 record, 0 duplicates
}
