// Package sandbox is a simulated Dynamics 365 instance. It is an http.Handler that speaks the part of the Dataverse Web API
// that postlink uses, refuses what Dynamics refuses, fails on demand, and logs every request. Tests and the demo count its
// records and read its log, independently of what the worker reports.
//
// A [Sandbox] is one organization; a [Mux] plays several below one address. One schema decides what can be written, read,
// filtered and found in metadata. Records are packed, so that the tens of thousands of a demo fit beside the worker.
//
// What the sandbox does not imitate gets status 501 with a text that names it, never an answer that Dynamics would not give.
//
// As in the database behind Dynamics, filters and orders compare text without regard to case. A client that looks up a
// case-sensitive id has to compare again.
//
// The sandbox knows nothing of links and rules. Its only security is the bearer token of the Web API. The control endpoints
// below /_sandbox/ are open to everybody, so it belongs on the loopback interface.
package sandbox
