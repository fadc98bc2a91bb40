package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"postlink/payload"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/ledger"
)

// searched bounds how many posts or links one page of a filtered list looks through; a page may have fewer rows than asked
// for, and still a next one.
const searched = 5_000

// Reader lists what there is: posts, links, dead letters, the newest first. It changes nothing.
type Reader struct {
	bus     *bus.Bus
	ledger  *ledger.Ledger
	catalog func() *catalog.Revision
}

// NewReader makes a Reader; revision gives the catalog in force, nil while there is none.
func NewReader(b *bus.Bus, l *ledger.Ledger, revision func() *catalog.Revision) (*Reader, error) {
	if b == nil || l == nil || revision == nil {
		return nil, errors.New("make a reader: bus, ledger and catalog are needed")
	}
	return &Reader{bus: b, ledger: l, catalog: revision}, nil
}

// Page is a part of a list.
type Page[T any] struct {
	Rows []T
	Next uint64 // where the next page begins; 0 when there is none
}

// PostRow is a post of the stream with its link.
type PostRow struct {
	Sequence uint64
	At       time.Time // when it arrived
	Key      ledger.Key
	Post     *payload.Post // nil when it cannot be decoded
	Problem  string        // why it cannot
	Entry    *ledger.Entry // nil when it was never linked
	Instance string        // the instance's present name, of an active link; empty when the post can be linked
}

// Values of PostFilter.Link.
const (
	PostsLinked   = "linked"   // a record was made
	PostsQueued   = "queued"   // a link is on its way
	PostsDead     = "dead"     // the last link could not be made
	PostsUnlinked = "unlinked" // no active link
)

// PostFilter chooses posts; its zero value takes all.
type PostFilter struct {
	Link string // one of the values above
	Rule string // of the post's newest link
}

func (f PostFilter) takes(row PostRow) bool {
	var link *ledger.Link
	if row.Entry != nil {
		link = row.Entry.Current()
	}
	if f.Rule != "" && (link == nil || link.Rule != f.Rule) {
		return false
	}
	switch f.Link {
	case "":
		return true
	case PostsUnlinked:
		return row.Instance == ""
	case PostsLinked, PostsQueued:
		return row.Instance != "" && string(link.State) == f.Link
	default:
		return link != nil && string(link.State) == f.Link
	}
}

// Posts lists posts below a sequence (0: from the newest on), at most limit of them.
func (r *Reader) Posts(ctx context.Context, f PostFilter, below uint64, limit int) (Page[PostRow], error) {
	home, err := r.home(ctx)
	if err != nil {
		return Page[PostRow]{}, err
	}
	var page Page[PostRow]
	left := searched
	var failed error
	err = r.bus.PostsBefore(ctx, below, func(m bus.Message) bool {
		var row PostRow
		if row, failed = r.row(ctx, home, m); failed != nil {
			return false
		}
		if f.takes(row) {
			page.Rows = append(page.Rows, row)
		}
		left--
		if len(page.Rows) == limit || left == 0 {
			page.Next = m.Sequence
			return false
		}
		return true
	})
	if page.Next == 1 {
		page.Next = 0
	}
	return page, errors.Join(err, failed)
}

func (r *Reader) row(ctx context.Context, home home, m bus.Message) (PostRow, error) {
	row := PostRow{Sequence: m.Sequence, At: m.At}
	post, err := payload.DecodePost(m.Data)
	if err != nil {
		row.Problem = err.Error()
		return row, nil
	}
	row.Post = post
	row.Key = ledger.Key{Network: post.Source, PostID: post.ID}
	entry, err := r.ledger.Find(ctx, row.Key)
	if errors.Is(err, ledger.ErrNotFound) {
		return row, nil
	}
	if err != nil {
		return row, err
	}
	row.Entry = &entry
	row.Instance = home.active(entry.Current())
	return row, nil
}

// LinkRow is the current link of a post.
type LinkRow struct {
	Entry     ledger.Entry
	Instance  string // the instance's present name; empty when it is not in the catalog any more
	ChangedAt time.Time
}

