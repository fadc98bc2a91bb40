package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"
)

// image holds our binary and that of NATS, and nothing else.
const image = "postlink-e2e:test"

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
	os.Exit(m.Run())
}

// needDocker skips, loudly, on a machine without Docker; where POSTLINK_REQUIRE names docker it fails instead.
func needDocker(t *testing.T) *testcontainers.DockerClient {
	t.Helper()
	docker, err := testcontainers.NewDockerClientWithOpts(t.Context())
	if err == nil {
		_, err = docker.Ping(t.Context(), client.PingOptions{})
	}
	switch {
	case err == nil:
		return docker
	case strings.Contains(os.Getenv("POSTLINK_REQUIRE"), "docker"):
		t.Fatalf("Docker is required here and does not answer: %v", err)
	default:
		t.Skipf("SKIPPED, NOT TESTED: Docker does not answer: %v", err)
	}
	return nil
}

// buildImage builds the binaries and the image, once.
var buildImage = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "postlink-e2e-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for name, pkg := range map[string]string{"postlink": "postlink/cmd/postlink", "nats-server": "github.com/nats-io/nats-server/v2"} {
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, name), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	dockerfile := "FROM scratch\nCOPY postlink nats-server /\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		return err
	}
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return err
	}
	defer provider.Close()
	repo, tag, _ := strings.Cut(image, ":")
	_, err = provider.BuildImage(context.Background(), &testcontainers.ContainerRequest{
		FromDockerfile: testcontainers.FromDockerfile{Context: dir, Repo: repo, Tag: tag, KeepImage: true},
	})
	return err
})

// containers is a world of three containers on a network of their own.
type containers struct {
	docker                *testcontainers.DockerClient
	nats, sandbox, worker testcontainers.Container
}

func newContainers(t *testing.T) *containers {
	t.Helper()
	docker := needDocker(t)
	t.Cleanup(func() { _ = docker.Close() })
	must(t, buildImage())
	private, err := network.New(t.Context())
	testcontainers.CleanupNetwork(t, private)
	must(t, err)
	c := &containers{docker: docker}
	c.nats = c.run(t, private.Name, "nats", "4222/tcp", "/nats-server", "-js", "-sd", "/data", "-a", "0.0.0.0")
	c.sandbox = c.run(t, private.Name, "sandbox", "8081/tcp", "/postlink", "sandbox", "--listen", "0.0.0.0:8081", "--token", token)
	c.worker = c.run(t, private.Name, "worker", "8080/tcp", "/postlink", "serve", "--nats", "nats://nats:4222", "--listen", "127.0.0.1:8080")
	return c
}

func (c *containers) run(t *testing.T, private, name, port string, command ...string) testcontainers.Container {
	t.Helper()
	req := testcontainers.ContainerRequest{
		Image:          image,
		Entrypoint:     command,
		Env:            map[string]string{"SANDBOX_TOKEN": token},
		Networks:       []string{private},
		NetworkAliases: map[string][]string{private: {name}},
	}
	if name != "worker" { // which nobody but this test would talk to, and the test does not
		req.ExposedPorts = []string{port}
		req.WaitingFor = wait.ForListeningPort(port).SkipInternalCheck()
	}
	container, err := testcontainers.GenericContainer(t.Context(), testcontainers.GenericContainerRequest{ContainerRequest: req, Started: true})
	testcontainers.CleanupContainer(t, container)
	t.Cleanup(func() { showLogs(t, name, container) })
	must(t, err)
	return container
}

// showLogs helps to understand a scenario that failed.
func showLogs(t *testing.T, name string, c testcontainers.Container) {
	if !t.Failed() || c == nil {
		return
	}
	logs, err := c.Logs(context.Background())
	if err != nil {
		t.Logf("logs of %s: %v", name, err)
		return
	}
	defer logs.Close()
	text := make([]byte, 8<<10)
	n, _ := logs.Read(text)
	t.Logf("logs of %s:\n%s", name, text[:n])
}

func (c *containers) natsURL(t *testing.T) string { return "nats://" + endpoint(t, c.nats, "4222/tcp") }
func (c *containers) sandboxURL(t *testing.T) string {
	return "http://" + endpoint(t, c.sandbox, "8081/tcp")
}
func (c *containers) instanceURL() string { return "http://sandbox:8081" }

func endpoint(t *testing.T, c testcontainers.Container, port string) string {
	t.Helper()
	address, err := c.PortEndpoint(t.Context(), port, "")
	must(t, err)
	return address
}

func (c *containers) killWorker(t *testing.T) {
	t.Helper()
	_, err := c.docker.ContainerKill(t.Context(), c.worker.GetContainerID(), client.ContainerKillOptions{Signal: "KILL"})
	must(t, err)
	waitFor(t, "the worker's end", func() (bool, error) {
		state, err := c.worker.State(t.Context())
		return err == nil && !state.Running, err
	})
}

func (c *containers) startWorker(t *testing.T) {
	t.Helper()
	must(t, c.worker.Start(t.Context()))
}

func (c *containers) restartNATS(t *testing.T) {
	t.Helper()
	grace := 10 * time.Second
	must(t, c.nats.Stop(t.Context(), &grace))
	must(t, c.nats.Start(t.Context()))
}
