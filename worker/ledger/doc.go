// Package ledger remembers every link, by post, in a JetStream KV bucket.
//
// The key of an entry is the post; its value is the list of the post's links, one for each generation, of which the last is
// the current one. A decision is frozen by creating the key; every later change is a compare-and-set on the entry's
// revision, so that of two workers that move the same link only one succeeds and the other learns that its view is stale.
//
//	               +---------> linked ---+---> removed (by a person)
//	(decide) queued                      +---> broken  (gone in Dynamics)
//	               +---------> dead
//
//	removed, broken, dead  --(a person links the post again: generation + 1)-->  queued
//
// Keys are never deleted: a removed link stays as a tombstone, so that a replay does not bring it back.
//
// The package knows links and their states. It does not know posts' contents, rules, or how links are delivered.
package ledger
