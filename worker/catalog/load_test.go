package catalog_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postlink/rules"
	"postlink/rules/source"
	"postlink/worker/catalog"
)

var ignorePositions = cmpopts.IgnoreFields(rules.Rule{}, "Pos", "Origin")

func oneFile(content string) fstest.MapFS {
	return fstest.MapFS{"catalog.yaml": &fstest.MapFile{Data: []byte(content)}}
}

// Each *.bad.yaml opens with a comment line for each problem, in order: # line:col: text that the message holds.
func TestFixtures(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := catalog.Load(file)
			if strings.HasSuffix(file, ".good.yaml") {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Compile(); err != nil {
					t.Errorf("loaded, but does not compile: %v", err)
				}
				return
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				text, ok := strings.CutPrefix(line, "# ")
				if !ok {
					break
				}
				want = append(want, strings.TrimSpace(text))
			}
			if err == nil || c != nil || len(want) == 0 {
				t.Fatalf("want errors %q, got %v", want, err)
			}
			var got source.Problems
			if !errors.As(err, &got) {
				t.Fatalf("got %T: %v", err, err)
			}
			reported := make([]string, len(got))
			for i, p := range got {
				reported[i] = fmt.Sprintf("%d:%d: %s", p.Pos.Line, p.Pos.Column, p.Message)
				if p.Pos.File != file {
					t.Errorf("problem in file %q", p.Pos.File)
				}
			}
			matches := len(want) == len(reported)
			for i := 0; matches && i < len(want); i++ {
				at, text, _ := strings.Cut(want[i], ": ")
				matches = strings.HasPrefix(reported[i], at+": ") && strings.Contains(reported[i], text)
			}
			if !matches {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(reported, "\n  "), strings.Join(want, "\n  "))
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is repeated: %v", err)
			}
		})
	}
}

const instancesYAML = `
instances:
  - name: contoso
    url: https://contoso.crm.dynamics.com/
    default: true
    auth: {kind: client_credentials, tenant: contoso.com, client_id: app, client_secret: {env: CONTOSO_SECRET}}
    entities:
      - name: incident
        fields: [title, ticketnumber]
      - name: lead
  - name: fabrikam
    url: http://localhost:8080/fabrikam
    auth: {kind: static, token: {file: /run/token}}
    entities: [{name: new_complaint, fields: [new_name]}]
`

func rulesYAML(names ...string) string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for _, n := range names {
		fmt.Fprintf(&b, "  - name: %s\n    active: true\n    when: post.isReply\n    link: {instance: contoso, entity: incident}\n", n)
	}
	return b.String()
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func namesOf(c *catalog.Catalog) string {
	names := make([]string, len(c.Rules))
	for i, r := range c.Rules {
		names[i] = r.Name
	}
	return strings.Join(names, " ")
}

