package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"postlink/dynamics"
	"postlink/dynamics/sandbox"
	"postlink/worker/catalog"
	"postlink/worker/console"
)

// sandboxToken is what the demo's instances accept; they listen on loopback only.
const sandboxToken = "demo"

// stage is where the instances of a catalog are played: a sandbox for each, behind one address. It is safe for concurrent use. An
// instance that is added to the catalog while the demo runs has no sandbox, and is answered 404.
type stage struct {
	base      string
	listener  net.Listener
	handler   http.Handler
	sandboxes []*sandbox.Sandbox

	mu     sync.Mutex
	labels map[string]map[string]string // what people call an entity, by instance and logical name
}

// newStage makes a sandbox for each instance and listens on a free port. close it, or run it, which closes it too.
func newStage(ctx context.Context, c *catalog.Catalog) (*stage, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the simulated instances: %w", err)
	}
	s := &stage{base: "http://" + listener.Addr().String(), listener: listener, labels: map[string]map[string]string{}}
	for _, i := range c.Instances {
		sb, err := sandbox.New(sandbox.Options{Name: i.Name, Tokens: []string{sandboxToken}})
		if err != nil {
			s.close()
			return nil, err
		}
		s.sandboxes = append(s.sandboxes, sb)
	}
	if s.handler, err = sandbox.NewMux(s.sandboxes...); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// dial connects an instance to its sandbox, whatever its url. Its login is not used either, so that a catalog with secrets of real
// organizations can be played where these secrets are not.
func (s *stage) dial(i dynamics.Instance) (*dynamics.Client, error) {
	i.URL = s.base + "/" + i.Name
	return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken(sandboxToken)})
}

// label is what people call the records of an entity. It is the logical name where the instance does not say. The sandbox is asked
// once for each instance, under the lock: it answers at once, and the others wait for the same answer.
func (s *stage) label(ctx context.Context, instance, entity string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, read := s.labels[instance]
	if !read {
		known = s.readLabels(ctx, instance)
		s.labels[instance] = known
	}
	if label := known[entity]; label != "" {
		return label
	}
	return entity
}

// readLabels asks an instance for the names of its record types; none when it does not answer.
func (s *stage) readLabels(ctx context.Context, instance string) map[string]string {
	client, err := s.dial(dynamics.Instance{Name: instance})
	if err != nil {
		return nil
	}
	defer client.CloseIdleConnections()
	found, err := client.Metadata(ctx)
	if err != nil {
		return nil
	}
	labels := map[string]string{}
	for _, t := range found.RecordTypes {
		labels[t.Name] = t.Label
	}
	return labels
}

// run plays until ctx ends.
func (s *stage) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, sb := range s.sandboxes {
		g.Go(func() error { return sb.Run(ctx) })
	}
	g.Go(func() error { return console.Serve(ctx, s.listener, s.handler) })
	return g.Wait()
}

// close ends listening, for a stage that is not run.
func (s *stage) close() { _ = s.listener.Close() }

// writeRecords writes every record of every sandbox, one JSON object a line. A file of that name is replaced.
func (s *stage) writeRecords(path string) (err error) {
	f, err := os.Create(filepath.Clean(path))
	if err != nil {
		return fmt.Errorf("write the records: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	enc := json.NewEncoder(f)
	enc.SetEscapeHTML(false)
	for _, sb := range s.sandboxes {
		for r := range sb.Snapshot() {
			if err := enc.Encode(r); err != nil {
				return fmt.Errorf("write the records: %w", err)
			}
		}
	}
	return nil
}
