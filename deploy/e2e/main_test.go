package e2e

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// atOnce is how many scenarios run at a time: more than there are processors, since they wait most of the time.
const atOnce = "6"

func TestMain(m *testing.M) {
	// No image can be pulled where these tests run, so the library's own helper container cannot be either; and a machine that
	// is itself a container is not the address of the containers' ports.
	for name, value := range map[string]string{"TESTCONTAINERS_RYUK_DISABLED": "true", "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1"} {
		if os.Getenv(name) == "" {
			if err := os.Setenv(name, value); err != nil {
				panic(err)
			}
		}
	}
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	for _, s := range []*shared{sharedProcess, sharedContainers} {
		if err := s.close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
