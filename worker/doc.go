// Package worker puts a postlink process together: New connects the parts, Run runs them. The binary, the tests of the console
// and the container tests all use it, so that they test what runs.
//
// This page is the map and the contract: what a post goes through, what a crash leaves behind, and where each thing is kept.
//
// # The path of a post
//
//	posts.>            match.Matcher.place    decode; match under the catalog in force
//	                   ledger.Ledger.Freeze   the decision stands from here on
//	                   outbox.Outboxes.Put    one queue for each instance
//	                   ack of the post
//	outbox.<instance>  deliver.lane.attempt   look the link up, build the social activity, create it in Dynamics
//	                   deliver.classify       what the answer means: an Outcome
//	                   deliver.lane.apply     ledger.Ledger.Move, event.Events.Publish, ack of the entry
//
// Every post ends in exactly one place: not matched, linked, waiting in an outbox, or a dead letter with a reason. Every link
// makes at most one social activity for each generation, whatever breaks on the way, because
//
//   - a decision is frozen in the ledger before anything is sent, and a post that is delivered again is looked up there before
//     it is matched;
//   - the activity's GUID is a function of the instance, the post and the generation (payload.ActivityID), and it is created
//     only if absent;
//   - every change of a link is a compare-and-set on its ledger entry: of two workers that move a link one succeeds;
//   - acks come last.
//
// # What a crash between two writes leaves
//
// By rule the order is ledger, outbox, event, ack. NATS delivers the post again, and each step is safe to repeat:
//
//	after the ledger   the post comes again, is found in the ledger and put into the outbox
//	after the outbox   the same; the second entry finds the link finished and is settled
//	after the event    the same; the event's id lets NATS drop its repetition
//
// By hand nothing is delivered again, so the order is outbox, ledger, event, and the entry carries the decision:
//
//	after the outbox   the lane finds an entry that the ledger does not know, and makes the decision itself
//	after the ledger   the link is delivered; only the event that it is queued is missing
//
// The two orders differ because a replay of the posts stream must find out that a post is linked before anything is queued,
// and because a person's request has no second delivery.
//
// In an attempt the order is Dynamics, ledger, dead letter where it is one, event, ack:
//
//	after Dynamics     the entry comes again; the create-only request finds the record there, which is success
//	after the ledger   the entry comes again, finds the link finished and publishes what became of it
//
// # States of a link
//
//	                 +--> linked --+--> removed   by a person
//	decided: queued -+             +--> broken    the record is gone in Dynamics
//	                 +--> dead                    a person has to look
//
//	removed, broken, dead  --(a person links the post again: generation + 1)-->  queued
//
// Package ledger holds this table; a removed link stays as a tombstone, so that a replay does not bring it back.
//
// # States of a lane
//
// A lane is the deliveries of one worker to one instance. Its health says whether links are sent (package deliver has more):
//
//	parked      nothing is sent; a probe every 15 s, after repeated refusals up to 5 minutes, opens it. A lane starts so
//	throttled   nothing is sent until the time that a 429 named; 10 s when it named none
//	disabled    nothing is sent while the catalog says so
//	open        links are sent, at most Options.Slots at once
//
// Links that wait for their instance burn no attempt. A link that fails on its own waits 1 s, doubled with each attempt up to 5
// minutes, and is dead once it has failed for Options.MaxAge. A 429, and everything else that Dynamics says, is read in
// deliver.answered.
//
// # Limits and ages
//
//	posts stream     7 days; a stream of the ingestion's own keeps its settings
//	ledger           400 days after the last change, always longer than the posts stream
//	outbox           no age, no limit of deliveries; refuses the link after 1,000,000, and its posts wait in their stream
//	dead letters     30 days
//	events           8 days; counts of rules go back 7
//	ack wait         30 s for a post and for a link, which says that it is in progress while it takes longer
//	one attempt      45 s, all its requests together
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
//	deadletter   what a person has to look at: written by match (posts) and deliver (links)
//	event        what happened, and counts for each rule
//	instance     what is known of each instance, for people
//	catalog      instances, entities and rules, as revisions, with the guard on removals
//
// On top of them:
//
//	match        stage one; knows nothing of Dynamics
//	deliver      stage two; knows nothing of rules
//	desk         what people do by hand: find, list, link, unlink, redrive, administer
//	console      all of it over HTTP
//
// The two stages are apart because they live at different speeds: matching runs at the speed of a processor, Dynamics at tens
// of requests a second. An instance that is slow, throttled, parked or disabled fills its own outbox only.
//
// # What is outside of the promise
//
// What Dynamics' own automations do, records that others delete or merge, and what NATS itself loses.
package worker
