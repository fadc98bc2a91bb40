// Package catalog keeps the instances, entities and rules that all workers share. It decides what a valid catalog is, and
// which one is in force.
//
// A Catalog is read from YAML files (Load), or taken from the Store and edited. A Revision is a catalog that was committed:
// immutable, compiled, and named by the SHA-256 of its canonical form. The Store keeps the canonical form in an object store
// and the name of the revision in force under one key; every change, wherever it comes from, is compare-and-set on that key.
// The loser of a race runs again on what the winner left, so that whatever is checked holds for what is committed:
//
//	load the current revision -> edit a copy -> validate, compile, guard -> put the blob -> update the key
//	         ^                                                                                   |
//	         +------------------------------- somebody was faster -------------------------------+
//
// The guard: the link of an active rule always leads to a configured entity of an enabled instance. The same check therefore
// refuses to take the entity away from the rule (*InUseError) and to activate the rule without it (*TargetError).
//
// Live follows the key for a worker: it loads and compiles first and swaps a pointer then, so that a revision that cannot be
// loaded never replaces one that works.
//
// The package does not know whether an instance can be reached, what tables it has, or which posts match.
package catalog
