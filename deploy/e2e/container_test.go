package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// needDocker skips, loudly, on a machine without Docker; where POSTLINK_REQUIRE names docker it fails instead. It returns the
// address of Docker.
func needDocker(t *testing.T) string {
	t.Helper()
	docker, err := testcontainers.NewDockerClientWithOpts(t.Context())
	if err == nil {
		defer func() { _ = docker.Close() }()
		_, err = docker.Ping(t.Context(), client.PingOptions{})
	}
	switch {
	case err == nil:
		return docker.DaemonHost()
	case strings.Contains(os.Getenv("POSTLINK_REQUIRE"), "docker"):
		t.Fatalf("Docker is required here and does not answer: %v", err)
	default:
		skip(t, fmt.Sprintf("container tests were SKIPPED: Docker does not answer: %v", err))
	}
	return ""
}

// skip skips, and writes the reason as one line to the file that POSTLINK_SKIPPED names: go test shows skips with -v only.
func skip(t *testing.T, why string) {
	t.Helper()
	why = strings.ReplaceAll(why, "\n", "; ")
	if name := os.Getenv("POSTLINK_SKIPPED"); name != "" {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
		must(t, err)
		_, err = fmt.Fprintf(f, "%s\n", why)
		must(t, errors.Join(err, f.Close()))
	}
	t.Skip(why)
}

// buildImage builds the binaries and the image, once.
var buildImage = sync.OnceValue(func() (err error) {
	dir, err := os.MkdirTemp("", "postlink-e2e-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, pkg := range map[string]string{"postlink": "postlink/cmd/postlink", "nats-server": "github.com/nats-io/nats-server/v2"} {
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, name), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return build(image, dir, "FROM scratch\nCOPY postlink nats-server /\n")
})

// build makes an image of a folder, where it writes the Dockerfile.
func build(image, dir, dockerfile string) (err error) {
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		return err
	}
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	repo, tag, _ := strings.Cut(image, ":")
	_, err = provider.BuildImage(context.Background(), &testcontainers.ContainerRequest{
		FromDockerfile: testcontainers.FromDockerfile{Context: dir, Repo: repo, Tag: tag, KeepImage: true},
	})
	return err
}

// containers is a world of containers on a network of their own: NATS, a worker, and a sandbox for each organization.
type containers struct {
	docker       *testcontainers.DockerClient
	private      *testcontainers.DockerNetwork
	nats, worker testcontainers.Container
	sandboxes    map[string]testcontainers.Container // by organization
	all          []named                             // in the order of their start
}

// named is a container with what it is called in its network.
type named struct {
	name string
	testcontainers.Container
}

func newContainers(t *testing.T) *containers {
	t.Helper()
	needDocker(t)
	c, err := openContainers(t.Context(), contoso)
	must(t, err)
	t.Cleanup(func() {
		c.showLogs(t)
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// openContainers makes a world with these organizations that lives until it is closed.
func openContainers(ctx context.Context, organizations ...string) (_ *containers, err error) {
	if err := buildImage(); err != nil {
		return nil, err
	}
	c := &containers{sandboxes: map[string]testcontainers.Container{}}
	defer func() { //nolint:contextcheck // what was opened is closed when ctx has ended, too
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.docker, err = testcontainers.NewDockerClientWithOpts(ctx); err != nil {
		return c, err
	}
	if c.private, err = network.New(ctx); err != nil {
		return c, err
	}
	if c.nats, err = c.run(ctx, "nats", "4222/tcp", wait.ForListeningPort("4222/tcp").SkipInternalCheck(), "/nats-server", "-js", "-sd", "/data", "-a", "0.0.0.0"); err != nil {
		return c, err
	}
	for _, name := range organizations {
		c.sandboxes[name], err = c.run(ctx, name, "8081/tcp", wait.ForHTTP("/_sandbox/summary"),
			"/postlink", "sandbox", "--listen", "0.0.0.0:8081", "--name", name, "--token", token)
		if err != nil {
			return c, err
		}
	}
	c.worker, err = c.run(ctx, "worker", "8080/tcp", wait.ForHTTP("/healthz"), "/postlink", "serve", "--config", "/postlink.yaml")
	return c, err
}

// workerConfig lets an administrator in from outside the container.
const workerConfig = `
listen: 0.0.0.0:8080
nats: {url: "nats://nats:4222"}
tokens: [{name: %s, role: administrator, sha256: %s}]
`

func (c *containers) run(ctx context.Context, name, port string, ready wait.Strategy, command ...string) (testcontainers.Container, error) {
	config := strings.NewReader(fmt.Sprintf(workerConfig, administratorName, administratorHash()))
	container, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{Started: true, ContainerRequest: testcontainers.ContainerRequest{
		Image:          image,
		Entrypoint:     command,
		Env:            map[string]string{"SANDBOX_TOKEN": token},
		Files:          []testcontainers.ContainerFile{{Reader: config, ContainerFilePath: "/postlink.yaml", FileMode: 0o444}},
		Networks:       []string{c.private.Name},
		NetworkAliases: map[string][]string{c.private.Name: {name}},
		ExposedPorts:   []string{port},
		WaitingFor:     ready,
	}})
	if container != nil {
		c.all = append(c.all, named{name, container})
	}
	if err != nil {
		return nil, fmt.Errorf("start container %s: %w", name, err)
	}
	return container, nil
}

func (c *containers) close() error {
	var errs []error
	for _, container := range c.all {
		errs = append(errs, testcontainers.TerminateContainer(container, testcontainers.StopTimeout(0)))
	}
	if c.private != nil {
		errs = append(errs, c.private.Remove(context.Background()))
	}
	if c.docker != nil {
		errs = append(errs, c.docker.Close())
	}
	return errors.Join(errs...)
}

// showLogs helps to understand a test that failed.
func (c *containers) showLogs(t *testing.T) {
	if !t.Failed() {
		return
	}
	for _, container := range c.all {
		logs, err := container.Logs(context.Background())
		if err != nil {
			t.Logf("logs of %s: %v", container.name, err)
			continue
		}
		text, err := io.ReadAll(logs)
		_ = logs.Close()
		t.Logf("the end of the logs of %s (%v):\n%s", container.name, err, text[max(0, len(text)-8<<10):])
	}
}

func (c *containers) natsURL(t *testing.T) string { return "nats://" + endpoint(t, c.nats, "4222/tcp") }
func (c *containers) apiURL(t *testing.T) string {
	return "http://" + endpoint(t, c.worker, "8080/tcp")
}
func (c *containers) sandboxURL(t *testing.T, name string) string {
	return "http://" + endpoint(t, c.sandboxes[name], "8081/tcp")
}
func (c *containers) instanceURL(name string) string { return "http://" + name + ":8081" }

func endpoint(t *testing.T, c testcontainers.Container, port string) string {
	t.Helper()
	address, err := c.PortEndpoint(context.WithoutCancel(t.Context()), port, "") // cleanups ask, too
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
