// Package console serves a running postlink over HTTP: health, readiness, metrics, and an API of resources with an OpenAPI
// document. It decides the roles that operations need and the form of requests and answers; their content comes from package worker
// and below. Paths, resources and the client are in package api, which programs that only ask can import without this one.
//
// All operations of the API are in one table, operations. Their methods are in the files of their resources; from the types of
// these methods come the checks of requests and the document.
//
// Every request goes through one gateway: it gets an id, is allowed or refused by its token's role, is bounded in size and time,
// ends when NATS is lost, is counted, and leaves a line in the audit log if it is a change. Errors become problems in one
// function, explain. The text of an error that it does not know is logged under the request's id and left out of the answer.
//
// Changes of the catalog may carry If-Match with the revision that their author saw, and are refused when there is a newer one.
// Without it they are validated again against the revision in force.
//
// # The path of a request
//
//	gateway.ServeHTTP    gives it an id, and finds its operation
//	keyring.admit        who asks: 401 without a known token, 403 from elsewhere while there are no tokens
//	gateway.serve        role, body, NATS, time; what is refused here has done nothing
//	huma                 fills the input type of the operation's method, and checks it against the tags
//	handlers             the method asks package desk or the catalog, and makes an api type of what comes back
//	handlers.refuse      after an error: explain makes the problem
//	gateway.ServeHTTP    counts the request, and writes the audit line of a change
//
// /healthz, /readyz and /metrics do not go through the gateway. They need no token, answer without NATS, and are not counted.
//
// Nothing is kept between two requests. What is answered is read from NATS each time, so that the console of any worker gives
// the same answer, and a change that somebody made is seen by the next request. The counts of rules are the exception: each
// process adds them up from the events by itself.
//
// # What an answer says about a change
//
// After a success the change is in NATS. After a problem nothing was changed, with three exceptions: nats-unreachable and timeout
// say in their detail when the change may have been made; internal leaves it open; and a request that reads a record may find that
// it was deleted in Dynamics, and moves the link to broken, although it is a GET. Nothing here repeats a change.
//
// # To add an operation
//
// It takes a path in package api, an entry of operations, and a method of handlers. Its input and output types carry the limits
// and the descriptions, as tags. An error that package desk or the catalog did not have before takes a kind in package api, a
// row in kinds, and a case in explain.
package console
