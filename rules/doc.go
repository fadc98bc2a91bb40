// Package rules decides which posts matter. A Rule is a name, an active switch, a condition over a post and the link to
// make; a Set is an immutable, compiled collection of them that answers one question: which rule takes this post?
//
// If several active rules match, only the newest acts. A condition that fails on a post is told as a Failure, and does not keep
// older rules from acting.
//
// Conditions are expr-lang expressions over a typed, null-safe post: a field that the event did not carry is its zero value.
// What a condition says follows from the post alone, so there is no clock, no local time and nothing without an order. What it
// may cost is bounded: its length, the depth of its loops, the steps of all loops together and the text that it makes. Values
// are flat (texts, numbers, dates, booleans and lists of them), so that none can outgrow its post. So whoever may write rules
// can be wrong, but cannot stop a worker.
//
// The package also reads rules from YAML, strictly, with the position of everything that is wrong: Parse and ReadRules tell
// what has the wrong shape, Compile which values are not good.
//
// It is pure: it does not know instances beyond their names, streams, or links, and logs nothing.
package rules
