package catalog

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"postlink/dynamics"
	"postlink/rules"
)

// format is the version of the canonical form. A worker refuses one that it does not know, and keeps what it has.
const format = 1

// document is the canonical form of a settled catalog: its JSON has one spelling for each catalog, so that its hash can name
// the revision.
type document struct {
	Format    int                 `json:"format"`
	Instances []dynamics.Instance `json:"instances"`
	Rules     []ruleDocument      `json:"rules"`
}

type ruleDocument struct {
	Name     string `json:"name"`
	Active   bool   `json:"active,omitempty"`
	When     string `json:"when"`
	Instance string `json:"instance"`
	Entity   string `json:"entity"`
	Notes    string `json:"notes,omitempty"`
	Age      uint64 `json:"age"`

	Since time.Time `json:"since,omitzero"`
}

// encode returns the canonical form of a settled catalog, and its hash in hex.
func encode(c *Catalog) (id string, data []byte, err error) {
	doc := document{Format: format, Instances: c.Instances, Rules: make([]ruleDocument, len(c.Rules))}
	for i, r := range c.Rules {
		doc.Rules[i] = ruleDocument{r.Name, r.Active, r.When, r.Link.Instance, r.Link.Entity, r.Link.Notes, r.Age, r.Since}
	}
	data, err = json.Marshal(doc)
	if err != nil {
		return "", nil, fmt.Errorf("encode the catalog: %w", err)
	}
	return hash(data), data, nil
}

// decode is the inverse of encode, and refuses anything whose hash is not id.
func decode(id string, data []byte) (*Catalog, error) {
	if got := hash(data); got != id {
		return nil, fmt.Errorf("the stored content has the hash %s: it is damaged; apply the catalog again", got)
	}
	var doc document
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(&doc)
	if doc.Format > format {
		return nil, fmt.Errorf("format %d is newer than this postlink understands; update it", doc.Format)
	}
	if err != nil {
		return nil, fmt.Errorf("decode the catalog: %w", err)
	}
	c := &Catalog{Instances: doc.Instances, Rules: make([]rules.Rule, len(doc.Rules))}
	for i, r := range doc.Rules {
		c.Rules[i] = rules.Rule{Name: r.Name, Active: r.Active, When: r.When, Age: r.Age, Since: r.Since,
			Link: rules.Link{Instance: r.Instance, Entity: r.Entity, Notes: r.Notes}}
	}
	return c, nil
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// pack compresses a canonical form: conditions repeat themselves, and a large catalog is stored many times.
func pack(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, werr := w.Write(data)
	if err := errors.Join(werr, w.Close()); err != nil {
		return nil, fmt.Errorf("compress the catalog: %w", err)
	}
	return b.Bytes(), nil
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("decompress the catalog: %w", err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("decompress the catalog: %w", err)
	}
	return data, nil
}
