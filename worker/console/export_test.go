package console

// BodyTime is the time that a request's body has to arrive.
const BodyTime = bodyTime

// Kinds lists every kind of problem with its status, so that tests notice one that they do not meet.
func Kinds() map[string]int {
	list := map[string]int{}
	for kind, k := range kinds {
		list[kind] = k.status
	}
	return list
}
