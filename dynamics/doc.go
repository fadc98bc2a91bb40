// Package dynamics speaks the Dataverse Web API of a Dynamics 365 organization: it creates social activities with their
// authors, reads record details and metadata, and says in Error what the other side answered.
//
// Every create is create-only under a GUID of our own, so that repeating a request can never make a second record. What exists
// already is success.
//
// Three kinds of failure can be told apart with errors.As and errors.Is: *Error is an answer (of Dynamics, or of something
// else at its address: ErrLogin, ErrNotDynamics), *TokenError means that there was no token to ask with, and everything else is
// the network's own error or the end of the context. What ends a link is ErrGone.
//
// The package does not know rules, links or streams, and does not decide what an error means for a link: package worker does.
// It repeats nothing but a request whose token was refused, and one whose author's records have gone.
package dynamics
