// Package catalog keeps the instances, entities and rules that all workers share. It decides which catalogs are valid, and which
// one is in force.
//
// A Catalog is read from YAML files (Load), or taken from the Store and edited. A Revision is a catalog that was committed:
// immutable, compiled, and named by the SHA-256 of its canonical form. The Store keeps the canonical form as a blob in an object
// store, and the name of the revision in force under the key "current" of a bucket. Every change is compare-and-set on that key,
// whether it comes from files, the API or the console. The loser of a race runs again on the winner's revision, so that every
// check holds for what is committed:
//
//	load the current revision -> edit a copy -> validate, compile, guard -> put the blob -> update the key
//	         ^                                                                                   |
//	         +------------------------------- somebody was faster -------------------------------+
//
// The crash of a committer leaves at most a blob without a revision, which takes space and nothing else.
//
// The guard: an active rule always links to a configured entity of an enabled instance. One check refuses both to remove the entity
// that the rule uses (*InUseError) and to activate the rule without the entity (*UnconfiguredError).
//
// A process that is started with a directory applies it once (ApplyAtStart): the key "started" holds the hash of the catalog that
// the last start applied, so that a restart does not undo what people have changed since.
//
// Live follows the key for a worker. It loads and compiles a revision before it swaps a pointer, so that a revision that cannot be
// loaded never replaces one that works.
//
// The package does not know whether an instance can be reached, what tables it has, or which posts match.
package catalog
