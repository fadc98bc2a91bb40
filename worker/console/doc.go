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
package console
