// Package deploy carries what postlink brings along: the sample catalog and the sample posts that postlink demo plays when it
// is given no others. The files beside it say how to run postlink in containers. The package does not know what a catalog or
// a post is.
package deploy

import (
	"embed"
	"io/fs"
)

//go:embed catalog/*.yaml
var catalog embed.FS

//go:embed posts/sample.ndjson
var posts []byte

// Catalog returns the sample catalog as a tree of files, for catalog.LoadFS.
func Catalog() fs.FS { return catalog }

// SamplePosts returns invented posts of an airline's customers: MSE events, one JSON document a line. The caller must not
// change them.
func SamplePosts() []byte { return posts }
