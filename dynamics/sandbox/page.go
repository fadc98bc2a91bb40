package sandbox

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// pagePath is the address at which Dynamics shows a record in the browser. The sandbox shows every column that has a value,
// without a sign-in.
const pagePath = "/main.aspx"

var recordPage = template.Must(template.New("record").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Title}}</title>
<body><h1>{{.Title}}</h1><p>A record of the simulated organization {{.Organization}}.</p>
<table>{{range .Fields}}<tr><th align="left">{{.Name}}</th><td>{{.Value}}</td></tr>
{{end}}</table></body></html>
`))

type pageField struct{ Name, Value string }

// showRecord answers the address of a record: main.aspx?etn=incident&pagetype=entityrecord&id=%7B...%7D. It stands for the form
// that a person opens in Dynamics, and is neither logged nor subject to faults. Without such a record it is 404.
func (s *Sandbox) showRecord(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	id, err := uuid.Parse(strings.Trim(query.Get("id"), "{}"))
	record, found := s.record(query.Get("etn"), id)
	if err != nil || !found {
		http.Error(w, "there is no such record in this simulated organization", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = recordPage.Execute(w, struct { // fails when the client has gone away
		Title, Organization string
		Fields              []pageField
	}{record.Table + " " + id.String(), s.opts.Name, filled(record)})
}

// record returns one record of a table that clients write.
func (s *Sandbox) record(name string, id uuid.UUID) (Record, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.schema.byName[name]
	if t == nil || t.system {
		return Record{}, false
	}
	row, found := s.store.find(t, id)
	if !found {
		return Record{}, false
	}
	return Record{s.opts.Name, t.name, id, s.plain(t, row)}, true
}

// filled are the columns of a record that have a value, in its order. It reads the JSON by tokens, because a map would lose that
// order. Annotations are left out.
func filled(r Record) []pageField {
	var list []pageField
	dec := json.NewDecoder(strings.NewReader(string(r.Record)))
	dec.UseNumber()
	if _, err := dec.Token(); err != nil { // the opening brace
		return nil
	}
	for dec.More() {
		name, err := dec.Token()
		var value any
		if err != nil || dec.Decode(&value) != nil {
			return list
		}
		if value != nil && !strings.Contains(fmt.Sprint(name), "@") {
			list = append(list, pageField{fmt.Sprint(name), fmt.Sprint(value)})
		}
	}
	return list
}
