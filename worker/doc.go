// Package worker puts a postlink process together: New connects the parts, Run runs them. The binary, the tests of the console
// and the container tests all use it, so that they test what runs.
//
// This page is the map and the contract: the path of a post, what a crash leaves behind, and where each thing is kept. Functions
// are named as package.Type.method; go doc -u shows the unexported ones.
//
// # The path of a post
//
//	posts.>            match.Matcher.place    decode; match under the catalog in force
//	                   ledger.Ledger.Freeze   write the decision; it does not change any more
//	                   outbox.Outboxes.Put    queue the link for its instance
//	                   event.Events.Publish   queued
//	                   ack of the post        bus.Consumption.handle, as for every message
//	outbox.<instance>  deliver.lane.attempt   look the link up, build the social activity, create it in Dynamics
//	                   deliver.classify       what the answer means: an Outcome
//	                   deliver.lane.apply     ledger.Ledger.Move, event.Events.Publish
//	                   ack of the entry
//
// Every post ends in exactly one place: not matched, linked, waiting in an outbox, or a dead letter with a reason. There is at
// most one social activity for each generation of a link, whatever breaks on the way, because
//
//   - a decision is frozen in the ledger before anything is sent, and a post that NATS delivers again is looked up there before
//     it is matched;
//   - the activity's GUID is a function of the instance, the post and the generation (payload.ActivityID), and it is created
//     only if absent;
//   - every change of a link is a compare-and-set on its ledger entry: of two workers that move a link one succeeds;
//   - acks come last.
//
// # Where to look
//
//	a 429, and any other answer    deliver.answered makes an Outcome of it, and nothing else does; deliver.health.throttle
//	                               holds the instance back
//	a refusal of all links         deliver.health.park; deliver.health.probe opens the instance again
//	a dead letter for a post       match.Matcher.bury; deliver.lane.apply for an entry that is not ours
//	a dead letter for a link       deliver.lane.publish
//	a link by hand                 desk.Links.Link; desk.Links.Unlink removes it
//	a message is acked or put off  bus.Consumption.handle
//	a catalog comes into force     catalog.Live.Run
//
// # What a crash between two writes leaves
//
// For a link by a rule (package match) the order is ledger, outbox, event, ack. After a crash NATS delivers the post again, and
// each step is safe to repeat:
//
//	after the ledger   the post is found in the ledger and put into the outbox
//	after the outbox   the link is put there a second time while it is queued; the lane that takes the second entry finds the
//	                   link finished, and acks the entry
//	after the event    the same; NATS drops the second event by its id
//
// For a link by hand (package desk) the order is outbox, ledger, event, and the entry carries the decision. Nothing repeats a
// person's request after a crash:
//
//	after the outbox   the lane finds an entry that the ledger does not know, and writes the decision itself
//	after the ledger   the link is delivered; only the event that it is queued is missing
//
// The orders differ because only a post of the stream is delivered a second time. It must be in the ledger before it is queued,
// so that the second delivery finds the decision. A request by hand must be queued first, or a crash would leave a decision
// that nothing delivers.
//
// For an attempt (package deliver) the order is Dynamics, ledger, dead letter if the link is dead, event, ack. After a crash
// NATS delivers the entry again:
//
//	after Dynamics     the create-only request finds the record there, which is success
//	after the ledger   the link is finished; its dead letter and its event are written again, and the entry is acked
//
// # States of a link
//
//	                 +--> linked --+--> removed   by a person
//	decided: queued -+             +--> broken    the record is gone in Dynamics
//	                 +--> dead                    a person has to look; there is a dead letter
//
//	removed, broken, dead  --(a person links the post again: generation + 1)-->  queued
//
// Package ledger holds this table; a removed link stays as a tombstone, so that a replay does not bring it back.
//
// # States of a lane
//
// A lane is the deliveries of one worker to one instance. Its health decides whether links are sent (deliver.health):
//
//	            a probe is answered            a 429
//	          ---------------------->        --------->
//	parked                             open              throttled
//	          <----------------------        <---------
//	           a refusal of all links        its time is over
//
//	parked      nothing is sent; a probe is sent every 15 s, after repeated refusals up to every 5 minutes; each lane starts here
//	open        links are sent, at most Options.Slots at once
//	throttled   nothing is sent for as long as a 429 asked; 10 s when it carries no Retry-After
//	disabled    nothing is sent while the catalog disables the instance, whatever else holds
//
// No attempt is counted while the instance holds a link back. A link that fails on its own waits 1 s, doubled with each attempt
// up to 5 minutes, and is dead when it fails again more than Options.MaxAge after its first failure.
//
// # Limits and ages
//
//	posts stream     7 days; a stream of the ingestion's own keeps its settings
//	ledger           400 days after the last change, always longer than the posts stream
//	outbox           no age, no limit of deliveries; takes 1,000,000 links, then further posts wait in their stream
//	posts put off    50,000 at most, over all workers, before a full outbox holds up the posts of other instances
//	dead letters     30 days
//	events           8 days; counts of rules go back 7
//	ack wait         30 s; the delivery of a link extends its own by progress messages
//	one attempt      45 s, all its requests together
//	failing link     7 days after its first failure it is dead
//	stopping         10 s for posts under way, 20 s for links; the rest is given back at once
//
// # Rooms
//
// Each thing that we keep in NATS has one package that alone knows its subject, keys, format and listing:
//
//	bus          connection, embedded server, declaring, consuming with slots, reading backwards
//	posts        the stream of posts
//	ledger       links, by post
//	outbox       links that wait for an instance
//	deadletter   posts and links that a person has to look at
//	event        changes of links, and counts for each rule
//	instance     the status of each instance, for people
//	catalog      instances, entities and rules, as revisions, with the guard on removals
//
// On top of them:
//
//	match        stage one; knows nothing of Dynamics
//	deliver      stage two; knows nothing of rules
//	desk         what people do by hand: find, list, link, unlink, redrive, administer
//	console      the HTTP server: API, health and metrics; console/api is its client
//
// The two stages are apart because they live at different speeds: matching runs at the speed of a processor, Dynamics at tens
// of requests a second. An instance that is slow, throttled, parked or disabled fills its own outbox only.
//
// # Outside of this contract
//
// Dynamics' own automations, records that others delete or merge there, and data that NATS itself loses.
package worker
