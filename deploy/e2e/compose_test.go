package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"postlink/deploy"
	"postlink/worker/console/api"
)

// The images of the compose file under names of their own, so that a test replaces nobody's.
const (
	productionImage = "postlink-e2e:production" // by the last stage of deploy/Dockerfile
	natsImage       = "postlink-e2e:nats"       // started as the public one is
)

func TestTheComposeFileServesPostsAndItsAPIToThoseWithAToken(t *testing.T) {
	t.Parallel()
	c := newComposed(t)
	line, token := c.createToken(t)
	c.addToken(t, line)
	c.compose(t, "up", "--detach", "--no-build")

	c.becomesHealthy(t) // by the image's own healthcheck
	for asked, want := range map[string]int{api.PathInstances: 401, "/metrics": 200, "/healthz": 200, "/readyz": 200} {
		if status, text := c.ask(t, "", asked); status != want {
			t.Errorf("%s without a token: status %d, want %d: %s", asked, status, want, text)
		}
	}
	if status, text := c.ask(t, token, api.PathInstances); status != 200 || !bytes.Contains(text, []byte(contoso)) {
		t.Errorf("%s with a token: status %d: %s", api.PathInstances, status, text)
	}

	publish(t, c, strings.Split(strings.TrimSpace(string(deploy.SamplePosts())), "\n")...)
	waitFor(t, "the records of the sample posts", func() (bool, error) {
		status, text := c.ask(t, token, api.PathLinks+"?state=linked&limit=100")
		var linked api.Page[api.Link]
		if status != 200 || json.Unmarshal(text, &linked) != nil {
			return false, fmt.Errorf("status %d: %s", status, text)
		}
		return len(linked.Items) > 10 && len(linked.Items) == count(t, c), nil
	})
	if _, text := c.ask(t, "", "/metrics"); !bytes.Contains(text, []byte("\npostlink_")) {
		t.Errorf("/metrics knows nothing of postlink: %.300s", text)
	}
}

func TestTheImageIsNotOpenToEverybody(t *testing.T) {
	t.Parallel()
	c := newComposed(t) // its configuration names no token yet
	compose := filepath.Join(c.dir, "compose", "postlink.yaml") + ":/etc/postlink/postlink.yaml:ro"
	kubernetes := configMap(t) + ":/etc/postlink:ro"
	for about, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"without a configuration":   {[]string{productionImage}, "/etc/postlink/postlink.yaml"},
		"with that of compose.yaml": {[]string{"--volume", compose, productionImage}, "configure tokens"},
		"with that of kubernetes":   {[]string{"--read-only", "--volume", kubernetes, productionImage}, "configure tokens"},
	} {
		out, err := c.command(t.Context(), "docker", append([]string{"run", "--rm"}, test.arguments...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), test.want) {
			t.Errorf("%s: %v, want a refusal that names %q: %s", about, err, test.want, out)
		}
	}
}

// configMap writes what the ConfigMap of kubernetes/postlink.yaml mounts into a folder.
func configMap(t *testing.T) string {
	t.Helper()
	file, err := os.Open("../kubernetes/postlink.yaml")
	must(t, err)
	defer file.Close()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755)) //nolint:gosec // the image runs as a user of its own
	for documents := yaml.NewDecoder(file); ; {
		var object struct {
			Kind string
			Data map[string]string
		}
		must(t, documents.Decode(&object))
		if object.Kind != "ConfigMap" {
			continue
		}
		for name, text := range object.Data {
			must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)) //nolint:gosec // likewise
		}
		return dir
	}
}

// composed is the compose file as a project of its own, on ports that are free.
type composed struct {
	host    string // of Docker, as the containers of the other tests find it
	dir     string // a copy of what the compose file needs of deploy
	project string
	ports   map[string]string // by service, as far as somebody asked
}

func newComposed(t *testing.T) *composed {
	t.Helper()
	docker := needDocker(t)
	needCompose(t)
	must(t, buildProduction())
	c := &composed{
		host: docker, dir: t.TempDir(), ports: map[string]string{},
		project: fmt.Sprintf("postlink-e2e-%d-%d", os.Getpid(), time.Now().UnixNano()),
	}
	must(t, os.CopyFS(filepath.Join(c.dir, "compose"), os.DirFS("../compose")))
	text, err := os.ReadFile("../compose.yaml")
	must(t, err)
	for _, change := range [][2]string{
		{"image: postlink\n", "image: " + productionImage + "\n"},
		{"image: nats:2\n", "image: " + natsImage + "\n"},
		{"127.0.0.1:4222:4222", "127.0.0.1::4222"},
		{"127.0.0.1:8080:8080", "127.0.0.1::8080"},
		{"127.0.0.1:8081:8081", "127.0.0.1::8081"},
	} {
		if !bytes.Contains(text, []byte(change[0])) {
			t.Fatalf("compose.yaml does not say %q", change[0])
		}
		text = bytes.ReplaceAll(text, []byte(change[0]), []byte(change[1]))
	}
	must(t, os.WriteFile(filepath.Join(c.dir, "compose.yaml"), text, 0o600))
	t.Cleanup(func() {
		if t.Failed() {
			logs, err := c.inProject(context.Background(), "logs", "--no-color", "--tail", "50").CombinedOutput()
			t.Logf("the end of the logs (%v):\n%s", err, logs)
		}
		if out, err := c.inProject(context.Background(), "down", "--volumes", "--timeout", "0").CombinedOutput(); err != nil {
			t.Errorf("take down %s: %v: %s", c.project, err, out)
		}
	})
	return c
}

