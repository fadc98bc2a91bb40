package payload

import (
	"encoding/binary"
	"strconv"

	"github.com/google/uuid"
)

// space is the name space of every identity that postlink derives. A change would create a second record for every link.
var space = uuid.MustParse("6f1f1d4e-3c39-5b0e-9a52-0d8a8f6f7a11")

// ActivityID is the GUID of the social activity that a post becomes, and so the id of its link. The network is Post.Network,
// the post's id Post.ID; the same id on two networks is two posts. It depends on nothing but its arguments: not on the rule,
// so that no change of rules between two deliveries can make a second record.
//
// The instance is its name in the catalog: an instance under a new name gets other ids for the same posts. A new generation gets
// a new id, because a record that a person removed is not used again.
func ActivityID(instance, network, postID string, generation int) uuid.UUID {
	return derive("activity", instance, network, postID, strconv.Itoa(generation))
}

// ContactID is the GUID of the contact that we create for an author whom the instance does not know. The network is
// Post.Network, the author's id Author.ID. It has no generation: all posts of an author share the contact. An author whom one
// event names by an external id and another one only by a handle has two values of Author.ID, and so two contacts.
func ContactID(instance, network, authorID string) uuid.UUID {
	return derive("contact", instance, network, authorID)
}

// ProfileID is the GUID of the social profile that we create for the same author. The arguments are those of ContactID; the two
// GUIDs differ because the kind of record is hashed too.
func ProfileID(instance, network, authorID string) uuid.UUID {
	return derive("profile", instance, network, authorID)
}

// derive makes a version 5 UUID (RFC 9562). It hashes length-prefixed parts, so that ("a", "bc") and ("ab", "c") differ.
func derive(parts ...string) uuid.UUID {
	var name []byte
	for _, p := range parts {
		name = binary.AppendUvarint(name, uint64(len(p)))
		name = append(name, p...)
	}
	return uuid.NewSHA1(space, name)
}
