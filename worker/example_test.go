package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"testing/fstest"
	"time"

	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/ledger"
)

// A whole process: an embedded NATS, a simulated organization, and a worker between them. A post that a rule takes becomes a
// social activity.
func Example() {
	if err := deliverOnePost(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// linked by postlink, with 1 social activity
}

func deliverOnePost() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "worker")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := bus.StartServer(ctx, bus.ServerOptions{Dir: dir})
	if err != nil {
		return err
	}
	defer server.Shutdown()
	organization, err := sandbox.New(sandbox.Options{Name: "contoso", Tokens: []string{"secret"}})
	if err != nil {
		return err
	}
	web := httptest.NewServer(organization)
	defer web.Close()
	rules, err := catalog.LoadFS(fstest.MapFS{"catalog.yaml": {Data: []byte(`
instances:
  - name: contoso
    url: https://contoso.crm.dynamics.com
    auth: {kind: static, token: {env: CONTOSO_TOKEN}}
    entities: [{name: incident}]
rules:
  - name: complaints
    when: post.sentiment == "negative"
    link: {instance: contoso, entity: incident}
`)}})
	if err != nil {
		return err
	}

	w, err := worker.New(ctx, worker.Options{
		NATS: bus.Options{Server: server}, Catalog: rules, Author: "example", Log: zap.NewNop(),
		Dial: func(i dynamics.Instance) (*dynamics.Client, error) { // without it the instance's url and auth are used
			i.URL = web.URL
			return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken("secret")})
		},
	})
	if err != nil {
		return err
	}
	defer w.Close()
	running, stop := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- w.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-stopped)
	}()

	if err := w.Posts.Publish(ctx, "twitter", []byte(post(42, "negative"))); err != nil {
		return err
	}
	entry, err := w.Ledger.Await(ctx, key(42), func(e ledger.Entry) bool { return e.Current().State == ledger.Linked })
	if err != nil {
		return err
	}
	last := entry.Current().Last()
	fmt.Printf("%s by %s, with %d social activity\n", last.State, last.By, organization.Count("socialactivity"))
	return nil
}
