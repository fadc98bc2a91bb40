// Package config reads the configuration file of postlink serve: strictly, with the position of everything that is wrong, and
// all mistakes at once. It says which NATS, console and tokens the file means, and starts nothing: whether an address is free or a
// file of credentials is there is found out by whoever uses it.
//
// An empty file, or one with comments only, is all defaults. A key is known or refused; there is no second way to set one, except
// that flags of a command override a few. Relative paths are relative to the working directory of the process.
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

// Reference is a file with every key and its default, for help texts. Keys without a default stand in comments. A test
// holds it to every key, and to the defaults of this package. The limits repeat, for readers, the defaults of other packages.
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
  stream: POSTS                # one of another application keeps its own settings
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

// Config is a configuration. Zero values of limits stand for the defaults of the packages that keep them, so that each default is
// written in one place. Data.Sync is not one of them: there 0 means that each write is synced before it is acknowledged.
//
// It is a plain value. Flags are written into its fields after it was read, and it is not changed once a worker is made of it.
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

	ConsoleURL string          // under which people reach the console; empty: the address it listens on
	Tokens     []console.Token // no two of one name or one hash; none leaves the console open, to this machine only
	LogLevel   string          // debug, info, warn or error
}

// NATS is the server to connect to, and how our things are kept there. Namespace counts for a server of our own too; Replicas is
// not more than 1 then.
type NATS struct {
	URL         string // empty runs a server of our own
	Credentials string
	TLS         bus.TLS
	Replicas    int
	Namespace   string
}

// Data is the server of our own. It means nothing while NATS.URL names another, except that commands look for NATS at Listen when
// nothing else says where it is.
type Data struct {
	Dir    string
	Listen string
	Sync   time.Duration
}

// Posts is the stream that posts arrive in. MaxAge and MaxBytes are those of a stream that postlink made; another keeps its own.
type Posts struct {
	Stream   string
	Subjects []string
	MaxAge   time.Duration
	MaxBytes int64
}

// Default is what an empty file means. It names only what has no default elsewhere: addresses and folder, and Data.Sync, whose
// zero value is a setting of its own.
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

// Stream says which stream of posts the configuration means. It brings along how long the ledger remembers links, since posts must
// not be kept longer than that.
func (c *Config) Stream() posts.Options {
	return posts.Options{
		Stream: c.Posts.Stream, Subjects: c.Posts.Subjects, Age: c.Posts.MaxAge, Bytes: c.Posts.MaxBytes,
		Remembered: cmp.Or(c.LedgerAge, ledger.DefaultAge),
	}
}

// Worker says what the worker is made of. Left to the caller are an embedded server, the log, the metrics, and a catalog to start
// with.
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
