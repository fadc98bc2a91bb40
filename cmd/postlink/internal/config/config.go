// Package config reads the configuration file of postlink serve: strictly, with the position of everything that is wrong, and
// all mistakes at once. It says which NATS, console and tokens the file means, and starts nothing.
package config

import (
	"cmp"
	"path/filepath"
	"strings"
	"time"

	"postlink/worker"
	"postlink/worker/bus"
	"postlink/worker/console"
	"postlink/worker/ledger"
	"postlink/worker/posts"
)

// Reference is a file with every key and its default, for help texts. Keys without a default stand in comments.
const Reference = `listen: 127.0.0.1:8080         # console: /healthz, /readyz, /metrics, /api/v1; other addresses need tokens
console:
  # url: https://postlink.example  # under which people reach the console, for the links in records
nats:
  # url: nats://nats:4222      # a server of your own; without it postlink runs one
  # credentials: nats.creds    # file with a user's JWT and key, as nsc writes it
  # tls: {ca: ca.pem, cert: cert.pem, key: key.pem}
  namespace: postlink          # begins the name of all that postlink keeps; another where several share an account
  replicas: 1                  # copies of everything; three on a cluster
data:                          # of the NATS server that postlink runs
  dir: data
  listen: 127.0.0.1:4222       # where other commands reach it
  sync: 1s                     # how long acknowledged writes may stay unsynced; 0s syncs each
posts:
  stream: POSTS                # one that exists keeps its own settings
  subjects: [posts.>]
  max_age: 7d
  max_bytes: 0                 # 0 is unlimited
ledger: {max_age: 400d}        # longer than the stream keeps posts, or a post could be linked twice
dead: {max_age: 30d}
outbox: {max_entries: 1000000} # links that may wait for one instance before matching waits too
delivery:
  slots: 8                     # deliveries to one instance at once
  max_age: 7d                  # a link that cannot be delivered for so long becomes a dead letter
log: {level: info}             # debug, info, warn or error
# tokens:                      # who may use the API; each as postlink token create prints it
#   - {name: ann@example.com, role: responder, sha256: ...}
`

// Config is a configuration. Zero values of limits stand for the defaults of the packages that keep them.
type Config struct {
	Listen string // address of the console
	NATS   NATS
	Data   Data
	Posts  Posts

	LedgerAge     time.Duration
	DeadAge       time.Duration
	OutboxEntries int64
	DeliverySlots int
	DeliveryAge   time.Duration

	ConsoleURL string // under which people reach the console
	Tokens     []console.Token
	LogLevel   string
}

// NATS is the server to connect to.
type NATS struct {
	URL         string // empty runs a server of our own
	Credentials string
	TLS         bus.TLS
	Replicas    int
	Namespace   string
}

// Data is the server of our own.
type Data struct {
	Dir    string
	Listen string
	Sync   time.Duration
}

// Posts is the stream that posts arrive in.
type Posts struct {
	Stream   string
	Subjects []string
	MaxAge   time.Duration
	MaxBytes int64
}

// Default is what an empty file means.
func Default() Config {
	return Config{
		Listen:   "127.0.0.1:8080",
		Data:     Data{Dir: "data", Listen: "127.0.0.1:4222", Sync: time.Second},
		LogLevel: "info",
	}
}

// Bus says which NATS the configuration means; its Server is still to be started when no URL is given.
func (c *Config) Bus() bus.Options {
	return bus.Options{
		URL:         c.NATS.URL,
		Credentials: c.NATS.Credentials,
		TLS:         c.NATS.TLS,
		Replicas:    c.NATS.Replicas,
		Namespace:   c.NATS.Namespace,
	}
}

// Stream says which stream of posts the configuration means.
func (c *Config) Stream() posts.Options {
	return posts.Options{
		Stream: c.Posts.Stream, Subjects: c.Posts.Subjects, Age: c.Posts.MaxAge, Bytes: c.Posts.MaxBytes,
		Remembered: cmp.Or(c.LedgerAge, ledger.DefaultAge),
	}
}

// Worker says what the worker is made of, but for the server and the log.
func (c *Config) Worker() worker.Options {
	return worker.Options{
		NATS: c.Bus(), Posts: c.Stream(), LedgerAge: c.LedgerAge, DeadAge: c.DeadAge, OutboxLimit: c.OutboxEntries,
		ConsoleURL: strings.TrimRight(c.ConsoleURL, "/"), Slots: c.DeliverySlots, MaxAge: c.DeliveryAge,
	}
}

// Server says how to run a server of our own.
func (c *Config) Server() bus.ServerOptions {
	return bus.ServerOptions{Dir: filepath.Join(c.Data.Dir, "nats"), Listen: c.Data.Listen, SyncInterval: c.Data.Sync}
}
