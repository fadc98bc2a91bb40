package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"postlink/payload"
	"postlink/worker/bus"
	"postlink/worker/ledger"
)

// scanned is how many of the newest posts are looked through for one that the ledger does not know.
const scanned = 20_000

// Found is a post with what is known of it.
type Found struct {
	Key      ledger.Key
	Sequence uint64        // in the posts stream; 0 for a post that never was there
	Post     *payload.Post // nil when the stream keeps the post no longer
	Data     []byte        // as it arrived
	Entry    *ledger.Entry // nil when it was never linked
}

// Ways to name a post, besides its plain id.
const (
	bySequence = "@" // @17: by its place in the posts stream, which lists show
	byKey      = "~" // ~dHdpdHRlcg.MQ: network and id, encoded, as the links in records have it
)

// PostURLName names a post in URLs: short, and free of characters that need care.
func PostURLName(post ledger.Key) string { return byKey + post.Encode() }

// Find looks a post up by its sequence (@17), its id, or network and id (twitter/17): in the ledger first, then among the
// newest posts of the stream.
func (l *Linker) Find(ctx context.Context, name string) (Found, error) {
	switch {
	case strings.HasPrefix(name, bySequence):
		sequence, err := strconv.ParseUint(name[1:], 10, 64)
		if err != nil || sequence == 0 {
			return Found{}, unknownPost(name)
		}
		return l.atSequence(ctx, name, sequence)
	case strings.HasPrefix(name, byKey):
		key, err := ledger.DecodeKey(name[1:])
		if err != nil {
			return Found{}, unknownPost(name)
		}
		return l.withID(ctx, name, key.PostID, key.Network, true)
	}
	found, err := l.withID(ctx, name, name, "", false)
	var refusal *Refusal
	network, id, slashed := strings.Cut(name, "/")
	if slashed && errors.As(err, &refusal) && refusal.Kind == RefusedPostUnknown {
		return l.withID(ctx, name, id, strings.ToLower(network), true)
	}
	return found, err
}

func unknownPost(name string) error {
	return &Refusal{Kind: RefusedPostUnknown, Text: fmt.Sprintf(
		"there is no post %q among the linked ones and the newest %d of the stream; name it by its place, as in @17, or give the post itself", name, scanned)}
}

func (l *Linker) atSequence(ctx context.Context, name string, sequence uint64) (Found, error) {
	m, err := l.opts.Bus.Post(ctx, sequence)
	if errors.Is(err, bus.ErrNoPost) {
		return Found{}, unknownPost(name)
	}
	if err != nil {
		return Found{}, err
	}
	post, err := payload.DecodePost(m.Data)
	if err != nil {
		return Found{}, &Refusal{Kind: RefusedPostInvalid, Text: fmt.Sprintf("post %s cannot be read: %v", name, err)}
	}
	found := Found{Key: ledger.Key{Network: post.Source, PostID: post.ID}, Sequence: sequence, Post: post, Data: m.Data}
	entry, err := l.opts.Ledger.Find(ctx, found.Key)
	if err == nil {
		found.Entry = &entry
	} else if !errors.Is(err, ledger.ErrNotFound) {
		return Found{}, err
	}
	return found, nil
}

// withID finds the post of an id, on one network or on any.
func (l *Linker) withID(ctx context.Context, name, id, network string, oneNetwork bool) (Found, error) {
	if id == "" {
		return Found{}, unknownPost(name)
	}
	entries, err := l.opts.Ledger.FindID(ctx, id)
	if err != nil {
		return Found{}, err
	}
	var fit []ledger.Entry
	for _, e := range entries {
		if !oneNetwork || e.Post.Network == network {
			fit = append(fit, e)
		}
	}
	switch len(fit) {
	case 0:
		return l.scan(ctx, name, id, network, oneNetwork)
	case 1:
		return l.withEntry(ctx, fit[0])
	}
	keys := make([]string, len(fit))
	for i, e := range fit {
		keys[i] = e.Post.String()
	}
	return Found{}, &Refusal{Kind: RefusedPostAmbiguous,
		Text: fmt.Sprintf("several networks have a post %s; name one of: %s", id, strings.Join(keys, ", "))}
}

// withEntry reads the post of a ledger entry from the stream, if it is still there.
func (l *Linker) withEntry(ctx context.Context, entry ledger.Entry) (Found, error) {
	found := Found{Key: entry.Post, Sequence: entry.Sequence, Entry: &entry}
	if entry.Sequence == 0 {
		return found, nil
	}
	m, err := l.opts.Bus.Post(ctx, entry.Sequence)
	if errors.Is(err, bus.ErrNoPost) {
		return found, nil
	}
	if err != nil {
		return Found{}, err
	}
	post, err := payload.DecodePost(m.Data)
	if err == nil && post.ID == entry.Post.PostID && post.Source == entry.Post.Network { // a stream made anew counts from 1 again
		found.Post, found.Data = post, m.Data
	}
	return found, nil
}

func (l *Linker) scan(ctx context.Context, name, id, network string, oneNetwork bool) (Found, error) {
	var found *Found
	left := scanned
	err := l.opts.Bus.PostsBefore(ctx, 0, func(m bus.Message) bool {
		if left--; left < 0 {
			return false
		}
		if !bytes.Contains(m.Data, []byte(id)) {
			return true
		}
		post, err := payload.DecodePost(m.Data)
		if err == nil && post.ID == id && (!oneNetwork || post.Source == network) {
			found = &Found{Key: ledger.Key{Network: post.Source, PostID: id}, Sequence: m.Sequence, Post: post, Data: m.Data}
		}
		return found == nil
	})
	if err != nil {
		return Found{}, err
	}
	if found == nil {
		return Found{}, unknownPost(name)
	}
	return *found, nil
}
