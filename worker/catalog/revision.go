package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postlink/rules"
)

// Header names a revision, with its author, time and message.
type Header struct {
	ID      string    `json:"id"`      // SHA-256 of the canonical form, in hex: equal catalogs have equal ids
	Number  uint64    `json:"number"`  // grows with every commit, by 1 or more; that of the key's entry in the bucket
	Author  string    `json:"author"`  // who committed it
	Message string    `json:"message"` // why
	At      time.Time `json:"at"`      // when, in UTC
}

// Revision is a committed catalog with its compiled rules. It is shared and must not be changed. Two revisions of the same content
// have the same ID and may share catalog and set; their numbers differ.
type Revision struct {
	Header
	Catalog *Catalog
	Set     *rules.Set
}

// pointer is the value of the key: a revision's header and the name of its blob. The number is that of the key's entry.
type pointer struct {
	Header
	blob string
}

// pointerDocument is pointer as JSON. A worker refuses a document with fields that it does not know, and keeps the revision it has.
type pointerDocument struct {
	ID      string    `json:"id"`
	Blob    string    `json:"blob"`
	Author  string    `json:"author"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

func (p *pointer) encode() ([]byte, error) {
	data, err := json.Marshal(pointerDocument{p.ID, p.blob, p.Author, p.Message, p.At})
	if err != nil {
		return nil, fmt.Errorf("encode the pointer to catalog %s: %w", p.ID, err)
	}
	return data, nil
}

// decodePointer reads an entry of the key. The error is ErrEmpty for one that marks a deletion.
func decodePointer(e jetstream.KeyValueEntry) (*pointer, error) {
	if e.Operation() != jetstream.KeyValuePut {
		return nil, ErrEmpty
	}
	var doc pointerDocument
	dec := json.NewDecoder(bytes.NewReader(e.Value()))
	dec.DisallowUnknownFields()
	err := dec.Decode(&doc)
	if err == nil && (doc.ID == "" || doc.Blob == "") {
		err = errors.New("id or blob is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("read catalog revision %d: %w", e.Revision(), err)
	}
	return &pointer{Header{ID: doc.ID, Number: e.Revision(), Author: doc.Author, Message: doc.Message, At: doc.At}, doc.Blob}, nil
}
