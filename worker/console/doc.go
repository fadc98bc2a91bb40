// Package console is what people and programs see of a running postlink over HTTP: health, readiness, metrics, and an API of
// resources with an OpenAPI document. It asks and shows; what it shows is decided in package worker and below.
//
// Every request to the API goes through one gateway: it gets an id, is let in or refused by its token's role, is bounded in
// size and time, is counted, and leaves a line in the audit log if it changes something. Operations are declared with their
// Go types, from which the document and the handlers both come. All errors become problems in one table, explain; what it
// does not know is logged under the request's id and answered without a word about why.
//
// Changes of the catalog may carry If-Match with the number of the revision that their author saw. Without it they are
// validated again against whatever is in force.
package console
