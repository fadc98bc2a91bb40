package sandbox_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postlink/dynamics/sandbox"
)

func (o *org) fault(f sandbox.Fault) {
	o.t.Helper()
	if _, err := o.AddFault(f); err != nil {
		o.t.Fatal(err)
	}
}

func TestFaultsAnswerInsteadOfTheOrganization(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  sandbox.Fault
		status int
		code   string
		header [2]string
		body   string // part of it
		made   bool   // the create took effect all the same
	}{
		"too many requests":            {sandbox.Fault{Kind: sandbox.FaultThrottleRequests, RetryAfter: 7}, 429, "0x80072322", [2]string{"Retry-After", "7"}, "limit of 6000", false},
		"too much time":                {sandbox.Fault{Kind: sandbox.FaultThrottleTime, RetryAfter: 90}, 429, "0x80072321", [2]string{"Retry-After", "90"}, "1,200,000", false},
		"too many at once":             {sandbox.Fault{Kind: sandbox.FaultThrottleConcurrency}, 429, "0x80072326", [2]string{"Retry-After", ""}, "limit of 52", false},
		"an error of the server":       {sandbox.Fault{Kind: sandbox.FaultStatus, Code: "0x80040216", Message: "An unexpected error occurred."}, 500, "0x80040216", [2]string{}, "unexpected", false},
		"any status and code":          {sandbox.Fault{Kind: sandbox.FaultStatus, Status: 400, Code: "0x80040265", Message: "no"}, 400, "0x80040265", [2]string{}, "no", false},
		"a bad gateway":                {sandbox.Fault{Kind: sandbox.FaultGateway}, 502, "", [2]string{"Content-Type", "text/html; charset=utf-8"}, "<h1>Bad Gateway", false},
		"a page of the server":         {sandbox.Fault{Kind: sandbox.FaultGateway, Status: 500}, 500, "", [2]string{"Content-Type", "text/html; charset=utf-8"}, "<h1>Internal", false},
		"an unavailable service":       {sandbox.Fault{Kind: sandbox.FaultUnavailable, RetryAfter: 3}, 503, "", [2]string{"Retry-After", "3"}, "", false},
		"a missing privilege":          {sandbox.Fault{Kind: sandbox.FaultForbidden}, 403, "0x80040220", [2]string{}, "prvCreateActivity", false},
		"a token that is refused":      {sandbox.Fault{Kind: sandbox.FaultUnauthorized}, 401, "", [2]string{"WWW-Authenticate", "Bearer authorization_uri=http://crm.test/common/oauth2/authorize, resource_id=http://crm.test/"}, "Access is denied", false},
		"a page with status 200":       {sandbox.Fault{Kind: sandbox.FaultHTML}, 200, "", [2]string{"Content-Type", "text/html; charset=utf-8"}, "<html>", false},
		"a redirect to a login page":   {sandbox.Fault{Kind: sandbox.FaultLogin}, 302, "", [2]string{"Location", "http://crm.test/common/oauth2/authorize?response_type=code"}, "<html>", false},
		"duplicate detection":          {sandbox.Fault{Kind: sandbox.FaultDuplicateDetection}, 500, "0x80040333", [2]string{}, "duplicate", false},
		"duplicate detection with 412": {sandbox.Fault{Kind: sandbox.FaultDuplicateDetection, Status: 412}, 412, "0x80040333", [2]string{}, "duplicate", false},
		"a bind that died":             {sandbox.Fault{Kind: sandbox.FaultDeadBind}, 404, "0x80040217", [2]string{}, "Does Not Exist", false},
		"a race that was lost":         {sandbox.Fault{Kind: sandbox.FaultRace}, 412, "0x80040237", [2]string{}, "", true},
		"a slow answer":                {sandbox.Fault{Kind: sandbox.FaultSlow, Delay: time.Nanosecond}, 204, "", [2]string{}, "", true},
		"another method":               {sandbox.Fault{Kind: sandbox.FaultStatus, Method: "GET"}, 204, "", [2]string{}, "", true},
		"another path":                 {sandbox.Fault{Kind: sandbox.FaultStatus, Path: "^contacts"}, 204, "", [2]string{}, "", true},
		"this method and path":         {sandbox.Fault{Kind: sandbox.FaultStatus, Method: "PATCH", Path: `^socialactivities\(`}, 500, "", [2]string{}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, sandbox.Options{})
			o.fault(tc.fault)
			r := o.do("PATCH", activity, `{"postid":"1"}`, "If-None-Match", "*")
			if r.status != tc.status || r.code() != tc.code {
				t.Fatalf("%d %q, want %d %q: %s", r.status, r.code(), tc.status, tc.code, r.body)
			}
			if got := r.header.Get(tc.header[0]); got != tc.header[1] {
				t.Errorf("%s %q, want %q", tc.header[0], got, tc.header[1])
			}
			if !strings.Contains(r.body, tc.body) {
				t.Errorf("no %q in %s", tc.body, r.body)
			}
			if made := o.Count("socialactivity") == 1; made != tc.made {
				t.Errorf("made %v, want %v", made, tc.made)
			}
		})
	}
}

