// Package deliver is the second stage of a post's path: it takes links from the outboxes and makes their records in Dynamics,
// for each instance on its own.
//
//	outbox -> attempt -> Outcome -> apply -> ack, or deliver again later
//
// A Deliverer runs a lane for each instance of the catalog. A lane takes an entry of its outbox and attempts it: it looks up
// the link in the ledger, builds the social activity and creates it. That returns an error or nil, and classify makes an
// Outcome of it: the only place that decides what a failure means. apply carries the Outcome out: it moves the link, writes the
// dead letter, publishes the event, or lets the link or the whole instance wait.
//
// Beside each lane stands the health of its instance, which says whether links may be sent:
//
//	parked --(a probe is answered)--> open --(a refusal of all links)--> parked
//	open --(429)--> throttled --(the time that it asked for is over)--> open
//	any --(the catalog disables it)--> disabled --(the catalog enables it)--> the state before
//
// A lane starts parked, without a reason to show. A parked instance is probed after a pause. The pause doubles each time the
// instance answers a probe and then refuses links for the same reason; a link that it accepts resets it. When a person's refresh
// or another worker's probe is answered, the next probe is sent at once. Health also keeps the status that people see; a
// goroutine of its own writes it, so that no link waits for it.
//
// An instance that was deleted from the catalog has a lane as long as it has an outbox: its links become dead letters. A lane
// whose instance moves to another address is replaced: what it has under way finishes at the old address.
//
// The package knows nothing of rules.
package deliver
