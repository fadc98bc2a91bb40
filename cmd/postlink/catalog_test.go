package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatIsExportedIsAppliedAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	exported := w.run("export")
	path := w.file("catalog.yaml", exported.out)
	w.run("check " + path).prints("^ok: 2 instances, 2 rules, 1 of them active$")
	w.run("apply " + path + " --dry-run").prints("^nothing changes$").warns("^this is what would change at " + w.URL() + "; nothing was changed$")
	w.run("apply " + path).prints("^nothing changes$")
	if again := w.run("export"); again.out != exported.out {
		t.Errorf("applying it changed it:\n%s\nwas\n%s", again.out, exported.out)
	}
	// What people change goes out, and comes in elsewhere.
	w.run("rules activate praise")
	w.run("entities fields contoso incident ticketnumber title")
	w.run("instances disable fabrikam")
	path = w.file("catalog.yaml", w.run("export").out)
	other := newWorld(t, worldCatalog)
	other.run("apply "+path+" -m moved").prints(`^~ .*praise.*activ`, "^~ .*incident", "^~ .*fabrikam")
	other.run("rules list").prints("^praise +active ")
	other.run("entities fields contoso incident").prints(`(?s)^ticketnumber.*^title`).lacks("createdon")
	other.run("instances list").prints("^fabrikam +disabled ")
}

func TestACatalogComesInForceAsAWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	before := w.run("export").out
	for name, test := range map[string]struct{ from, to, want string }{
		"an unknown name":          {`post.mentions("late")`, `post.mood == "late"`, `catalog.yaml:\d+:\d+: rule "delays": unknown name post.mood`},
		"an unknown key":           {"active: false", "activ: false", `unknown key "activ"; did you mean active\?`},
		"an unknown instance":      {"instance: contoso, entity: incident", "instance: contso, entity: incident", `there is no instance "contso"`},
		"an entity that is used":   {"{name: incident, fields: [title, ticketnumber, createdon]}, ", "", `rule "delays": entity "incident" is not configured`},
		"a name twice":             {"name: praise", "name: delays", `rule "delays"`},
		"two default instances":    {"    auth: {kind: client", "    default: true\n    auth: {kind: client", "default"},
		"a secret in the open":     {"{env: FABRIKAM_SECRET}", "open-sesame", `catalog.yaml:\d+:\d+: `},
		"a second document behind": {"rules:", "---\nrules:", "a second document starts here"},
	} {
		if !strings.Contains(worldCatalog, test.from) {
			t.Fatalf("%s: the catalog lacks %q", name, test.from)
		}
		path := w.file("catalog.yaml", strings.Replace(worldCatalog, test.from, test.to, 1))
		w.fails(78, "apply "+path).warns(test.want)
		w.fails(78, "check "+path).warns(test.want)
	}
	if after := w.run("export").out; after != before {
		t.Errorf("a refused catalog changed something:\n%s", after)
	}
	w.fails(2, "apply "+filepath.Join(t.TempDir(), "nowhere")).warns("there is no file .*nowhere; name a folder of YAML files")
}

func TestAFolderOfFilesIsOneCatalog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.run("health").prints("^.+$")
	w.fails(1, "health --ready").warns("readyz says 503")
	w.fails(1, "export").warns("catalog")
	instances, rules, _ := strings.Cut(worldCatalog, "rules:")
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "instances.yaml"), []byte(instances), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte("rules:"+rules), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "README.md"), []byte("not a catalog"), 0o600))
	w.run("apply "+dir+" --dry-run").prints("^\\+ instance contoso", "^\\+ rule \"delays\"$")
	w.run("rules list").warns("there are no rules")
	w.run("apply " + dir).warns("^catalog [0-9a-f]{12} is in force at ")
	w.eventually("it is ready", func() bool { return runAt(t, w.URL(), "", "health", "--ready").code == 0 })
	w.run("rules list").prints("^delays +active ", "^praise +inactive ")
}

func TestACatalogThatRemovesAnInstanceIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.linked(1, 2)
	without := w.file("catalog.yaml", `
instances:
  - name: fabrikam
    url: https://fabrikam.crm.dynamics.com
    auth: {kind: client_credentials, tenant: fabrikam.example, client_id: old-id, client_secret: {env: FABRIKAM_SECRET}}
`)
	for _, way := range []string{"", " --nats " + w.server.URL()} {
		server := w.URL()
		if way != "" {
			server = ""
		}
		runAt(t, server, "", words("apply "+without+" --dry-run"+way)...).exits(0).prints("^- instance contoso$")
		runAt(t, server, "", words("apply "+without+way)...).exits(2).warns("Delete instance contoso with 2 links\\? The links are forgotten; Dynamics is not touched", "add --yes")
	}
	w.run("links list").prints("^twitter/1 ", "^twitter/2 ")
	w.run("apply " + without + " --yes")
	w.run("instances list").lacks("^contoso")
	if n := w.contoso.Count("incident"); n != 2 {
		t.Errorf("%d records are left in Dynamics", n)
	}
}

func TestTheHistoryKeepsWhyACatalogWasApplied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	runAt(t, "", "", words("apply "+w.file("c.yaml", strings.Replace(worldCatalog, "call back", "call soon", 1))+" -m summer --nats "+w.server.URL())...).
		exits(0).prints("^~ .*delays").warns("is in force in NATS; no running postlink was asked$")
	w.follows()
	newest, err := w.Catalog.Current(t.Context())
	must(t, err)
	if newest.Message != "summer" || newest.Author == "" {
		t.Errorf("the history says %q by %q", newest.Message, newest.Author)
	}
	w.run("rules show delays").prints("^Notes +call soon$")
}
