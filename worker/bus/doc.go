// Package bus speaks to NATS JetStream for all packages that keep something there: it connects, runs the embedded server for
// those who have no NATS of their own, declares streams, buckets and consumers, takes messages with a bounded number of
// handlers, and reads streams backwards.
//
// # What is ours
//
// Everything that postlink makes is named after Options.Namespace ("postlink" unless configured otherwise): streams
// POSTLINK_DEAD, buckets postlink_ledger, subjects postlink.dead.>. It carries the metadata {"postlink": "<format version>"}.
// Declare functions bring what is ours to the wanted limits, and refuse with ErrForeign what has our name but not our mark:
// somebody else made it, and nothing of it is changed.
//
// # Errors
//
// NATS that does not answer is ErrUnreachable, whichever call found out; Unreachable is the one place that knows the errors
// that mean it.
//
// The package does not know what a post, a rule or a link is.
package bus
