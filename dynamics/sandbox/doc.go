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
// # The path of a request
//
//	Sandbox.serve      sends /_sandbox/ to the controls, /main.aspx to the page of a record, and the token endpoint to the issuer;
//	                   these are not logged and meet no fault. All else is a request of the Web API:
//	Sandbox.data       checks version and token, then the fault in force, then headers and query; the first that objects answers
//	Sandbox.changes    a write: checks the body against the columns of the table, without a lock
//	Sandbox.upsert     checks preconditions and writes, under the lock; a new social activity is converted in the same step
//	Sandbox.search     a read: by an index where the filter allows it, else over all records of the table
//	Sandbox.metadata   describes tables, columns and relationships from the same schema
//	journal.add        logs the request with its answer, before the answer is sent
//
// A request whose token is refused is logged, but meets no fault and uses none up. A write is checked as a whole before anything
// is stored: one that is refused changes no record.
//
// The log comes before the answer, so a client that has its answer finds its request in the log and its record in the table. A
// request whose answer was lost, because the client gave up or a fault closed the connection, is in the log as well.
//
// Records and log are kept in memory and end with the process. There is no reset: a test that needs an empty organization makes
// a new one, which takes no network and no goroutine. Ids that the sandbox chooses are the same in each run where golden files
// show them; those of records that are created by POST without an id are random.
//
// The sandbox knows nothing of links and of postlink's rules; a [ConversionRule] stands for a rule of Dynamics. Its only security
// is the bearer token of the Web API. The control endpoints below /_sandbox/ are open to everybody, so it belongs on the loopback
// interface.
package sandbox