func TestAFileIsRead(t *testing.T) {
	t.Parallel()
	got, err := catalog.LoadFS(oneFile(instancesYAML + `
rules:
  - name: flights
    active: true
    when: post.sentiment == "negative"
    link: {instance: contoso, entity: incident, notes: Flight trouble}
  - name: praise
    active: false
    when: post.sentiment == "positive"
    link: {instance: contoso, entity: lead}
  - name: delays
    active: true
    when: post.text contains "late"
    link: {instance: contoso, entity: incident}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	for i := range want.Rules {
		want.Rules[i].Age = uint64(i + 1)
	}
	if diff := cmp.Diff(want, got, ignorePositions); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAFolderIsOneCatalog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"10-rules.yml":          rulesYAML("first", "second"),
		"20/rules.yaml":         rulesYAML("third"),
		"20/deeper/rules.yaml":  rulesYAML("before"),
		"instances.yaml":        instancesYAML,
		"last.yaml":             rulesYAML("last"),
		".hidden.yaml":          "broken: [",
		".git/x.yaml":           "broken: [",
		"rules_test.yaml":       "tests: []",
		"README.md":             "not a catalog",
		"20/instances.yaml.bak": "broken: [",
	})
	c, err := catalog.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := namesOf(c), "first second before third last"; got != want {
		t.Errorf("got rules %q, want %q", got, want)
	}
	both, err := catalog.Load(filepath.Join(dir, "instances.yaml"), filepath.Join(dir, "20"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := namesOf(both), "before third"; got != want {
		t.Errorf("of a file and a folder: got rules %q, want %q", got, want)
	}
}

func TestAMountedConfigMapIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"..2026_01/instances.yaml": instancesYAML,
		"..2026_01/rules.yaml":     rulesYAML("old"),
		"..2026_01/sub/more.yaml":  rulesYAML("more"),
		"..2026_02/rules.yaml":     rulesYAML("new"),
		"..2026_02/instances.yaml": instancesYAML,
	})
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..2026_01", "..data")
	link("..data/instances.yaml", "instances.yaml")
	link("..data/rules.yaml", "rules.yaml")
	link("..data/sub", "sub")
	c, err := catalog.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := namesOf(c); got != "old more" {
		t.Errorf("got rules %q", got)
	}
	if err := os.Remove(filepath.Join(dir, "sub")); err != nil {
		t.Fatal(err)
	}
	link("..2026_02", "..tmp")
	if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if c, err = catalog.Load(dir); err != nil || namesOf(c) != "new" {
		t.Errorf("after the swap: got %v, %v", c, err)
	}
}

func TestWhatCannotBeReadIsTold(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		make func(t *testing.T, dir string) []string
		want string
	}{
		"a missing path":  {func(_ *testing.T, dir string) []string { return []string{filepath.Join(dir, "none")} }, "none: this catalog cannot be read: no such file or directory"},
		"an empty folder": {func(_ *testing.T, dir string) []string { return []string{dir} }, "there is no catalog file (*.yaml) here"},
		"no path at all":  {func(*testing.T, string) []string { return nil }, "there is no catalog file (*.yaml) here"},
		"an empty catalog": {func(t *testing.T, dir string) []string {
			write(t, dir, map[string]string{"a.yaml": "rules: []"})
			return []string{dir}
		}, "no instance and no rule"},
		"a broken link": {func(t *testing.T, dir string) []string {
			symlink(t, "nowhere", filepath.Join(dir, "a.yaml"))
			return []string{dir}
		}, "a.yaml: this file cannot be read"},
		"a link to itself": {func(t *testing.T, dir string) []string {
			symlink(t, ".", filepath.Join(dir, "loop"))
			return []string{dir}
		}, "is this a link that leads back?"},
		"a device as a file": {func(t *testing.T, dir string) []string {
			symlink(t, os.DevNull, filepath.Join(dir, "a.yaml"))
			return []string{dir}
		}, "a.yaml: this is not a regular file"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := catalog.Load(tc.make(t, t.TempDir())...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
}

func symlink(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func TestAllErrorsOfAllFilesComeAtOnce(t *testing.T) {
	t.Parallel()
	_, err := catalog.LoadFS(fstest.MapFS{
		"a.yaml": &fstest.MapFile{Data: []byte("instances:\n  - name: BAD\n    url: https://a.example\n    auth: {kind: static, token: {env: T}}\n")},
		"b.yaml": &fstest.MapFile{Data: []byte(rulesYAML("twice", "other"))},
		"c.yaml": &fstest.MapFile{Data: []byte(rulesYAML("twice"))},
		"d.yaml": &fstest.MapFile{Data: []byte("nonsense: 1\n")},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`a.yaml:2:11: instance name "BAD"`,
		`b.yaml:5:22: rule "twice": there is no instance "contoso"; add it, or link to one of: BAD`,
		`b.yaml:9:22: rule "other": there is no instance "contoso"`,
		`c.yaml:2:11: rule "twice": the name is taken by the rule at b.yaml:2:11`,
		`d.yaml:1:1: `,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(instancesYAML + rulesYAML("a", "b")))
	for _, pattern := range []string{"testdata/*.yaml", "../../deploy/catalog/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := catalog.LoadFS(oneFile(string(data)))
		if err != nil {
			var problems source.Problems
			if !errors.As(err, &problems) || len(problems) == 0 || err.Error() == "" {
				t.Fatalf("got %T: %v", err, err)
			}
			return
		}
		roundTrip(t, c)
	})
}
