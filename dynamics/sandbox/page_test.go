package sandbox_test

import (
	"strings"
	"testing"

	"postlink/dynamics/sandbox"
)

func TestARecordHasAPage(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.must(204, "PATCH", contact, `{"firstname":"Ada","lastname":"<b>Lovelace</b>"}`, "If-None-Match", "*")
	id := strings.TrimSuffix(strings.TrimPrefix(contact, "contacts("), ")")
	r := o.send("GET", "/main.aspx?etn=contact&pagetype=entityrecord&id=%7B"+id+"%7D", "")
	if r.status != 200 || !strings.Contains(r.body, "<th align=\"left\">lastname</th><td>&lt;b&gt;Lovelace&lt;/b&gt;</td>") {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	for name, query := range map[string]string{
		"another record": "etn=contact&id=%7B00000000-0000-0000-0000-000000000001%7D",
		"another table":  "etn=lead&id=%7B" + id + "%7D",
		"no table":       "etn=nothing&id=%7B" + id + "%7D",
		"no id":          "etn=contact",
	} {
		if r := o.send("GET", "/main.aspx?"+query, ""); r.status != 404 {
			t.Errorf("%s: status %d", name, r.status)
		}
	}
}
