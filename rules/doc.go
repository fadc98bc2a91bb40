// Package rules decides which posts matter. A Rule is a name, an active switch, a condition over a post and the link to
// make; a Set is an immutable, compiled collection of them that answers one question: which rule takes this post?
//
// If several active rules match, only the newest acts. A condition that fails on a post is reported as a Failure and does not stop
// older rules from acting.
//
// Conditions are expr-lang expressions over a typed, null-safe post: a field that the event did not carry is its zero value. The
// result of a condition depends on the post alone, so a condition has no clock, no local time and no maps, which have no order. Its
// cost is bounded: the length of the condition, the depth of its loops, the steps of all loops together and the text that it
// makes. Values are flat (texts, numbers, dates, booleans and lists of them), so that none can grow much larger than the post.
// Therefore no rule author can stop a worker.
//
// Compile is the slow step: it parses and checks each condition, and refuses the whole set when anything is wrong with any rule.
// Match only runs programs. It asks the active rules from the newest to the oldest and stops at the first that holds, so a post
// costs as many conditions as there are rules newer than the one that takes it; a post that none takes costs all of them.
//
// Errors about rules are source.Problems, with positions. They quote the condition, which rule authors wrote. Errors about a post
// are in Match.Failed, Explanation.Err and Clause.Err. They quote nothing that a post says, so they may be logged.
//
// Rules are read from YAML in two steps: ReadRules reports what has the wrong shape, Compile reports values that are not valid.
// Both report positions, as package source does.
//
// The package is pure: it knows instances only by name, knows no streams and no links, and logs nothing.
package rules
