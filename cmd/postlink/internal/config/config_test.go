package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postlink/cmd/postlink/internal/config"
	"postlink/rules/source"
	"postlink/worker/bus"
	"postlink/worker/console"
)

const hash = "3c01eba119e00d79c82b6f65d70bc5f1044d568618bf41377e6d1432023fc2b8"

func TestEveryKeyIsRead(t *testing.T) {
	t.Parallel()
	got, err := config.Read("postlink.yaml", []byte(`
listen: 0.0.0.0:80
console: {url: "https://postlink.example"}
nats: {url: "nats://nats:4222", credentials: nats.creds, tls: {ca: ca.pem, cert: cert.pem, key: key.pem}, replicas: 3, namespace: two}
data: {dir: files, listen: ":4223", sync: 0s}
posts: {stream: S, subjects: [a.>, b.*], max_age: 3d, max_bytes: 1000}
ledger: {max_age: 90d}
dead: {max_age: 36h}
outbox: {max_entries: 5}
delivery: {slots: 4, max_age: 90m}
log: {level: debug}
tokens: [{name: ann@example.com, role: manager, sha256: `+hash+`}]
`))
	if err != nil {
		t.Fatal(err)
	}
	token, err := console.ParseToken("ann@example.com", "manager", hash)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Listen: "0.0.0.0:80", ConsoleURL: "https://postlink.example",
		NATS: config.NATS{
			URL: "nats://nats:4222", Credentials: "nats.creds", Replicas: 3, Namespace: "two",
			TLS: bus.TLS{CA: "ca.pem", Cert: "cert.pem", Key: "key.pem"},
		},
		Data:      config.Data{Dir: "files", Listen: ":4223"},
		Posts:     config.Posts{Stream: "S", Subjects: []string{"a.>", "b.*"}, MaxAge: 72 * time.Hour, MaxBytes: 1000},
		LedgerAge: 90 * 24 * time.Hour, DeadAge: 36 * time.Hour, OutboxEntries: 5, DeliverySlots: 4, DeliveryAge: 90 * time.Minute,
		LogLevel: "debug", Tokens: []console.Token{token},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	options := got.Worker()
	if options.NATS.URL != want.NATS.URL || options.Posts.Age != 72*time.Hour || options.Posts.Remembered != 90*24*time.Hour ||
		options.LedgerAge != 90*24*time.Hour || options.DeadAge != 36*time.Hour || options.OutboxLimit != 5 || options.Slots != 4 ||
		options.MaxAge != 90*time.Minute || options.NATS.Replicas != 3 || options.NATS.Namespace != "two" || options.NATS.TLS != want.NATS.TLS {
		t.Errorf("for the worker: %+v", options)
	}
	if server := got.Server(); server.Dir != filepath.Join("files", "nats") || server.Listen != ":4223" || server.SyncInterval != 0 {
		t.Errorf("for the server: %+v", server)
	}
}

