// Package deliver is the second stage of a post's path: it takes links from the outboxes and makes their records in Dynamics,
// for each instance on its own.
//
//	outbox -> attempt -> Outcome -> apply -> settled, or put off
//
// A Deliverer runs a lane for each instance of the catalog. A lane takes an entry of its outbox and attempts it: it looks up
// the link in the ledger, builds the social activity and creates it. Whatever came of that is an error or nil, and classify
// makes an Outcome of it: the only place that decides what a failure means. apply carries the Outcome out: it moves the link,
// writes the dead letter, publishes the event, or lets the link or the whole instance wait.
//
// Beside each lane stands the health of its instance, which says whether links may be sent:
//
//	unknown --(a probe is answered)--> answering --(refusal of the whole instance)--> parked --(a probe is answered)--> answering
//	answering --(429)--> throttled --(the time that it asked for is over)--> answering
//	any --(the catalog disables it)--> disabled --(the catalog enables it)--> what it was
//
// While an instance is parked it is probed after a pause, which doubles while it answers probes and then refuses links for the
// same reason; a link that it takes resets the pause. A person's refresh that is answered, and another worker's probe, make it
// be probed at once. Health also keeps the status that people see; it is written on the side, so that no link waits for it.
//
// An instance that was deleted from the catalog has a lane as long as it has an outbox: its links become dead letters. A lane
// whose instance moves to another address is replaced: what it has under way finishes at the old address.
//
// The package knows nothing of rules.
package deliver
