// Package dynamics speaks the Dataverse Web API of a Dynamics 365 organization. It creates social activities with their
// authors, reads the details of their records, and reads metadata.
//
// # Creating
//
// Every create is create-only (PATCH with If-None-Match: *), under a GUID of our own, so that repeating a request never makes a
// second record. A record that exists already is success. A plain upsert would not do: it overwrites what people changed in the
// record, and of two at the same time one can fail. [Client.Create] says which requests it sends.
//
// # Reading
//
// [Client.Details] reads the record of a link: the target record once the organization has made one, else the social activity.
// Fields are columns that metadata calls valid for the Web API (IsValidODataAttribute). One that the Web API lacks all the same
// is returned as missing and hides no other.
//
// # Time
//
// A call blocks until all its requests are answered. Each request ends after [Options].Timeout, the whole call only with its
// context. Nothing runs in the background; only idle connections stay open.
//
// # Errors
//
// Callers distinguish these failures with errors.As and errors.Is:
//
//   - *[Error] is an answer. It wraps [ErrLogin], [ErrNotDynamics] or [ErrTooLarge] when the answer is not the Web API's own.
//   - *[TokenError] means that there was no token to send a request with.
//   - [ErrGone] ends a link: its record, or its activity, does not exist any more.
//   - All others are the network's own error or the end of the context.
//
// The package does not know rules, links or streams, and does not decide what an error means for a link: the caller does. It
// repeats only two kinds of request: one whose token was refused, and a create whose author's records have been deleted.
package dynamics