func TestAFileThatSaysNothingMeansTheDefaults(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":                       "",
		"comments alone":              "# nothing\n\n  # yet\n",
		"a start of a document":       "---\n# nothing\n",
		"sections whose keys are out": "nats:\n  # url: nats://nats:4222\ntokens:\nposts:\n  # stream: X\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := config.Read("postlink.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(config.Default(), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The reference in help texts has to be a good file, and to say what the defaults are.
func TestTheReferenceIsAGoodFileThatChangesNothing(t *testing.T) {
	t.Parallel()
	got, err := config.Read("reference", []byte(config.Reference))
	if err != nil {
		t.Fatal(err)
	}
	empty := config.Default()
	if got.Listen != empty.Listen || got.Data != empty.Data || got.LogLevel != empty.LogLevel || got.NATS.URL != "" || got.Tokens != nil {
		t.Errorf("the reference says %+v, the defaults are %+v", got, empty)
	}
	for _, key := range []string{
		"listen", "console", "url", "nats", "credentials", "tls", "ca", "cert", "key", "replicas", "namespace", "data", "dir", "sync",
		"posts", "stream", "subjects", "max_age", "max_bytes", "ledger", "dead", "outbox", "max_entries", "delivery", "slots",
		"log", "level", "tokens", "name", "role", "sha256",
	} {
		if !regexp.MustCompile(`\b` + key + `:`).MatchString(config.Reference) {
			t.Errorf("the reference lacks the key %s", key)
		}
	}
}

func TestMistakesAreSaidInWordsWithTheirPlace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"a key that is not known":   {"lisen: 127.0.0.1:80", `f.yaml:1:1: unknown key "lisen"; did you mean listen?`},
		"one in a section":          {"nats: {urls: x}", `f.yaml:1:8: unknown key "urls"; did you mean url?`},
		"a key twice":               {"log: {level: info}\nlog: {level: info}", "f.yaml:2:1: log is given twice"},
		"a section that is a text":  {"nats: here", "f.yaml:1:7: "},
		"a list that is a text":     {"posts: {subjects: posts}", "f.yaml:1:19: "},
		"no number":                 {"delivery:\n  slots: many", `f.yaml:2:10: "many" is not a whole number; write one like 8`},
		"a negative number":         {"outbox: {max_entries: -1}", `f.yaml:1:23: "-1" is not a whole number`},
		"too large a number":        {"nats: {url: x, replicas: 9}", "f.yaml:1:26: 9 is too much; write 5 at most"},
		"half a number":             {"posts: {max_bytes: 1.5}", `f.yaml:1:20: "1.5" is not a whole number`},
		"a list for a number":       {"posts: {max_bytes: [1]}", "f.yaml:1:20: this is not a whole number"},
		"no span of time":           {"ledger: {max_age: soon}", `f.yaml:1:19: "soon" is not a span of time; write one like 90s, 12h or 7d`},
		"a number without its unit": {"ledger: {max_age: 400}", `"400" is not a span of time`},
		"a negative span of time":   {"data: {sync: -1s}", `"-1s" is not a span of time`},
		"an unknown level":          {"log: {level: loud}", `f.yaml:1:14: "loud" is none of debug, info, warn, error`},
		"no address":                {"listen: here", `f.yaml:1:9: "here" is not an address to listen on; write host and port`},
		"a port that is no number":  {"data: {listen: \"127.0.0.1:nats\"}", "is not an address to listen on"},
		"no web address":            {"console: {url: postlink.example}", `f.yaml:1:16: "postlink.example" is not a web address`},
		"copies of our own server":  {"nats: {replicas: 3}", "f.yaml:1:18: the NATS server that postlink runs keeps one copy"},
		"a token without its hash":  {"tokens: [{name: a, role: reader}]", "f.yaml:1:10: a token needs sha256"},
		"a token of no role":        {"tokens:\n  - {name: a, role: king, sha256: " + hash + "}", `f.yaml:2:5: token a: role "king"`},
		"a token that is no hash":   {"tokens: [{name: a, role: reader, sha256: secret}]", "f.yaml:1:10: token a: its hash is not a SHA-256"},
		"a token twice": {
			"tokens: [{name: a, role: reader, sha256: " + hash + "}, {name: b, role: reader, sha256: " + hash + "}]", "this token is given twice",
		},
		"two tokens of one name": {
			"tokens:\n  - {name: a, role: reader, sha256: " + hash + "}\n  - {name: a, role: manager, sha256: " + strings.Repeat("ab", 32) + "}",
			"f.yaml:3:5: two tokens are named a; give each its own name",
		},
		"a token of no name":  {"tokens: [{name: '', role: reader, sha256: " + hash + "}]", "f.yaml:1:10: "},
		"a number for a name": {"tokens: [{name: 7, role: reader, sha256: " + hash + "}]", `f.yaml:1:17: 7 is a number, not a text`},
		"no YAML":             {"nats: {url: [", "f.yaml:1:"},
		"a second document":   {"log: {level: info}\n---\nlog: {level: warn}", "f.yaml:2:1: a second document starts here"},
		"a list for the file": {"- listen: x", "f.yaml:1:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Read("f.yaml", []byte(test.text))
			var problems source.Problems
			if !errors.As(err, &problems) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("%v, want %q", err, test.want)
			}
			for _, goText := range []string{"config.", "yaml: ", "!!", "unmarshal", "strconv", "int64", "struct"} {
				if strings.Contains(err.Error(), goText) {
					t.Errorf("%q speaks of the program, not of the file: %v", goText, err)
				}
			}
		})
	}
}

