package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"postlink/rules/source"
	"postlink/worker/bus"
	"postlink/worker/console"
)

// Load reads a configuration file. What is wrong with it comes as source.Problems; any other error is of the file itself.
func Load(path string) (Config, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Config{}, fmt.Errorf("there is no configuration file %s; name it with --config, or leave the flag out for the defaults", path)
	case err != nil:
		return Config{}, fmt.Errorf("read the configuration: %w; name a YAML file with --config", err)
	}
	return Read(path, data)
}

// Read reads the text of a configuration file; name is what problems call it. The Config is to be used only when there is no error.
func Read(name string, data []byte) (Config, error) {
	c := Default()
	if onlyComments(string(data)) {
		return c, nil
	}
	var problems source.Problems
	root, ok := source.Parse(name, data, &problems)
	if ok {
		c.read(root)
	}
	return c, problems.Err()
}

// onlyComments reports whether a file says nothing. For YAML that is no document at all, which source.Parse reports.
func onlyComments(text string) bool {
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		if line = strings.TrimSpace(line); line != "" && line != "---" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// read takes every key of the file. It is one list, in the order of Reference.
func (c *Config) read(root source.Node) {
	top := root.Fields("listen", "console", "nats", "data", "posts", "ledger", "dead", "outbox", "delivery", "log", "tokens")
	address(top, "listen", &c.Listen)

	f := fields(top, "console", "url")
	webAddress(f, "url", &c.ConsoleURL)

	f = fields(top, "nats", "url", "credentials", "tls", "replicas", "namespace")
	text(f, "url", &c.NATS.URL)
	text(f, "credentials", &c.NATS.Credentials)
	text(f, "namespace", &c.NATS.Namespace)
	c.readReplicas(f)
	f = fields(f, "tls", "ca", "cert", "key")
	text(f, "ca", &c.NATS.TLS.CA)
	text(f, "cert", &c.NATS.TLS.Cert)
	text(f, "key", &c.NATS.TLS.Key)

	f = fields(top, "data", "dir", "listen", "sync")
	text(f, "dir", &c.Data.Dir)
	address(f, "listen", &c.Data.Listen)
	duration(f, "sync", &c.Data.Sync)

	f = fields(top, "posts", "stream", "subjects", "max_age", "max_bytes")
	text(f, "stream", &c.Posts.Stream)
	for _, subject := range f["subjects"].Items() {
		c.Posts.Subjects = append(c.Posts.Subjects, subject.Text())
	}
	duration(f, "max_age", &c.Posts.MaxAge)
	count(f, "max_bytes", &c.Posts.MaxBytes, math.MaxInt64)

	duration(fields(top, "ledger", "max_age"), "max_age", &c.LedgerAge)
	duration(fields(top, "dead", "max_age"), "max_age", &c.DeadAge)
	count(fields(top, "outbox", "max_entries"), "max_entries", &c.OutboxEntries, math.MaxInt64)

	f = fields(top, "delivery", "slots", "max_age")
	count(f, "slots", &c.DeliverySlots, 1000)
	duration(f, "max_age", &c.DeliveryAge)

	word(fields(top, "log", "level"), "level", &c.LogLevel, "debug", "info", "warn", "error")
	c.readTokens(top["tokens"])
}

// readReplicas refuses more than one copy in the embedded server, which is no cluster. It is read after the url, which decides that.
func (c *Config) readReplicas(f map[string]source.Node) {
	count(f, "replicas", &c.NATS.Replicas, 5)
	if n, given := f["replicas"]; given && c.NATS.Replicas > 1 && c.NATS.URL == "" {
		n.Report("the NATS server that postlink runs keeps one copy; name a cluster in nats.url, or write 1")
	}
}

// readTokens reads the tokens. Messages about a token never show its line: people write the token itself there by mistake. An entry
// with a mistake is left out, and the others are read, so that all mistakes are named.
func (c *Config) readTokens(list source.Node) {
	if empty(list) {
		return
	}
	for _, item := range list.Items() {
		f := item.Fields("name", "role", "sha256")
		var missing []string
		for _, key := range []string{"name", "role", "sha256"} {
			if _, given := f[key]; !given {
				missing = append(missing, key)
			}
		}
		if len(missing) > 0 {
			item.Report("a token needs %s; postlink token create prints a whole entry", strings.Join(missing, " and "))
			continue
		}
		name, role, hash := f["name"].Text(), f["role"].Text(), f["sha256"].Scalar()
		if name == "" || role == "" {
			if f["name"].Scalar() == "" || f["role"].Scalar() == "" { // any other value was reported by Text
				item.Report("a token needs a name and a role; postlink token create prints a whole entry")
			}
			continue
		}
		token, err := console.ParseToken(name, role, hash)
		if err != nil {
			item.Add(source.Problem{Pos: item.Pos(), Message: err.Error()}) // without the line: the token itself may stand in it
			continue
		}
		if slices.ContainsFunc(c.Tokens, func(t console.Token) bool { return t.Hash == token.Hash }) {
			item.Report("this token is given twice; make one for each person with: postlink token create")
			continue
		}
		if slices.ContainsFunc(c.Tokens, func(t console.Token) bool { return t.Name == token.Name }) {
			item.Report("two tokens are named %s; give each its own name", token.Name)
			continue
		}
		c.Tokens = append(c.Tokens, token)
	}
}

// fields are those of a section; none when it is left out or empty, as where all its keys are comments.
func fields(of map[string]source.Node, key string, known ...string) map[string]source.Node {
	n, given := of[key]
	if !given || empty(n) {
		return nil
	}
	return n.Fields(known...)
}

// empty reports whether a key has no value, as where all lines below it are comments. It asks without reporting anything, since a
// section may be empty; what is wrong with one that is not is reported when it is read.
func empty(n source.Node) bool {
	return !n.IsMapping() && n.Scalar() == "" && len(n.ReportTo(nil).Items()) == 0
}

// text reads a text that may not be empty. Like the functions below it leaves the default where the key is absent.
func text(of map[string]source.Node, key string, to *string) {
	if n, given := of[key]; given {
		*to = n.Text()
	}
}

// word reads one of a few words; case counts. An empty one was reported by Text already, as in the functions below.
func word(of map[string]source.Node, key string, to *string, words ...string) {
	n, given := of[key]
	if !given {
		return
	}
	if *to = n.Text(); *to != "" && !slices.Contains(words, *to) {
		n.Report("%q is none of %s", *to, strings.Join(words, ", "))
	}
}

// address reads a host and port to listen on; an empty host is every address of the machine, port 0 any free port. It does not
// look the host up. Text has reported a value that is empty or no text, so it is not reported a second time here.
func address(of map[string]source.Node, key string, to *string) {
	n, given := of[key]
	if !given {
		return
	}
	*to = n.Text()
	_, port, err := net.SplitHostPort(*to)
	if number, bad := strconv.ParseUint(port, 10, 16); *to != "" && (err != nil || bad != nil || number > math.MaxUint16) {
		n.Report("%q is not an address to listen on; write host and port, as in 127.0.0.1:8080", *to)
	}
}

// webAddress reads an http or https URL. A path is allowed, for a console behind a proxy.
func webAddress(of map[string]source.Node, key string, to *string) {
	n, given := of[key]
	if !given {
		return
	}
	*to = n.Text()
	u, err := url.Parse(*to)
	if *to != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		n.Report("%q is not a web address; write one like https://postlink.example", *to)
	}
}

