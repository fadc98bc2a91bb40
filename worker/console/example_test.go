package console_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/console"
	"postlink/worker/console/api"
)

// A console over a worker that has no catalog yet. Without a token a request is refused; with one its role decides.
func Example() {
	if err := askForRules(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// health: 200
	// rules, without a token: 401
	// rules, as ann: 200
}

func askForRules() (err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "console")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := bus.StartServer(ctx, bus.ServerOptions{Dir: dir})
	if err != nil {
		return err
	}
	defer server.Shutdown()
	metrics := prometheus.NewRegistry()
	w, err := worker.New(ctx, worker.Options{NATS: bus.Options{Server: server}, Metrics: metrics, Log: zap.NewNop()})
	if err != nil {
		return err
	}
	defer w.Close()

	handler, err := console.New(console.Options{
		Worker: w, Gatherer: metrics, Metrics: metrics, Log: zap.NewNop(),
		Tokens: []console.Token{{Name: "ann", Role: console.Reader, Hash: sha256.Sum256([]byte("a secret of ann's"))}},
	})
	if err != nil {
		return err
	}
	status := func(path, token string) int {
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request) // console.Serve does it on a listener
		return answer.Code
	}
	fmt.Println("health:", status("/healthz", ""))
	fmt.Println("rules, without a token:", status(api.PathRules, ""))
	fmt.Println("rules, as ann:", status(api.PathRules, "a secret of ann's"))
	return nil
}