// Each key that takes a value of a kind refuses others at its place, wherever it stands in the file.
func TestEachKeyRefusesWhatItDoesNotTake(t *testing.T) {
	t.Parallel()
	for keys, bad := range map[string]string{
		"listen data.listen":   "nowhere",
		"console.url":          "ftp://postlink.example",
		"data.sync":            "often",
		"posts.max_age":        "a week",
		"ledger.max_age":       "-7d",
		"dead.max_age":         "30",
		"delivery.max_age":     "7days",
		"nats.replicas":        "three",
		"posts.max_bytes":      "1GB",
		"outbox.max_entries":   "1e6",
		"delivery.slots":       "1001",
		"log.level":            "INFO",
		"nats.url nats.tls.ca": "[a, b]",
		"nats.credentials nats.namespace nats.tls.cert nats.tls.key data.dir posts.stream posts.subjects": "7",
	} {
		for key := range strings.FieldsSeq(keys) {
			var text strings.Builder
			parts := strings.Split(key, ".")
			for i, part := range parts {
				text.WriteString("\n" + strings.Repeat("  ", i) + part + ":")
			}
			text.WriteString(" " + bad)
			want := fmt.Sprintf("f.yaml:%d:%d: ", len(parts)+1, 2*(len(parts)-1)+len(parts[len(parts)-1])+3)
			_, err := config.Read("f.yaml", []byte(text.String()))
			var problems source.Problems
			if !errors.As(err, &problems) || len(problems) != 1 || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: %s: %v, want one problem at %q", key, bad, err, want)
			}
		}
	}
}

func TestAFileThatCannotBeReadSaysWhatBelongsThere(t *testing.T) {
	t.Parallel()
	if _, err := config.Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "name a YAML file with --config") {
		t.Errorf("a folder: %v", err)
	}
}

func TestTheConsoleURLIsJoinedToPathsOnce(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{"https://x.example/": "https://x.example", "https://x.example": "https://x.example", "https://x.example/a//": "https://x.example/a"} {
		c, err := config.Read("f.yaml", []byte("console: {url: "+url+"}"))
		if got := c.Worker().ConsoleURL; err != nil || got != want {
			t.Errorf("%s: %q, %v", url, got, err)
		}
	}
}

func TestAllMistakesComeAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Read("f.yaml", []byte("lisen: x\ndelivery: {slots: many}\nlog: {level: loud}\n"))
	var problems source.Problems
	if !errors.As(err, &problems) || len(problems) != 3 {
		t.Errorf("want three problems: %v", err)
	}
}

func TestAFileThatIsNotThereSaysHowToNameIt(t *testing.T) {
	t.Parallel()
	_, err := config.Load(filepath.Join(t.TempDir(), "postlink.yaml"))
	if err == nil || !strings.Contains(err.Error(), "name it with --config") {
		t.Errorf("%v", err)
	}
	path := filepath.Join(t.TempDir(), "good.yaml")
	if err := os.WriteFile(path, []byte("log: {level: warn}"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = config.Read("f.yaml", []byte("tokens: [{name: a, role: reader, sha256: my-secret-token}]"))
	if err == nil || strings.Contains(err.Error(), "my-secret") {
		t.Errorf("a token in place of its hash is repeated: %v", err)
	}
	if c, err := config.Load(path); err != nil || c.LogLevel != "warn" {
		t.Errorf("a good file: %+v, %v", c, err)
	}
}