// needCompose skips, loudly, on a machine without Docker Compose; where POSTLINK_REQUIRE names docker it fails instead.
func needCompose(t *testing.T) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), composeCommand()[0], append(composeCommand()[1:], "version")...).CombinedOutput()
	switch {
	case err == nil:
	case strings.Contains(os.Getenv("POSTLINK_REQUIRE"), "docker"):
		t.Fatalf("Docker Compose is required here and does not answer: %v: %s", err, out)
	default:
		skip(t, fmt.Sprintf("tests of compose.yaml were SKIPPED: Docker Compose does not answer: %v", err))
	}
}

// composeCommand is docker-compose where there is one, else the plugin of docker.
func composeCommand() []string {
	if _, err := exec.LookPath("docker-compose"); err == nil {
		return []string{"docker-compose"}
	}
	return []string{"docker", "compose"}
}

// command is one of Docker's, for the host that the other tests use.
func (c *composed) command(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+c.host)
	return cmd
}

// inProject is a command of Docker Compose.
func (c *composed) inProject(ctx context.Context, arguments ...string) *exec.Cmd {
	all := slices.Concat(composeCommand(), []string{"-p", c.project, "-f", filepath.Join(c.dir, "compose.yaml")}, arguments)
	return c.command(ctx, all[0], all[1:]...)
}

// compose runs a command of Docker Compose and returns what it prints.
func (c *composed) compose(t *testing.T, arguments ...string) string {
	t.Helper()
	cmd := c.inProject(t.Context(), arguments...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker compose %v: %v: %s", arguments, err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

func (c *composed) natsURL(t *testing.T) string { return "nats://" + c.port(t, "nats", "4222") }
func (c *composed) apiURL(t *testing.T) string  { return "http://" + c.port(t, "postlink", "8080") }
func (c *composed) sandboxURL(t *testing.T, _ string) string {
	return "http://" + c.port(t, "sandbox", "8081")
}

// port is the address at which a service's port is published.
func (c *composed) port(t *testing.T, service, port string) string {
	t.Helper()
	if c.ports[service] == "" {
		c.ports[service] = c.compose(t, "port", service, port)
	}
	return c.ports[service]
}

// addToken adds a line to the end of the configuration, as the compose file says.
func (c *composed) addToken(t *testing.T, line string) {
	t.Helper()
	file := filepath.Join(c.dir, "compose", "postlink.yaml")
	text, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, append(text, line+"\n"...), 0o600))
}

// createToken lets the image make a token and its line for the configuration.
func (c *composed) createToken(t *testing.T) (line, token string) {
	t.Helper()
	out, err := c.command(t.Context(), "docker", "run", "--rm", productionImage,
		"token", "create", "--role", "administrator", "--name", "ops").Output()
	must(t, err)
	printed := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if len(printed) != 2 {
		t.Fatalf("token create printed %q", out)
	}
	return printed[1], printed[0]
}

func (c *composed) becomesHealthy(t *testing.T) {
	t.Helper()
	id := c.compose(t, "ps", "-q", "postlink")
	waitFor(t, "a healthy container", func() (bool, error) {
		state, err := c.command(t.Context(), "docker", "inspect", "--format", "{{.State.Health.Status}}", id).CombinedOutput()
		if err != nil {
			return false, fmt.Errorf("%w: %s", err, state)
		}
		return strings.TrimSpace(string(state)) == "healthy", fmt.Errorf("it is %s", state)
	})
}

// ask asks the worker for a page, with that token unless it is empty.
func (c *composed) ask(t *testing.T, token, path string) (int, []byte) {
	t.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return site{t: t}.send(header, http.MethodGet, c.apiURL(t)+path, nil)
}

// buildProduction builds the images that the compose file names, once. Nothing can be pulled here, so the stage that compiles
// is replaced by what it would have left.
var buildProduction = sync.OnceValue(func() (err error) {
	if err := buildImage(); err != nil {
		return err
	}
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "postlink-e2e-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, d := range []string{"etc/ssl/certs", "out/tmp", "out/var/lib/postlink"} {
		if err := os.MkdirAll(filepath.Join(dir, "built", d), 0o755); err != nil { //nolint:gosec // as in the image
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "built", "etc", "ssl", "certs", "ca-certificates.crt"), nil, 0o600); err != nil {
		return err
	}
	last := dockerfile[bytes.LastIndex(dockerfile, []byte("\nFROM "))+1:]
	built := "FROM scratch AS build\nCOPY --from=" + image + " /postlink /out/postlink\nCOPY built /\n"
	return errors.Join(
		build(productionImage, dir, built+string(last)),
		build(natsImage, dir, "FROM "+image+"\nENTRYPOINT [\"/nats-server\"]\n"),
	)
})