func TestDroppedConnections(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		kind sandbox.FaultKind
		made int
	}{
		"after the record was made":  {sandbox.FaultDrop, 1},
		"before the record was made": {sandbox.FaultDropBefore, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, sandbox.Options{})
			server := newServer(t, o.Sandbox)
			o.fault(sandbox.Fault{Kind: tc.kind, Times: 1, Method: "PATCH"})
			if r, err := server.do("PATCH", root+activity, `{"postid":"1"}`, "If-None-Match", "*"); err == nil {
				t.Fatalf("the connection held: %d", r.status)
			}
			if got := o.Count("socialactivity"); got != tc.made {
				t.Errorf("%d records, want %d", got, tc.made)
			}
			log := o.Requests()
			if len(log) != 1 || log[0].Fault != tc.kind || log[0].Created != (tc.made == 1) {
				t.Errorf("log %+v", log)
			}
			want := map[int]int{0: 204, 1: 412}[tc.made]
			r, err := server.do("PATCH", root+activity, `{"postid":"1"}`, "If-None-Match", "*")
			if err != nil || r.status != want || o.Count("socialactivity") != 1 {
				t.Errorf("again: %v %d, want %d; %d records", err, r.status, want, o.Count("socialactivity"))
			}
		})
	}
}

func TestSlowAnswersTakeTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, sandbox.Options{})
		o.fault(sandbox.Fault{Kind: sandbox.FaultSlow, Delay: time.Minute})
		start := time.Now()
		o.must(204, "PATCH", activity, `{}`)
		if took := time.Since(start); took != time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

func TestFaultsEndAfterTheirTimes(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.fault(sandbox.Fault{Kind: sandbox.FaultGateway, Times: 2})
	o.fault(sandbox.Fault{Kind: sandbox.FaultForbidden, Times: 1})
	o.fault(sandbox.Fault{Kind: sandbox.FaultStatus, Method: "PATCH"})
	var got []int
	for range 4 {
		got = append(got, o.do("GET", "contacts", "").status)
	}
	got = append(got, o.do("PATCH", contact, "{}").status)
	o.ClearFaults()
	got = append(got, o.do("PATCH", contact, "{}").status)
	if diff := cmp.Diff([]int{502, 502, 403, 200, 500, 204}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestFaultsAreChecked(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	for name, f := range map[string]sandbox.Fault{
		"an unknown kind":       {Kind: "fire"},
		"no kind":               {},
		"a negative count":      {Kind: sandbox.FaultSlow, Times: -1},
		"an interim status":     {Kind: sandbox.FaultStatus, Status: 100},
		"a path that is broken": {Kind: sandbox.FaultSlow, Path: "("},
	} {
		if _, err := o.AddFault(f); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// Faults, writes, reads and controls at once: nothing is made twice and nothing is lost.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	server := newServer(t, o.Sandbox)
	for _, kind := range []sandbox.FaultKind{sandbox.FaultDrop, sandbox.FaultDropBefore, sandbox.FaultRace, sandbox.FaultGateway} {
		o.fault(sandbox.Fault{Kind: kind, Method: "PATCH", Times: 20})
	}
	const posts, workers = 40, 8
	id := func(i int) string {
		return "a0000000-0000-4000-8000-0000000000" + string([]byte{'0' + byte(i/10), '0' + byte(i%10)})
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range posts {
				i = (i + w*5) % posts
				body := `{"community":2,"postid":"` + id(i) + `"}`
				for { // a client retries until it knows
					r, err := server.do("PATCH", root+"socialactivities("+id(i)+")", body, "If-None-Match", "*")
					if err == nil && (r.status == http.StatusNoContent || r.status == http.StatusPreconditionFailed) {
						break
					}
				}
				_, _ = server.do("GET", root+"socialactivities?$filter=postid%20eq%20'"+id(i)+"'", "")
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			for range o.Snapshot() {
				o.Summary()
			}
		}
	})
	wg.Wait()
	created := map[string]int{}
	for _, r := range o.Requests() {
		if r.Created {
			created[r.ID]++
		}
	}
	if o.Count("socialactivity") != posts || o.Duplicates() != 0 {
		t.Errorf("%d records, %d duplicates", o.Count("socialactivity"), o.Duplicates())
	}
	for id, n := range created {
		if n > 1 {
			t.Errorf("%s was created %d times", id, n)
		}
	}
}
