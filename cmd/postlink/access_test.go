package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"postlink/cmd/postlink/internal/cli"
	"postlink/cmd/postlink/internal/config"
	"postlink/worker/console"
)

var roles = []string{"reader", "responder", "manager", "administrator"}

// Each command needs a role; those below it are refused and change nothing, those from it on are not refused for their role.
func TestEachCommandIsRefusedToRolesBelowItsOwn(t *testing.T) {
	t.Parallel()
	var tokens []console.Token
	secret := func(role string) string { return "the token of the " + role }
	for _, role := range roles {
		hash := sha256.Sum256([]byte(secret(role)))
		token, err := console.ParseToken(role+"@example.com", role, hex.EncodeToString(hash[:]))
		must(t, err)
		tokens = append(tokens, token)
	}
	w := newWorld(t, worldCatalog, tokens...)
	as := map[string]string{}
	for _, role := range roles {
		as[role] = w.behind(secret(role))
	}
	catalog := w.file("catalog.yaml", strings.Replace(worldCatalog, "call back", "call soon", 1))
	for line, needs := range map[string]string{
		"instances list":                      "reader",
		"posts list":                          "reader",
		"dead list":                           "reader",
		"export":                              "reader",
		"apply " + catalog + " --dry-run":     "reader",
		"links create @99 --entity lead":      "responder",
		"links remove @99 --yes":              "manager",
		"dead redrive 99":                     "manager",
		"dead redrive --all --dry-run":        "reader",
		"dead drop 99 --yes":                  "administrator",
		"rules activate no-such-rule":         "administrator",
		"rules deactivate no-such-rule":       "administrator",
		"instances enable no-such":            "administrator",
		"instances disable no-such":           "administrator",
		"instances default no-such":           "administrator",
		"instances refresh no-such":           "administrator",
		"instances delete no-such --yes":      "administrator",
		"instances add x --url http://y?":     "administrator",
		"entities add no-such lead":           "administrator",
		"entities remove contoso no-such -y":  "administrator",
		"entities fields contoso lead no-fld": "administrator",
	} {
		allowed := false
		for _, role := range roles {
			allowed = allowed || role == needs
			said := runAt(t, as[role], "", words(line)...)
			refused := strings.Contains(said.errors, "needs the role") || strings.Contains(said.errors, "role "+needs)
			if refused == allowed {
				t.Errorf("%s as %s: refused %v\n%s%s", line, role, refused, said.out, said.errors)
			}
			if refused {
				said.exits(cli.ExitFindings)
			}
		}
	}
	w.fails(cli.ExitFindings, "instances list").warns("^  put the token into POSTLINK_TOKEN$")
	runAt(t, w.behind("a guess"), "", "instances", "list").exits(cli.ExitFindings).warns("POSTLINK_TOKEN")
	runAt(t, as["administrator"], "", "rules", "deactivate", "delays").exits(0)
	newest, err := w.Catalog.Current(t.Context())
	must(t, err)
	if newest.Author != "administrator@example.com" {
		t.Errorf("the history names %q", newest.Author)
	}
}

func TestATokenThatIsMadeIsOneThatTheConfigurationTakes(t *testing.T) {
	t.Parallel()
	made := map[string]console.Token{}
	for _, role := range roles {
		said := runAt(t, "", "", "token", "create", "--role", role, "--name", role+"@example.com").exits(0).
			warns("it is shown only now", "The second line belongs under tokens: in the configuration")
		secret, entry, _ := strings.Cut(said.out, "\n")
		cfg, err := config.Read("postlink.yaml", []byte("tokens:\n"+entry))
		must(t, err)
		if len(cfg.Tokens) != 1 || cfg.Tokens[0].Role.String() != role || cfg.Tokens[0].Name != role+"@example.com" || cfg.Tokens[0].Hash != sha256.Sum256([]byte(secret)) {
			t.Errorf("%s became %+v", said.out, cfg.Tokens)
		}
		if _, again := made[secret]; again || len(secret) < 26 || strings.Contains(entry, secret) {
			t.Errorf("the token %q is guessed, repeated or kept in the configuration", secret)
		}
		made[secret] = cfg.Tokens[0]
	}
	w := newWorld(t, "", slices.Collect(maps.Values(made))...)
	for secret := range made {
		runAt(t, w.behind(secret), "", "instances", "list").exits(0)
	}
	runAt(t, "", "", "token", "create", "--role", "reader", "--name", "grafana", "--json").exits(0).prints(`"token": "`, `"sha256": "[0-9a-f]{64}"`)
	runAt(t, "", "", "token", "create", "--role", "reader", "--name", "two\nlines").exits(cli.ExitUsage)
	runAt(t, "", "", "token", "create", "--role", "raeder", "--name", "x").exits(cli.ExitUsage).warns("did you mean reader\\?")
}

func TestTheVersionIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	flag, command := runAt(t, "", "", "--version").exits(0), runAt(t, "", "", "version").exits(0)
	if want := fmt.Sprintf("postlink %s\n", versionText()); flag.out != want || command.out != want {
		t.Errorf("--version says %q, version says %q, want %q", flag.out, command.out, want)
	}
}

func TestTheShellCompletesWhatThereIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.fourLetters()
	for line, want := range map[string]string{
		"posts show":                       "@4\t",
		"dead redrive":                     "1\t",
		"dead redrive 1":                   "2\t",
		"rules activate delays":            "praise\n",
		"entities fields contoso":          "incident\n",
		"entities fields contoso incident": "ticketnumber\n",
		"entities add":                     "fabrikam\n",
		"links create --entity lead @1":    ":4\n", // nothing more, and no file names
		"links list --state":               "queued\n",
		"instances disable contoso":        "fabrikam\n",
		"dead list --rule":                 "praise\n",
		"token create --role":              "manager\n",
	} {
		args := append([]string{"__complete"}, words(line)...)
		if cmd, _, err := newRoot().Find(words(line)); err == nil && cmd.Flag("server") != nil {
			args = append([]string{"__complete"}, append(words(line)[:2:2], append([]string{"--server", w.URL()}, words(line)[2:]...)...)...)
		}
		said := runAt(t, "", "", append(args, "")...)
		if !strings.Contains(said.out, want) {
			t.Errorf("%s completes to %q, want %q", line, said.out, want)
		}
	}
	runAt(t, "", "", "__complete", "rules", "activate", "--server", w.URL(), "delays", "").lacks("^delays$")
}
