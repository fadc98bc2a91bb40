package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"postlink/rules"
	"postlink/rules/source"
)

// maxDepth of folders in each other. Deeper ones come from a symbolic link to a folder above.
const maxDepth = 16

// Load reads a catalog from YAML files and folders, whose contents are taken together as one. Of a folder, and of the
// folders in it, every *.yaml and *.yml file counts, in the order of their names, except hidden ones (which is how a mounted
// ConfigMap keeps its versions) and rule tests, *_test.yaml. Links to files and folders are followed.
//
// The error is source.Problems: everything that is wrong with any of the files. A catalog that is returned can be applied. Its rules
// have ages in the order in which they were read, and no time of activation; a commit replaces both.
func Load(paths ...string) (*Catalog, error) {
	l := newLoader()
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case err != nil:
			l.refuse(p, "this catalog cannot be read: %v", reason(err))
		case info.IsDir():
			l.version(p)
		default:
			data, err := os.ReadFile(p)
			l.file(p, data, err)
		}
	}
	return l.finish(strings.Join(paths, ", "))
}

// LoadFS reads a catalog from the files of fsys, as Load does from a folder.
func LoadFS(fsys fs.FS) (*Catalog, error) {
	l := newLoader()
	for _, f := range l.list(fsys, ".", filepath.ToSlash, 0) {
		data, err := fs.ReadFile(fsys, f)
		l.file(f, data, err)
	}
	return l.finish("the catalog")
}

// loader collects the catalog and the problems of several files. It remembers where every value stands, since validate knows values
// only by their place in the catalog.
type loader struct {
	catalog  Catalog
	places   map[place]source.Node
	problems source.Problems
	files    int
}

func newLoader() *loader { return &loader{places: map[place]source.Node{}} }

// version reads a folder. Kubernetes may swap the volume of a ConfigMap while it is read. Then the files read are of two versions,
// and the folder is read again.
func (l *loader) version(dir string) {
	const tries = 5
	type content struct {
		name string
		data []byte
		err  error
	}
	for try := 1; ; try++ {
		before, _ := os.Readlink(filepath.Join(dir, "..data"))
		listed := &loader{}
		var contents []content
		for _, f := range listed.list(os.DirFS(dir), ".", func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }, 0) {
			name := filepath.Join(dir, filepath.FromSlash(f))
			data, err := os.ReadFile(name)
			contents = append(contents, content{name, data, err})
		}
		if after, _ := os.Readlink(filepath.Join(dir, "..data")); after != before && try < tries {
			continue
		}
		l.problems = append(l.problems, listed.problems...)
		for _, c := range contents {
			l.file(c.name, c.data, c.err)
		}
		return
	}
}

// list returns the catalog files of a folder and of those in it. show returns the name of a file for messages.
func (l *loader) list(fsys fs.FS, dir string, show func(string) string, depth int) []string {
	if depth > maxDepth {
		l.refuse(show(dir), "folders stand more than %d deep in each other; is this a link that leads back?", maxDepth)
		return nil
	}
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		l.refuse(show(dir), "this folder cannot be read: %v", reason(err))
		return nil
	}
	var files []string
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := fs.Stat(fsys, name)
		switch {
		case err == nil && info.IsDir():
			files = append(files, l.list(fsys, name, show, depth+1)...)
		case !isCatalogFile(e.Name()):
		case err != nil:
			l.refuse(show(name), "this file cannot be read: %v", reason(err))
		case !info.Mode().IsRegular():
			l.refuse(show(name), "this is not a regular file")
		default:
			files = append(files, name)
		}
	}
	return files
}

// isCatalogFile reports whether a file of that name belongs to a catalog.
func isCatalogFile(name string) bool {
	ext := path.Ext(name)
	return (ext == ".yaml" || ext == ".yml") && !strings.HasSuffix(strings.TrimSuffix(name, ext), "_test")
}

// file reads one file. It keeps going after problems, so that all files are read.
func (l *loader) file(name string, data []byte, err error) {
	l.files++
	if err != nil {
		l.refuse(name, "this file cannot be read: %v", reason(err))
		return
	}
	before := len(l.problems)
	root, ok := source.Parse(name, data, &l.problems)
	fields := map[string]source.Node{}
	if ok {
		fields = root.Fields("instances", "rules")
	}
	for _, item := range fields["instances"].Items() {
		l.instance(item)
	}
	for i := range l.problems[before:] {
		// Lines about instances are not shown: a secret may stand there by mistake.
		l.problems[before+i].Snippet = ""
	}
	l.catalog.Rules = append(l.catalog.Rules, rules.ReadRules(fields["rules"])...)
}

// finish checks the catalog that all files make together.
func (l *loader) finish(what string) (*Catalog, error) {
	c := &l.catalog
	if len(l.problems) == 0 && l.files == 0 {
		l.refuse(what, "there is no catalog file (*.yaml) here")
	}
	if len(l.problems) == 0 && len(c.Instances)+len(c.Rules) == 0 {
		l.refuse(what, "there is no instance and no rule here")
	}
	l.check()
	if len(l.problems) > 0 {
		l.problems.Sort()
		return nil, l.problems
	}
	c.normalize()
	c.inherit(&Catalog{})
	return c, nil
}

// refuse reports something about a whole file or folder.
func (l *loader) refuse(file, format string, args ...any) {
	l.problems = append(l.problems, source.Problem{Pos: source.Position{File: file}, Message: fmt.Sprintf(format, args...)})
}

// reason is err without the path, which the position shows already.
func reason(err error) error {
	for {
		inner := &fs.PathError{}
		ok := errors.As(err, &inner)
		if !ok {
			return err
		}
		err = inner.Err
	}
}
