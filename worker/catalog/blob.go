package catalog

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postlink/dynamics"
	"postlink/rules"
	"postlink/worker/bus"
)

const (
	blobWait = time.Minute // the longest time that an up- or download of a catalog may take

	// A blob can arrive a moment after the pointer to it, on another server of a cluster.
	blobTries = 5
	blobPause = 20 * time.Millisecond
)

// format is the version of the canonical form. A worker refuses one that it does not know, and keeps what it has.
const format = 1

// document is the canonical form of a normalized catalog: equal catalogs have the same JSON, so that its hash can name the revision.
type document struct {
	Format    int                 `json:"format"`
	Instances []dynamics.Instance `json:"instances"`
	Rules     []ruleDocument      `json:"rules"`
}

// ruleDocument is a rule in the canonical form. Its fields are not those of rules.Rule, so that a change there cannot change the
// hashes of stored catalogs.
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

// encode returns the canonical form of a normalized catalog, and its hash in hex.
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

// decode is the inverse of encode, and refuses anything whose hash is not id. The format is looked at before the error of the
// decoder: a newer format usually has fields that this postlink does not know, and the message is to name the cause.
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

// hash is the id of a revision with that canonical form.
func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// pack compresses a canonical form. Conditions resemble each other, and a large catalog is stored for each revision.
func pack(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, werr := w.Write(data)
	if err := errors.Join(werr, w.Close()); err != nil {
		return nil, fmt.Errorf("compress the catalog: %w", err)
	}
	return b.Bytes(), nil
}

// unpack is the inverse of pack.
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

// draft is content that was uploaded for a commit that is not finished. One draft serves all tries of a commit: after a lost race
// the same content need not be uploaded again. The zero value is no draft.
type draft struct {
	id   string
	blob string
	kept bool // a pointer names it, or may
}

// upload stores the content of next under a name of its own, unless d holds it already.
func (s *Store) upload(ctx context.Context, next *Revision, d *draft) error {
	id, data, err := encode(next.Catalog)
	if err != nil {
		return err
	}
	next.ID = id
	if d.id == id {
		return nil
	}
	s.discard(ctx, *d)
	packed, err := pack(data)
	if err != nil {
		return err
	}
	// A name is never used twice. So a blob without a pointer can be deleted while others upload the same catalog.
	*d = draft{id: id, blob: id + "." + rand.Text()}
	ctx, cancel := context.WithTimeout(ctx, blobWait)
	defer cancel()
	if _, err := s.blobs.PutBytes(ctx, d.blob, packed); err != nil {
		return fmt.Errorf("store catalog %s: %w", id, bus.Unreachable(err))
	}
	return nil
}

// discard deletes a draft that no pointer names. A blob that cannot be deleted takes space and does no other harm.
func (s *Store) discard(ctx context.Context, d draft) {
	if d.blob != "" && !d.kept {
		s.remove(ctx, d.blob)
	}
}

// remove deletes a blob, also when ctx has ended.
func (s *Store) remove(ctx context.Context, blob string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = s.blobs.Delete(ctx, blob)
}

// leaving names the blob of the revision that the next one pushes out of the history. Only the winner of that step may delete it.
func (s *Store) leaving(ctx context.Context, number uint64) string {
	if number < jetstream.KeyValueMaxHistory {
		return ""
	}
	e, err := s.oldest(ctx, number)
	if err != nil {
		return ""
	}
	p, err := decodePointer(e)
	if err != nil {
		return ""
	}
	return p.blob
}

// oldest returns the first entry of a full history, given the number of the last one. Both keys of the bucket take numbers from one
// sequence: when the other key was written within this history, the number of the first entry is unknown and the history is read.
func (s *Store) oldest(ctx context.Context, number uint64) (jetstream.KeyValueEntry, error) {
	first := number - jetstream.KeyValueMaxHistory + 1
	other, err := s.kv.Get(ctx, started)
	if errors.Is(err, jetstream.ErrKeyNotFound) || err == nil && other.Revision() < first {
		return s.kv.GetRevision(ctx, key, first)
	}
	if err != nil {
		return nil, err
	}
	entries, err := s.kv.History(ctx, key)
	if err != nil {
		return nil, err
	}
	if len(entries) < jetstream.KeyValueMaxHistory || entries[len(entries)-1].Revision() != number {
		return nil, errStale
	}
	return entries[0], nil
}

// fetch downloads, decodes and compiles the content of a revision. What was valid when it was committed is checked again, because
// another version of postlink may have committed it.
func (s *Store) fetch(ctx context.Context, p *pointer) (*Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, blobWait)
	defer cancel()
	packed, err := s.blobs.GetBytes(ctx, p.blob)
	for try := 1; errors.Is(err, jetstream.ErrObjectNotFound) && try < blobTries; try++ {
		if err := pause(ctx, blobPause); err != nil {
			return nil, err
		}
		packed, err = s.blobs.GetBytes(ctx, p.blob)
	}
	if err != nil {
		return nil, err
	}
	data, err := unpack(packed)
	if err != nil {
		return nil, err
	}
	c, err := decode(p.ID, data)
	if err != nil {
		return nil, err
	}
	set, err := c.Compile()
	if err != nil {
		return nil, err
	}
	return &Revision{p.Header, c, set}, nil
}
