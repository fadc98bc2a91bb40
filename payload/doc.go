// Package payload holds the two documents that cross our borders: the Post that comes in as an MSE event, and the
// SocialActivity that goes out to Dynamics 365. It decodes the one, builds the other, keeps the limits of both, and derives
// the identities that make delivery repeatable.
//
// It is pure: no clock, no network, no logging. It does not know rules, instances' addresses, or how documents travel.
//
// A Post is read once and not changed any more. It shares no memory with the event that it was read from, so any number of
// goroutines may use it. It keeps texts in full length, because conditions read them; only Build applies the limits of Dynamics.
//
// Every function gives the same result for the same arguments, on each worker and in each attempt. An attempt that is repeated
// after a crash therefore sends the same document under the same GUID as the first one.
//
// The errors are *DecodeError for an event that is no post, and *NotesError and *EntityError for a link that cannot be built.
// None of them goes away by trying again. The text of a *DecodeError quotes nothing from the post and may be logged.
package payload
