// Package payload holds the two documents that cross our borders: the Post that comes in as an MSE event, and the
// SocialActivity that goes out to Dynamics 365. It decodes the one, builds the other, keeps the limits of both, and derives
// the identities that make delivery repeatable.
//
// It is pure: no clock, no network, no logging. It does not know rules, instances' addresses, or how documents travel.
package payload
