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
)

// maxDepth of folders in folders: more is a link that leads back.
const maxDepth = 16

// Load reads a catalog from YAML files and folders, whose contents are taken together as one. Of a folder, and of the
// folders in it, every *.yaml and *.yml file counts, in the order of their names, except hidden ones (which is how a mounted
// ConfigMap keeps its versions) and rule tests, *_test.yaml. Links to files and folders are followed.
//
// The error is rules.Problems: everything that is wrong with any of the files. A catalog that is returned can be applied.
func Load(paths ...string) (*Catalog, error) {
	r := newReader()
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case err != nil:
			r.refuse(p, "this catalog cannot be read: %v", reason(err))
		case info.IsDir():
			r.version(p)
		default:
			data, err := os.ReadFile(p)
			r.file(p, data, err)
		}
	}
	return r.finish(strings.Join(paths, ", "))
}

// LoadFS reads a catalog from the files of fsys, as Load does from a folder.
func LoadFS(fsys fs.FS) (*Catalog, error) {
	r := newReader()
	for _, f := range r.list(fsys, ".", filepath.ToSlash, 0) {
		data, err := fs.ReadFile(fsys, f)
		r.file(f, data, err)
	}
	return r.finish("the catalog")
}

type reader struct {
	catalog  Catalog
	places   map[place]rules.Node
	problems rules.Problems
	files    int
}

func newReader() *reader { return &reader{places: map[place]rules.Node{}} }

// version reads a folder. The volume of a ConfigMap may be swapped while it is read; then what was read mixes two versions,
// and the new one is read instead.
func (r *reader) version(dir string) {
	const tries = 5
	type content struct {
		name string
		data []byte
		err  error
	}
	for try := 1; ; try++ {
		before, _ := os.Readlink(filepath.Join(dir, "..data"))
		listed := &reader{}
		var contents []content
		for _, f := range listed.list(os.DirFS(dir), ".", func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }, 0) {
			name := filepath.Join(dir, filepath.FromSlash(f))
			data, err := os.ReadFile(name)
			contents = append(contents, content{name, data, err})
		}
		if after, _ := os.Readlink(filepath.Join(dir, "..data")); after != before && try < tries {
			continue
		}
		r.problems = append(r.problems, listed.problems...)
		for _, c := range contents {
			r.file(c.name, c.data, c.err)
		}
		return
	}
}

// list returns the catalog files of a folder and of those in it. show gives a file the name that people know it by.
func (r *reader) list(fsys fs.FS, dir string, show func(string) string, depth int) []string {
	if depth > maxDepth {
		r.refuse(show(dir), "folders stand more than %d deep in each other; is this a link that leads back?", maxDepth)
		return nil
	}
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		r.refuse(show(dir), "this folder cannot be read: %v", reason(err))
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
			files = append(files, r.list(fsys, name, show, depth+1)...)
		case !isCatalogFile(e.Name()):
		case err != nil:
			r.refuse(show(name), "this file cannot be read: %v", reason(err))
		case !info.Mode().IsRegular():
			r.refuse(show(name), "this is not a regular file")
		default:
			files = append(files, name)
		}
	}
	return files
}

func isCatalogFile(name string) bool {
	ext := path.Ext(name)
	return (ext == ".yaml" || ext == ".yml") && !strings.HasSuffix(strings.TrimSuffix(name, ext), "_test")
}

func (r *reader) file(name string, data []byte, err error) {
	r.files++
	if err != nil {
		r.refuse(name, "this file cannot be read: %v", reason(err))
		return
	}
	before := len(r.problems)
	root, ok := rules.Parse(name, data, &r.problems)
	fields := map[string]rules.Node{}
	if ok {
		fields = root.Fields("instances", "rules")
	}
	for _, item := range fields["instances"].Items() {
		r.instance(item)
	}
	for i := range r.problems[before:] {
		// A line of this part of a catalog may hold a secret that somebody wrote where it does not belong.
		r.problems[before+i].Snippet = ""
	}
	r.catalog.Rules = append(r.catalog.Rules, rules.ReadRules(fields["rules"])...)
}

// finish checks what the files say together.
func (r *reader) finish(what string) (*Catalog, error) {
	c := &r.catalog
	if len(r.problems) == 0 && r.files == 0 {
		r.refuse(what, "there is no catalog file (*.yaml) here")
	}
	if len(r.problems) == 0 && len(c.Instances)+len(c.Rules) == 0 {
		r.refuse(what, "there is no instance and no rule here")
	}
	r.check()
	if len(r.problems) > 0 {
		r.problems.Sort()
		return nil, r.problems
	}
	c.settle(&Catalog{})
	return c, nil
}

// refuse reports something about a whole file or folder.
func (r *reader) refuse(file, format string, args ...any) {
	r.problems = append(r.problems, rules.Problem{Pos: rules.Position{File: file}, Message: fmt.Sprintf(format, args...)})
}

// reason is err without the path, which the position names already.
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
