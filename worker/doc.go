// Package worker is the road of a post: Matcher takes posts from their stream, decides once which rule takes them and puts
// the links into outboxes; Deliverer takes links from the outboxes and makes the records in Dynamics; Linker does by hand
// what rules do by themselves, and what only people do.
//
// # The delivery contract
//
// Every post ends in exactly one place: not matched, linked, waiting in an outbox, or dead-lettered with a reason. Every link
// makes at most one social activity for each generation, whatever breaks on the way, because
//
//   - a decision is frozen in the ledger before anything is sent, and a post that is delivered a second time reads it back
//     instead of being matched again;
//   - the activity's GUID is a function of the instance, the post and the generation, and it is created only if absent;
//   - every change of a link is a compare-and-set, so a worker that lost a link to another one cannot settle it;
//   - acks come last: post -> ledger -> outbox -> ack, and outbox -> Dynamics -> ledger -> event -> ack. A crash between any
//     two of these repeats steps that are safe to repeat.
//
// What a failed delivery means (again later, the whole instance waits, a person has to look) is decided in judge, and
// nowhere else. Package ledger has the diagram of a link's states.
//
// # Two stages
//
// Matching runs at the speed of a processor, Dynamics at tens of requests a second. Each instance has an outbox and
// deliveries of its own, so one that is slow, throttled, parked or disabled fills its own outbox only.
package worker
