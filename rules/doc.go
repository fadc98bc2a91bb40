// Package rules decides which posts matter. A Rule is a name, an active switch, a condition over a post and the link to
// make; a Set is an immutable, compiled collection of them that answers one question: which rule takes this post?
//
// Conditions are expr-lang expressions over a typed, null-safe post. If several active rules match, only the newest acts.
// The package also reads rules from YAML, with the position of everything that is wrong.
//
// It is pure: it does not know instances beyond their names, streams, or links, and logs nothing.
package rules
