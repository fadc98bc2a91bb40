package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/console/api"
)

// rulesOf serves a catalog of so many rules, named rule-0 and so on, the newest first.
func rulesOf(t *testing.T, n int) *api.Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.PathRules, func(w http.ResponseWriter, r *http.Request) {
		from, limit := 0, 0
		_, _ = fmt.Sscan(r.URL.Query().Get("cursor"), &from)
		_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &limit)
		var page api.Page[api.Rule]
		for i := from; i < min(n, from+limit); i++ {
			page.Items = append(page.Items, api.Rule{Name: fmt.Sprintf("rule-%d", n-1-i)})
		}
		if from+limit < n {
			page.NextCursor = fmt.Sprint(from + limit)
		}
		_ = json.NewEncoder(w).Encode(page)
	})
	mux.HandleFunc("GET "+api.PathRule, func(w http.ResponseWriter, r *http.Request) {
		var i int
		if _, err := fmt.Sscanf(r.PathValue("rule"), "rule-%d", &i); err == nil && i < n {
			_ = json.NewEncoder(w).Encode(api.Rule{Name: r.PathValue("rule")})
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(api.Problem{Type: api.ProblemType + api.KindRuleUnknown, Status: http.StatusNotFound, Detail: "no"})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c, err := api.New(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAFilterByANameThatNothingHasIsAUsageError(t *testing.T) {
	t.Parallel()
	c := rulesOf(t, 5000)
	for name, test := range map[string]struct{ filter, want string }{
		"no filter":                       {"", ""},
		"a rule among the newest":         {"rule-4999", ""},
		"a rule that no list of ours has": {"rule-3", ""},
		"a rule that is near":             {"rulee-4999", `--rule: there is no rule "rulee-4999"; did you mean rule-4999?`},
		"a rule that is not":              {"weather", `--rule: there is no rule "weather"; there are: rule-4999, rule-4998, `},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := ruleFilter()
			f.name = test.filter
			err := firstUnknown(t.Context(), c, &f)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (cli.ExitCode(err) != cli.ExitUsage || !strings.HasPrefix(fmt.Sprint(err), test.want)):
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
