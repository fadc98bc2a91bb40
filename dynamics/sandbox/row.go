package sandbox

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// values are the columns of one record, by ordinal: string, int64, float64, bool, time.Time, uuid.UUID, reference, or nil. The
// type must be that of the column's kind, since unpack reads by kind. values[0] is the primary key. Each caller of unpack has
// values of its own and may change them; they are stored by packing them again.
type values []any

// reference is the value of a lookup. It holds the table, because a lookup may point to several. A stored reference leads to a
// record that exists: writes check it, and deletes empty it.
type reference struct {
	table *table
	id    uuid.UUID
}

// pack encodes the columns that are set as (ordinal, value) pairs, so that a record costs little more memory than its text. A
// slice of interfaces takes 16 bytes for each column, set or not, and most columns of most records are not. Ordinals of columns
// and tables are one byte: 256 of each at most. Times keep whole seconds.
func (t *table) pack(v values) []byte {
	size := 0
	for _, value := range v {
		if s, ok := value.(string); ok {
			size += len(s)
		}
	}
	b := make([]byte, 0, size+96)
	for i, value := range v {
		if value == nil {
			continue
		}
		b = append(b, byte(i))
		switch value := value.(type) {
		case string:
			b = binary.AppendUvarint(b, uint64(len(value)))
			b = append(b, value...)
		case int64:
			b = binary.AppendVarint(b, value)
		case float64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(value))
		case bool:
			if value {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		case time.Time:
			b = binary.AppendVarint(b, value.Unix())
		case uuid.UUID:
			b = append(b, value[:]...)
		case reference:
			b = append(b, byte(value.table.ordinal))
			b = append(b, value.id[:]...)
		}
	}
	return b
}

// unpack is the inverse of pack. Columns that are not in the row are nil. It trusts the bytes, which only pack makes. It needs no
// lock: packed bytes and the schema do not change.
func (s *schema) unpack(t *table, b []byte) values {
	v := make(values, len(t.columns))
	for len(b) > 0 {
		c := &t.columns[b[0]]
		b = b[1:]
		switch k := c.kind; {
		case k.text():
			n, w := binary.Uvarint(b)
			v[c.ordinal] = string(b[w : w+int(n)])
			b = b[w+int(n):]
		case k.whole():
			n, w := binary.Varint(b)
			v[c.ordinal] = n
			b = b[w:]
		case k == kindDouble:
			v[c.ordinal] = math.Float64frombits(binary.LittleEndian.Uint64(b))
			b = b[8:]
		case k == kindBoolean:
			v[c.ordinal] = b[0] == 1
			b = b[1:]
		case k == kindDateTime:
			n, w := binary.Varint(b)
			v[c.ordinal] = time.Unix(n, 0).UTC()
			b = b[w:]
		case k == kindGUID:
			v[c.ordinal] = uuid.UUID(b[:16])
			b = b[16:]
		default:
			v[c.ordinal] = reference{s.tables[b[0]], uuid.UUID(b[1:17])}
			b = b[17:]
		}
	}
	return v
}

// appendValue writes a value as JSON in the form of the Web API: doubles with a decimal point always, times in RFC 3339 and UTC,
// GUIDs and lookups as text, nil as null.
func appendValue(b []byte, value any) []byte {
	switch value := value.(type) {
	case string:
		return appendText(b, value)
	case int64:
		return strconv.AppendInt(b, value, 10)
	case float64:
		before := len(b)
		b = strconv.AppendFloat(b, value, 'f', -1, 64)
		if slices.Contains(b[before:], '.') {
			return b
		}
		return append(b, ".0"...)
	case bool:
		return strconv.AppendBool(b, value)
	case time.Time:
		return append(value.AppendFormat(append(b, '"'), time.RFC3339), '"')
	case uuid.UUID:
		return appendText(b, value.String())
	case reference:
		return appendText(b, value.id.String())
	}
	return append(b, "null"...)
}

// appendText writes a JSON string; unlike json.Marshal it leaves <, > and & alone. It appends to the answer without a copy of each
// text, which matters for sets of thousands of records.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		case r == '\u2028' || r == '\u2029':
			b = append(b, '\\', 'u', '2', '0', '2', hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
