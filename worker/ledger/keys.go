package ledger

import (
	"encoding/base64"
	"fmt"
	"strings"

	"postlink/payload"
)

// Key says which post: the same id on two networks is two posts.
type Key struct {
	Network string `json:"network"`
	PostID  string `json:"post_id"`
}

// KeyOf names a post.
func KeyOf(p *payload.Post) Key { return Key{Network: p.Network, PostID: p.ID} }

func (k Key) String() string {
	if k.Network == "" {
		return k.PostID
	}
	return k.Network + "/" + k.PostID
}

// PathName names the post in URLs: short, and free of characters that need care.
func (k Key) PathName() string { return PathPrefix + k.Encode() }

// PathPrefix begins what PathName returns, and no other name of a post.
const PathPrefix = "~"

// encoding writes any bytes with the characters that a KV key may have.
var encoding = base64.RawURLEncoding

// Encode writes the key for buckets, headers and URLs: network and id, each encoded, since ids hold colons, dots, spaces
// and wildcards. DecodeKey reads it back.
func (k Key) Encode() string { return token(k.Network) + "." + token(k.PostID) }

// anyNetwork is the filter that finds a post's id on every network.
func anyNetwork(postID string) string { return "*." + token(postID) }

// token is never empty: "=" stands for the empty string, which base64url without padding never makes.
func token(s string) string {
	if s == "" {
		return "="
	}
	return encoding.EncodeToString([]byte(s))
}

// DecodeKey reads what Encode wrote.
func DecodeKey(s string) (Key, error) {
	network, id, ok := strings.Cut(s, ".")
	if !ok {
		return Key{}, fmt.Errorf("ledger key %q: not two tokens", s)
	}
	var k Key
	var err error
	if k.Network, err = untoken(network); err != nil {
		return Key{}, fmt.Errorf("ledger key %q: %w", s, err)
	}
	if k.PostID, err = untoken(id); err != nil {
		return Key{}, fmt.Errorf("ledger key %q: %w", s, err)
	}
	if k.PostID == "" || k.Encode() != s {
		return Key{}, fmt.Errorf("ledger key %q: not one that was encoded here", s)
	}
	return k, nil
}

func untoken(s string) (string, error) {
	if s == "=" {
		return "", nil
	}
	b, err := encoding.DecodeString(s)
	return string(b), err
}
