// Package sandbox is a simulated Dynamics 365 instance: an http.Handler that speaks enough of the Dataverse Web API to be
// a strict partner for postlink, refuses what Dynamics refuses, fails on demand, and keeps an append-only log of what was
// created, which tests and the demo read as the independent witness.
package sandbox
