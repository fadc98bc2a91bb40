package catalog_test

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
	"postlink/worker/catalog"
)

// following is a Live that runs until its test ends, with everything that it reported.
type following struct {
	*catalog.Live
	changes chan *catalog.Revision
	errors  chan error
}

func follow(t *testing.T, s *catalog.Store, poll time.Duration) *following {
	t.Helper()
	f := &following{changes: make(chan *catalog.Revision, 1000), errors: make(chan error, 1000)}
	live, err := catalog.NewLive(catalog.LiveOptions{
		Store: s, Poll: poll,
		OnChange: func(rev *catalog.Revision) { f.changes <- rev },
		OnError:  func(err error) { f.errors <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Live = live
	done := make(chan error, 1)
	ctx := t.Context()
	go func() { done <- live.Run(ctx) }()
	t.Cleanup(func() { // t.Context has ended by now
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return f
}

// until waits for the revision with that id, and expects it to be in force then.
func (f *following) until(t *testing.T, want *catalog.Revision) {
	t.Helper()
	timeout := time.NewTimer(30 * time.Second)
	defer timeout.Stop()
	for {
		select {
		case got := <-f.changes:
			if got.ID != want.ID {
				continue
			}
			if cur := f.Current(); cur.ID != want.ID || cur.Set == nil {
				t.Fatalf("reported revision %s, but %s is in force", want.ID, cur.ID)
			}
			return
		case <-timeout.C:
			t.Fatalf("revision %d (%s) never came", want.Number, want.ID)
		}
	}
}

func (f *following) untilError(t *testing.T, want string) {
	t.Helper()
	timeout := time.NewTimer(30 * time.Second)
	defer timeout.Stop()
	for {
		select {
		case err := <-f.errors:
			if strings.Contains(err.Error(), want) {
				return
			}
		case <-timeout.C:
			t.Fatalf("no error said %q", want)
		}
	}
}

func variant(n int) *catalog.Catalog {
	c := sample()
	c.Instances[1].Entities[0].Fields = []string{fmt.Sprintf("f%d", n)}
	return c
}

func TestALiveCatalogFollowsTheStore(t *testing.T) {
	t.Parallel()
	b := startBus(t)
	s := open(t, b)
	f := follow(t, open(t, b), 0)
	select {
	case <-f.Ready():
		t.Fatal("ready without a catalog")
	default:
	}
	if f.Current() != nil {
		t.Fatal("a catalog out of nothing")
	}
	first := apply(t, s, variant(1))
	<-f.Ready()
	f.until(t, first)
	for i := range 10 {
		f.until(t, apply(t, s, variant(i+2)))
	}
	late := follow(t, open(t, b), 0)
	cur, err := s.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late.until(t, cur)
}

func TestABadRevisionNeverReplacesAGoodOne(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		damage func(t *testing.T, b *bus.Bus) error
		want   string
	}{
		"its content is missing": {func(t *testing.T, b *bus.Bus) error {
			p := readPointer(t, b)
			p["id"] = strings.Repeat("1", 64)
			return putPointer(t.Context(), bucket(t, b), p, "blob", "nowhere")
		}, "object not found"},
		"its content is another": {func(t *testing.T, b *bus.Bus) error {
			return putPointer(t.Context(), bucket(t, b), readPointer(t, b), "id", strings.Repeat("1", 64))
		}, "it is damaged"},
		"it is not a pointer": {func(t *testing.T, b *bus.Bus) error {
			_, err := bucket(t, b).PutString(t.Context(), "current", "{")
			return err
		}, "read catalog revision 2"},
		"it was deleted": {func(t *testing.T, b *bus.Bus) error {
			return bucket(t, b).Delete(t.Context(), "current")
		}, "apply it again"},
		"it does not compile": {func(t *testing.T, b *bus.Bus) error {
			return forge(t, b, `{"format":1,"instances":[],"rules":[{"name":"x","when":"post.","instance":"a","entity":"b","age":1}]}`)
		}, `rule "x"`},
		"an active rule leads nowhere": {func(t *testing.T, b *bus.Bus) error {
			return forge(t, b, `{"format":1,"instances":[],"rules":[{"name":"x","active":true,"when":"true","instance":"a","entity":"b","age":1}]}`)
		}, `there is no instance "a"`},
		"a newer postlink wrote it": {func(t *testing.T, b *bus.Bus) error {
			return forge(t, b, `{"format":2,"instances":[],"policies":[]}`)
		}, "format 2 is newer"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBus(t)
			s := open(t, b)
			good := apply(t, s, sample())
			f := follow(t, open(t, b), 100*time.Millisecond)
			f.until(t, good)
			if err := tc.damage(t, b); err != nil {
				t.Fatal(err)
			}
			f.untilError(t, tc.want)
			if cur := f.Current(); cur.ID != good.ID || cur.Number != good.Number {
				t.Errorf("revision %d is in force", cur.Number)
			}
			// The way out: put the good one back by hand, or, where nothing can be read, delete the pointer first.
			if err := bucket(t, b).Delete(t.Context(), "current"); err != nil {
				t.Fatal(err)
			}
			f.until(t, apply(t, s, variant(1)))
		})
	}
}

func TestALiveCatalogSurvivesARestartOfNATS(t *testing.T) {
	t.Parallel()
	dir, address := t.TempDir(), freeAddress(t)
	start := func() *bus.Server {
		server, err := bus.StartServer(t.Context(), bus.ServerOptions{Dir: filepath.Join(dir, "js"), Listen: address, SyncInterval: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return server
	}
	server := start()
	defer func() { server.Shutdown() }()
	b := connect(t, bus.Options{URL: server.URL()})
	f := follow(t, open(t, b), time.Second)
	f.until(t, apply(t, open(t, b), variant(1)))
	for i := range 2 {
		server.Shutdown()
		if f.Current() == nil {
			t.Fatal("the catalog is gone with NATS")
		}
		server = start()
		// Another process applies while the worker may still be reconnecting.
		f.until(t, apply(t, open(t, connect(t, bus.Options{URL: server.URL()})), variant(i+2)))
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestALiveCatalogFollowsABucketThatWasMadeAnew(t *testing.T) {
	t.Parallel()
	server := bustest.Server(t)
	b := connect(t, bus.Options{Server: server})
	s := open(t, b)
	f := follow(t, open(t, b), 200*time.Millisecond)
	apply(t, s, variant(1))
	f.until(t, apply(t, s, variant(2)))

	nc, err := nats.Connect("", nats.InProcessServer(server))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(js.DeleteKeyValue(t.Context(), b.BucketName("catalog")), js.DeleteObjectStore(t.Context(), b.BucketName("catalog"))); err != nil {
		t.Fatal(err)
	}
	again := apply(t, open(t, connect(t, bus.Options{Server: server})), variant(3))
	if again.Number != 1 {
		t.Fatalf("got revision %d in a new bucket", again.Number)
	}
	f.until(t, again)
}

// forge puts content in force that no store would have committed.
func forge(t *testing.T, b *bus.Bus, document string) error {
	t.Helper()
	id, packed := pack(t, document)
	if _, err := blobs(t, b).PutBytes(t.Context(), "forged", packed); err != nil {
		return err
	}
	p := readPointer(t, b)
	p["id"] = id
	return putPointer(t.Context(), bucket(t, b), p, "blob", "forged")
}
