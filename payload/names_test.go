package payload_test

import (
	"strings"
	"testing"

	"postlink/payload"
)

func TestNamesOfEntitiesAndFieldsAreLogicalNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"incident": true, "new_complaint": true, "address1_city": true, "": false, "Incident": false, "1st": false,
		"_ownerid_value": false, "new-complaint": false, "title eq": false, strings.Repeat("x", 128): true, strings.Repeat("x", 129): false} {
		if got := payload.LogicalName(name); got != want {
			t.Errorf("LogicalName(%q) = %v, want %v", name, got, want)
		}
	}
}