// LinkFilter chooses links; its zero value takes all.
type LinkFilter struct {
	State    ledger.State
	Instance string // as it is called now
	Rule     string
}

// Links lists the current links of posts whose last change is below a cursor (0: from the newest on), at most limit of them.
func (r *Reader) Links(ctx context.Context, f LinkFilter, below uint64, limit int) (Page[LinkRow], error) {
	home, err := r.home(ctx)
	if err != nil {
		return Page[LinkRow]{}, err
	}
	var page Page[LinkRow]
	left := searched
	var failed error
	err = r.bus.LedgerBefore(ctx, below, func(_ string, m bus.Message) bool {
		row := LinkRow{ChangedAt: m.At}
		if failed = json.Unmarshal(m.Data, &row.Entry); failed != nil {
			failed = fmt.Errorf("read the ledger at %d: %w", m.Sequence, failed)
			return false
		}
		link := row.Entry.Current()
		row.Instance, _ = home.of(link)
		if (f.State == "" || f.State == link.State) && (f.Instance == "" || f.Instance == row.Instance) && (f.Rule == "" || f.Rule == link.Rule) {
			page.Rows = append(page.Rows, row)
		}
		left--
		if len(page.Rows) == limit || left == 0 {
			page.Next = m.Sequence
			return false
		}
		return true
	})
	return page, errors.Join(err, failed)
}

func (r *Reader) home(ctx context.Context) (home, error) {
	revision := r.catalog()
	if revision == nil {
		return home{}, nil
	}
	return homes(ctx, r.bus, revision.Catalog)
}

// Kinds of dead letters.
const (
	DeadPost = "post" // could not be read, or crashed its handling
	DeadLink = "link" // was matched, but its record could not be made
)

// DeadRow is a dead letter.
type DeadRow struct {
	Sequence   uint64
	At         time.Time
	Kind       string     // DeadPost or DeadLink
	Instance   string     // of a link
	Key        ledger.Key // of a link's post
	Generation int        // of a link
	Reason     string
	Stack      string // of a crash
	Cut        bool   // the post was too large to be kept whole
	Data       []byte // the post as it arrived
}

// Dead lists dead letters of a kind (all when empty) below a sequence (0: from the newest on), at most limit of them.
func (r *Reader) Dead(ctx context.Context, kind string, below uint64, limit int) (Page[DeadRow], error) {
	subject := map[string]string{"": ">", DeadPost: bus.DeadPost, DeadLink: bus.DeadLink}[kind]
	var page Page[DeadRow]
	err := r.bus.DeadLettersBefore(ctx, subject, below, func(m bus.Message) bool {
		page.Rows = append(page.Rows, deadRow(m))
		if len(page.Rows) == limit {
			page.Next = m.Sequence
		}
		return len(page.Rows) < limit
	})
	return page, err
}

// DeadLetter reads one dead letter.
func (r *Reader) DeadLetter(ctx context.Context, sequence uint64) (DeadRow, error) {
	m, err := r.bus.DeadLetter(ctx, sequence)
	if errors.Is(err, bus.ErrNoLetter) {
		return DeadRow{}, &Refusal{Kind: RefusedLetterUnknown, Text: err.Error()}
	}
	return deadRow(m), err
}

func deadRow(m bus.Message) DeadRow {
	row := DeadRow{
		Sequence: m.Sequence, At: m.At, Kind: DeadPost, Data: m.Data,
		Reason: m.Header.Get(headerReason), Stack: m.Header.Get(headerStack), Cut: m.Header.Get(bus.DeadCut) != "",
	}
	if encoded := m.Header.Get(headerPost); encoded != "" {
		row.Kind = DeadLink
		row.Instance = m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		row.Key, _ = ledger.DecodeKey(encoded) // we wrote it
		row.Generation, _ = strconv.Atoi(m.Header.Get(headerGeneration))
	}
	return row
}
