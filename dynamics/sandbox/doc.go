// Package sandbox is a simulated Dynamics 365 instance: an http.Handler that speaks enough of the Dataverse Web API to be
// a strict partner for postlink, refuses what Dynamics refuses, fails on demand, and keeps an append-only log of what was
// created, which tests and the demo read as the independent witness.
//
// A [Sandbox] is one organization; a [Mux] plays several below one address. One schema table decides what can be written, read, filtered and
// found in metadata. Records are packed, so that a demo's tens of thousands fit beside the worker. Where the documentation of the
// Web API is silent or contradicts itself, the answer is an option or a setting; what the sandbox does not imitate is answered with 501, never with
// silence.
//
// It imitates one behaviour that surprises: text compares without regard to case, in filters and orders, as it does in the database behind Dynamics.
// Whoever looks up a case-sensitive id has to compare again.
//
// It knows nothing of links and rules, and its only security is the bearer token of the Web API: the control endpoints below /_sandbox/ are
// open, so it belongs on the loopback interface.
package sandbox
