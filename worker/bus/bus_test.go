package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
	"postlink/worker/bus/bustest"
)

// occupyDir makes this test binary a process that holds a data directory until it is killed.
const occupyDir = "BUS_TEST_OCCUPY"

func TestMain(m *testing.M) {
	if dir := os.Getenv(occupyDir); dir != "" {
		if _, err := bus.StartServer(context.Background(), bus.ServerOptions{Dir: dir}); err != nil {
			fmt.Fprintln(os.Stdout, err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, "up")
		select {}
	}
	bustest.Main(m)
}

// start runs an embedded server for a test. It does not sync each write, since no test cuts the power.
func start(t *testing.T, opts bus.ServerOptions) *bus.Server {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	opts.SyncInterval = time.Minute
	s, err := bus.StartServer(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func connect(t *testing.T, opts bus.Options) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func open(t *testing.T) *bus.Bus {
	t.Helper()
	return connect(t, bus.Options{Server: start(t, bus.ServerOptions{})})
}

// line is an address that stays the same while the server behind it goes away and comes back.
type line struct {
	t        *testing.T
	dir      string
	listener net.Listener
	server   atomic.Pointer[bus.Server]
	conns    sync.WaitGroup
}

func newLine(t *testing.T) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{t: t, dir: t.TempDir(), listener: listener}
	l.up()
	l.conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.conns.Go(func() { l.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		if s := l.server.Load(); s != nil {
			s.Shutdown()
		}
		l.conns.Wait()
	})
	return l
}

func (l *line) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	s := l.server.Load()
	if s == nil {
		return
	}
	inside, err := s.InProcessConn()
	if err != nil {
		return
	}
	l.conns.Go(func() {
		_, _ = io.Copy(inside, conn)
		_ = inside.Close()
	})
	_, _ = io.Copy(conn, inside)
}

func (l *line) url() string { return "nats://" + l.listener.Addr().String() }

func (l *line) down() { l.server.Swap(nil).Shutdown() }

func (l *line) up() {
	l.t.Helper()
	s, err := bus.StartServer(l.t.Context(), bus.ServerOptions{Dir: l.dir, SyncInterval: time.Minute})
	if err != nil {
		l.t.Fatal(err)
	}
	l.server.Store(s)
}

// another is the connection of another application to the same server.
func another(t *testing.T, s *bus.Server) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// declare makes a stream of the bus that takes NAME.>, and returns its name.
func declare(t *testing.T, b *bus.Bus, what string) string {
	t.Helper()
	name := b.StreamName(what)
	if err := b.DeclareStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{b.Subject(what, ">")}}); err != nil {
		t.Fatal(err)
	}
	return name
}

func publish(t *testing.T, b *bus.Bus, subject string, data ...string) {
	t.Helper()
	for _, d := range data {
		if err := b.Publish(t.Context(), &nats.Msg{Subject: subject, Data: []byte(d)}, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !so() {
		if !bus.Sleep(ctx, 5*time.Millisecond) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestWrongOptionsAreRefusedWithWhatToDo(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	missing := filepath.Join(t.TempDir(), "none.creds")
	tests := map[string]struct {
		opts bus.Options
		want string
	}{
		"neither a server nor a url": {bus.Options{}, "either an embedded server or a NATS url is needed"},
		"both":                       {bus.Options{Server: server, URL: "nats://127.0.0.1:4222"}, "either an embedded server"},
		"a namespace with a dot":     {bus.Options{Server: server, Namespace: "a.b"}, `namespace "a.b": write up to 32 lower case letters`},
		"a namespace in capitals":    {bus.Options{Server: server, Namespace: "POSTLINK"}, "lower case letters"},
		"too many replicas":          {bus.Options{Server: server, Replicas: 7}, "7 replicas: NATS keeps 1 to 5"},
		"credentials that are not there": {
			bus.Options{URL: "nats://127.0.0.1:4222", Credentials: missing}, missing,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bus.Connect(t.Context(), test.opts)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
			if errors.Is(err, bus.ErrUnreachable) {
				t.Errorf("%v reads as if it went away by waiting", err)
			}
		})
	}
}

func TestANATSThatIsAwayIsUnreachableAndItsPasswordStaysSecret(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{Listen: "127.0.0.1:0"})
	url := strings.Replace(server.URL(), "nats://", "nats://ann:geheim@", 1)
	server.Shutdown()
	tests := map[string]string{
		"nobody listens": url,
		"no such host":   "nats://ann:geheim@nats.invalid:4222",
		"two of them":    url + "," + url,
	}
	for name, url := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bus.Connect(t.Context(), bus.Options{URL: url})
			if !errors.Is(err, bus.ErrUnreachable) {
				t.Fatalf("error %v", err)
			}
			if strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), "ann") {
				t.Errorf("the error names the server wrongly: %v", err)
			}
		})
	}
}

func TestTwoPostlinksShareAnAccountByNamespace(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	a := connect(t, bus.Options{Server: server, Namespace: "a"})
	z := connect(t, bus.Options{Server: server, Namespace: "z-9"})
	publish(t, a, a.Subject(declareIn(t, a), "x"), "1", "2")
	publish(t, z, z.Subject(declareIn(t, z), "x"), "1")
	for b, want := range map[*bus.Bus]uint64{a: 2, z: 1} {
		if held, err := b.Held(t.Context(), b.StreamName("THINGS")); err != nil || held.Messages != want {
			t.Errorf("%s holds %d, want %d; error %v", b.StreamName("THINGS"), held.Messages, want, err)
		}
	}
}

func declareIn(t *testing.T, b *bus.Bus) string {
	t.Helper()
	declare(t, b, "THINGS")
	return "THINGS"
}

func TestTokensFitIntoSubjects(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "-", "contoso": "contoso", "a.b c*d>e\tf": "a-b-c-d-e-f", "日本": "日本"} {
		if got := bus.Token(text); got != want {
			t.Errorf("token of %q is %q, want %q", text, got, want)
		}
	}
}
