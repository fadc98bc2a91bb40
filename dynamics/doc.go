// Package dynamics speaks the Dataverse Web API of a Dynamics 365 organization: it creates social activities with their
// authors, reads record details and metadata, and says in Error what the other side answered.
//
// Every create is create-only under a GUID of our own, so that repeating a request can never make a second record.
// The package does not know rules, links or streams, and does not decide what an error means for a link: package worker does.
package dynamics
