package cli_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"postlink/cmd/postlink/internal/cli"
)

func TestMain(m *testing.M) {
	for _, variable := range []string{cli.ServerVariable, cli.TokenVariable, "COLUMNS"} { // of whoever runs the tests
		if err := os.Unsetenv(variable); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}