// count reads a whole number from 0 to most. It reads the text, since a YAML integer such as 1_000 or 0x10 is more often a mistake.
func count[T int | int64](of map[string]source.Node, key string, to *T, most T) {
	n, given := of[key]
	if !given {
		return
	}
	v, err := strconv.ParseInt(n.Scalar(), 10, 64)
	switch {
	case err != nil || v < 0:
		n.Report("%s is not a whole number; write one like 8", shown(n))
		return
	case v > int64(most):
		n.Report("%d is too much; write %d at most", v, most)
		return
	}
	*to = T(v)
}

// duration reads a span of time, as in 90s, 12h or 7d.
func duration(of map[string]source.Node, key string, to *time.Duration) {
	n, given := of[key]
	if !given {
		return
	}
	v, ok := parseDuration(n.Scalar())
	if !ok {
		n.Report("%s is not a span of time; write one like 90s, 12h or 7d", shown(n))
		return
	}
	*to = v
}

// shown is a value in a message.
func shown(n source.Node) string {
	if n.Scalar() == "" {
		return "this"
	}
	return strconv.Quote(n.Scalar())
}

// days are whole days. Five digits are more than any age needs, and cannot overflow a time.Duration.
var days = regexp.MustCompile(`^\d{1,5}d$`)

// parseDuration reads what time.ParseDuration takes, and whole days as in 7d. Negative spans are refused. Days stand alone: 7d12h
// is refused, and 180h says it. A day is 24 hours, whatever the clocks of a place do.
func parseDuration(s string) (time.Duration, bool) {
	if days.MatchString(s) {
		n, _ := strconv.Atoi(strings.TrimSuffix(s, "d"))
		return time.Duration(n) * bus.Day, true
	}
	v, err := time.ParseDuration(s)
	return v, err == nil && v >= 0
}
