package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"

	"postlink/worker/bus"
	"postlink/worker/console"
)

// Config is the file of postlink serve. Every field has a default; an empty file is a good one.
type Config struct {
	Listen string `yaml:"listen"` // address of the console; default 127.0.0.1:8080
	NATS   struct {
		URL         string `yaml:"url"` // empty runs a server of our own, with its files under data.dir
		Credentials string `yaml:"credentials"`
		TLS         struct {
			CA   string `yaml:"ca"`
			Cert string `yaml:"cert"`
			Key  string `yaml:"key"`
		} `yaml:"tls"`
		Replicas int    `yaml:"replicas"`
		Prefix   string `yaml:"prefix"`
	} `yaml:"nats"`
	Data struct {
		Dir    string   `yaml:"dir"`    // default ./data
		Listen string   `yaml:"listen"` // where our own server takes connections; default 127.0.0.1:4222
		Sync   Duration `yaml:"sync"`   // how long acknowledged writes may stay unsynced; default 1s, 0s syncs each
	} `yaml:"data"`
	Posts struct {
		Stream   string   `yaml:"stream"`
		Subjects []string `yaml:"subjects"`
		MaxAge   Duration `yaml:"max_age"`
		MaxBytes int64    `yaml:"max_bytes"`
	} `yaml:"posts"`
	Ledger struct {
		MaxAge Duration `yaml:"max_age"`
	} `yaml:"ledger"`
	Dead struct {
		MaxAge Duration `yaml:"max_age"`
	} `yaml:"dead"`
	Outbox struct {
		MaxEntries int64 `yaml:"max_entries"`
	} `yaml:"outbox"`
	Delivery struct {
		Slots  int      `yaml:"slots"`
		MaxAge Duration `yaml:"max_age"`
	} `yaml:"delivery"`
	Console struct {
		URL string `yaml:"url"` // under which people reach the console, for the links in records
	} `yaml:"console"`
	Tokens []struct { // who may use the console from other machines; without any it serves this machine only
		Name string `yaml:"name"`
		Role string `yaml:"role"`   // reader, responder, manager or administrator
		Hash string `yaml:"sha256"` // of the token, in hexadecimal
	} `yaml:"tokens"`
	Log struct {
		Level string `yaml:"level"` // debug, info, warn or error; default info
	} `yaml:"log"`
}

// Duration is a span of time in YAML: what time.ParseDuration takes, and whole days as in 7d.
type Duration time.Duration

// Value is the span as the rest of the program knows it.
func (d Duration) Value() time.Duration { return time.Duration(d) }

// UnmarshalYAML reads the span and refuses negative ones.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := parseDuration(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: %q is not a span of time; write one like 90s, 12h or 7d", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * bus.Day, err
	}
	v, err := time.ParseDuration(s)
	if err == nil && v < 0 {
		return 0, errors.New("negative")
	}
	return v, err
}

// DefaultConfig is what an empty file means.
func DefaultConfig() Config {
	var c Config
	c.Listen = "127.0.0.1:8080"
	c.Data.Dir = "data"
	c.Data.Listen = "127.0.0.1:4222"
	c.Data.Sync = Duration(time.Second)
	c.Log.Level = "info"
	return c
}

// LoadConfig reads a configuration file, strictly: a key that is not known is an error.
func LoadConfig(path string) (Config, error) {
	c := DefaultConfig()
	data, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("read the configuration: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("read the configuration %s: only one document is allowed; remove what follows the line ---", path)
	}
	if err := c.validate(); err != nil {
		return c, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

func (c *Config) validate() error {
	if _, err := zapcore.ParseLevel(c.Log.Level); err != nil {
		return fmt.Errorf("log.level %q: choose one of debug, info, warn, error", c.Log.Level)
	}
	for name, n := range map[string]int64{
		"nats.replicas": int64(c.NATS.Replicas), "posts.max_bytes": c.Posts.MaxBytes,
		"outbox.max_entries": c.Outbox.MaxEntries, "delivery.slots": int64(c.Delivery.Slots),
	} {
		if n < 0 {
			return fmt.Errorf("%s: %d is negative", name, n)
		}
	}
	if _, err := c.Access(); err != nil {
		return err
	}
	if c.NATS.URL == "" && c.NATS.Replicas > 1 {
		return errors.New("nats.replicas: the server of our own keeps one copy; name a cluster in nats.url, or leave replicas out")
	}
	return nil
}

// Access says who may use the console.
func (c *Config) Access() ([]console.Token, error) {
	tokens := make([]console.Token, len(c.Tokens))
	for i, t := range c.Tokens {
		var err error
		if tokens[i], err = console.ParseToken(t.Name, t.Role, t.Hash); err != nil {
			return nil, fmt.Errorf("tokens: %w", err)
		}
	}
	return tokens, nil
}

// Bus says which NATS the configuration means; its Server is still to be started when no URL is given.
func (c *Config) Bus() bus.Options {
	return bus.Options{
		URL:         c.NATS.URL,
		Credentials: c.NATS.Credentials,
		TLS:         bus.TLS{CA: c.NATS.TLS.CA, Cert: c.NATS.TLS.Cert, Key: c.NATS.TLS.Key},
		Replicas:    c.NATS.Replicas,
		Prefix:      c.NATS.Prefix,
		Posts: bus.Posts{
			Stream: c.Posts.Stream, Subjects: c.Posts.Subjects, Age: c.Posts.MaxAge.Value(), Bytes: c.Posts.MaxBytes,
		},
		LedgerAge:     c.Ledger.MaxAge.Value(),
		DeadAge:       c.Dead.MaxAge.Value(),
		OutboxEntries: c.Outbox.MaxEntries,
	}
}

// Server says how to run a server of our own.
func (c *Config) Server() bus.ServerOptions {
	return bus.ServerOptions{
		Dir:    filepath.Join(c.Data.Dir, "nats"),
		Listen: c.Data.Listen, SyncInterval: c.Data.Sync.Value(),
	}
}
