package payload

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Glance reads the network and the id of an event without judging it: of one that DecodePost refuses too, as far as it can be
// read. Either is empty where it cannot. It gives a dead letter the name under which people look for the post.
//
// The id is as the event writes it, neither trimmed nor NFC-normalised, so it can differ from Post.ID. Do not derive identities
// from it. Glance reads on to the end or to the first mistake; when a name comes twice, the last counts.
func Glance(data []byte) (network, id string) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	g := glance{dec: dec}
	g.value("")
	return strings.ToLower(g.network), g.id
}

// deepest is the nesting at which a glance gives up. It bounds the recursion on an event of nothing but brackets. The fields that
// it looks for are three levels deep at most; everything else is only passed over.
const deepest = 64

type glance struct {
	dec         *json.Decoder
	depth       int
	network, id string
}

// value reads one value, whose place in the event is path, and reports whether it could.
func (g *glance) value(path string) bool {
	token, err := g.dec.Token()
	if err != nil {
		return false
	}
	switch token := token.(type) {
	case json.Delim:
		if g.depth++; g.depth > deepest {
			return false
		}
		defer func() { g.depth-- }()
		for g.dec.More() {
			name := path + "[]"
			if token == '{' {
				key, err := g.dec.Token()
				if err != nil {
					return false
				}
				name = strings.TrimPrefix(path+"."+key.(string), ".") //nolint:forcetypeassert // the decoder takes nothing else for a key
			}
			if !g.value(name) {
				return false
			}
		}
		_, err := g.dec.Token()
		return err == nil
	case string:
		g.found(path, token)
	case json.Number:
		g.found(path, token.String())
	}
	return true
}

func (g *glance) found(path, text string) {
	switch strings.TrimPrefix(path, "post.") {
	case "id":
		g.id = text
	case "source.param":
		g.network = text
	}
}
