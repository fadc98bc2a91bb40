// Package postlink_test holds the house rules that no compiler knows: which package may import which, what stands at the top,
// and what every package says of itself.
package postlink_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "postlink"

// kept are the packages of what we keep in NATS, each of which alone knows the format of its own.
var kept = []string{
	"worker/bus", "worker/posts", "worker/ledger", "worker/outbox", "worker/deadletter", "worker/event", "worker/instance", "worker/catalog",
}

// mayImport says which packages of ours a package may import; tests may import anything. Imports point down only: a row names
// rows above it. A folder that is not here has no place yet.
var mayImport = map[string][]string{
	"payload":            {},
	"rules/source":       {},
	"rules":              {"payload", "rules/source"},
	"rules/ruletest":     {"rules", "rules/source", "payload"},
	"dynamics":           {"payload"},
	"dynamics/sandbox":   {"dynamics", "payload"},
	"worker/bus":         {},
	"worker/bus/bustest": {"worker/bus"},
	"worker/posts":       {"worker/bus"},
	"worker/ledger":      {"payload", "worker/bus"},
	"worker/outbox":      {"worker/bus", "worker/ledger"},
	"worker/deadletter":  {"worker/bus", "worker/ledger"},
	"worker/event":       {"worker/bus", "worker/ledger"},
	"worker/instance":    {"worker/bus", "worker/ledger"},
	"worker/catalog":     {"payload", "rules", "rules/source", "dynamics", "worker/bus"},
	"worker/match":       append([]string{"payload", "rules"}, kept...),
	"worker/deliver":     append([]string{"payload", "dynamics"}, kept...),
	"worker/desk":        append([]string{"payload", "rules", "dynamics"}, kept...),
	"worker":             append([]string{"payload", "rules", "dynamics", "worker/match", "worker/deliver", "worker/desk"}, kept...),
	"worker/console/api": {},
	"worker/console":     append([]string{"payload", "rules", "rules/source", "dynamics", "worker/desk", "worker", "worker/console/api"}, kept...),
	"deploy":             {},
	"cmd/postlink":       {"*"}, // with the packages under its internal
}

// topLevel is every folder that stands at the top, and those that building and running leave there.
var topLevel = []string{"cmd", "rules", "worker", "payload", "dynamics", "deploy", "bin", "data"}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	for dir, files := range packages(t) {
		row := dir
		if strings.HasPrefix(dir, "cmd/postlink/internal/") {
			row = "cmd/postlink"
		}
		allowed, known := mayImport[row]
		for name, file := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			if !known {
				t.Errorf("%s: package %s is not in the import table; give it a row, or a place in a package that has one", name, dir)
				continue
			}
			for _, spec := range file.Imports {
				imported, ours := inModule(t, spec)
				if ours && !slices.Contains(allowed, imported) && !slices.Contains(allowed, "*") {
					t.Errorf("%s imports %s; %s may import of ours: %q", name, imported, dir, allowed)
				}
			}
		}
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topLevel, e.Name()) {
			t.Errorf("folder %s does not belong to the top level, which is %q", e.Name(), topLevel)
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	t.Parallel()
	for dir, files := range packages(t) {
		var documented []string
		code := false
		for name, file := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			code = true
			if file.Doc != nil {
				documented = append(documented, name)
			}
		}
		if code && len(documented) != 1 {
			t.Errorf("package %s: package comments in %q, want exactly one; over five lines it stands in doc.go", dir, documented)
		}
	}
}

// A file is read in one sitting, and a function without headings inside it. Assembly and tables count as well.
func TestFilesAndFunctionsStayShort(t *testing.T) {
	t.Parallel()
	const mostOfAFile, mostOfAFunction = 400, 80
	for _, files := range packages(t) {
		for name := range files {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if n := fset.File(file.Pos()).LineCount(); n > mostOfAFile {
				t.Errorf("%s has %d lines, more than %d", name, n, mostOfAFile)
			}
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				if n := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1; n > mostOfAFunction {
					t.Errorf("%s: %s has %d lines, more than %d", name, f.Name.Name, n, mostOfAFunction)
				}
			}
		}
	}
}

// Time passes by a clock that is handed in, or inside synctest.Test, where it is not real. Only a fault of the sandbox waits.
func TestNobodySleeps(t *testing.T) {
	t.Parallel()
	for dir, files := range packages(t) {
		if dir == "dynamics/sandbox" {
			continue
		}
		for name, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && isSelector(call.Fun, "synctest", "Test") {
					return false
				}
				if e, ok := n.(ast.Expr); ok && isSelector(e, "time", "Sleep") {
					t.Errorf("%s calls time.Sleep; wait for a fact, or test under testing/synctest", name)
				}
				return true
			})
		}
	}
}

func isSelector(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}

func inModule(t *testing.T, spec *ast.ImportSpec) (dir string, ours bool) {
	t.Helper()
	imported, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		t.Fatal(err)
	}
	return strings.CutPrefix(imported, module+"/")
}

// packages returns the parsed files of every folder below the top, by folder and then by path, whatever system they are for.
func packages(t *testing.T) map[string]map[string]*ast.File {
	t.Helper()
	dirs := map[string]map[string]*ast.File{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != "." && (strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), "_") || e.Name() == "testdata"):
			return filepath.SkipDir
		case e.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		dir := path.Dir(name)
		if dirs[dir] == nil {
			dirs[dir] = map[string]*ast.File{}
		}
		dirs[dir][name] = file
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"payload", "cmd/postlink"} {
		if dirs[dir] == nil {
			t.Fatalf("found no package %s, only %q", dir, slices.Sorted(maps.Keys(dirs)))
		}
	}
	return dirs
}
