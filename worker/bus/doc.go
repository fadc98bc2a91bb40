// Package bus declares everything that postlink keeps in NATS JetStream, in one place: the stream of posts, an outbox for
// each instance, dead letters, events, and the buckets of the ledger, the catalog and the instances, each with its limits.
// It also runs the embedded server for those who have no NATS of their own.
//
// It knows names, subjects and limits. It does not know what a post, a rule or a link is.
package bus
