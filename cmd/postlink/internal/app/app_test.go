package app_test

import (
	"strings"
	"testing"

	"postlink/cmd/postlink/internal/app"
	"postlink/worker/console"
)

func TestWithoutTokensOnlyThisMachineIsServed(t *testing.T) {
	t.Parallel()
	tokens := []console.Token{{Name: "ann"}}
	for name, test := range map[string]struct {
		listen  string
		tokens  []console.Token
		refused bool
	}{
		"loopback":                    {"127.0.0.1:8080", nil, false},
		"its other addresses":         {"127.1.2.3:0", nil, false},
		"loopback of IPv6":            {"[::1]:8080", nil, false},
		"its name":                    {"localhost:8080", nil, false},
		"every address":               {"0.0.0.0:8080", nil, true},
		"every address, left out":     {":8080", nil, true},
		"every address of IPv6":       {"[::]:8080", nil, true},
		"a name of the network":       {"postlink.example:8080", nil, true},
		"no address":                  {"nowhere", nil, true},
		"every address, but a token":  {"0.0.0.0:8080", tokens, false},
		"a name, but a token":         {"postlink.example:8080", tokens, false},
		"a name that begins as local": {"localhost.example:8080", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := app.CheckListen(test.listen, test.tokens)
			if (err != nil) != test.refused {
				t.Fatalf("%v, want refused: %v", err, test.refused)
			}
			if err != nil && !strings.Contains(err.Error(), "configure tokens, or listen on 127.0.0.1") {
				t.Errorf("it does not say what to do: %v", err)
			}
		})
	}
}
