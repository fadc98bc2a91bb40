package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// control answers the endpoints below /_sandbox/. They need no token: the sandbox is a tool for the loopback interface. Each is
// a method of Sandbox as well; these are for tests and people outside of the process.
//
//	GET    snapshot                 all records, one JSON object a line
//	GET    requests                 the log of requests, one JSON object a line
//	GET    summary                  numbers of records by table, of duplicates and of requests
//	POST   faults   DELETE          add a fault; remove all
//	GET    rules    PUT             the conversion rules
//	GET    settings PATCH           the organization's switches
//
// Bodies are JSON of at most 1 MiB, and a name that is not known is refused. A refusal is {"error": "..."} with 400, or 404 for
// another path or method. Durations (the delay of a fault or rule) are numbers in nanoseconds. PATCH reads the settings and
// writes them back in two steps, so two at once may lose one change.
func (s *Sandbox) control(w http.ResponseWriter, r *http.Request, path string) {
	switch r.Method + " " + path {
	case "GET snapshot":
		writeLines(w, s.encodeSnapshot)
	case "GET requests":
		writeLines(w, s.encodeRequests)
	case "GET summary":
		writeJSON(w, http.StatusOK, s.Summary())
	case "POST faults":
		var f Fault
		if readControl(w, r, &f) {
			id, err := s.AddFault(f)
			reply(w, http.StatusCreated, map[string]int{"id": id}, err)
		}
	case "DELETE faults":
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	case "GET rules":
		writeJSON(w, http.StatusOK, s.Rules())
	case "PUT rules":
		var rules []ConversionRule
		if readControl(w, r, &rules) {
			err := s.SetRules(rules)
			reply(w, http.StatusOK, rules, err)
		}
	case "GET settings":
		writeJSON(w, http.StatusOK, s.Settings())
	case "PATCH settings":
		settings := s.Settings()
		if readControl(w, r, &settings) {
			s.SetSettings(settings)
			writeJSON(w, http.StatusOK, s.Settings())
		}
	default:
		complain(w, http.StatusNotFound, fmt.Errorf("%s /_sandbox/%s: no such control", r.Method, path))
	}
}

// Summary counts what the sandbox holds. It says enough to see whether a scenario ended well, without reading every record.
type Summary struct {
	Instance   string         `json:"instance"`
	Records    map[string]int `json:"records"`    // by logical name; every table that clients write, also the empty ones
	Duplicates int            `json:"duplicates"` // as Sandbox.Duplicates counts them
	Requests   int            `json:"requests"`   // of the Web API, whatever their answer
}

// Summary returns the counts of this moment. Each is taken on its own: while requests run, they may differ by those.
func (s *Sandbox) Summary() Summary {
	sum := Summary{Instance: s.opts.Name, Records: map[string]int{}, Duplicates: s.Duplicates(), Requests: s.log.count()}
	for _, t := range s.schema.tables {
		if !t.system {
			sum.Records[t.name] = s.Count(t.name)
		}
	}
	return sum
}

// encodeSnapshot streams: records are rendered one by one and no lock is held while the client reads, so a snapshot of tens of
// thousands of records neither fills the memory nor stops the writers.
func (s *Sandbox) encodeSnapshot(enc *json.Encoder) error {
	for r := range s.Snapshot() {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// logged is a request with the instance that answered it.
type logged struct {
	Instance string `json:"instance"`
	Request
}

func (s *Sandbox) encodeRequests(enc *json.Encoder) error {
	for _, r := range s.Requests() {
		if err := enc.Encode(logged{s.opts.Name, r}); err != nil {
			return err
		}
	}
	return nil
}

func writeLines(w http.ResponseWriter, write func(*json.Encoder) error) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = write(enc) // fails when the client has gone away
}

// readControl decodes the body of a control request strictly and answers 400 itself when it cannot. A field that was misspelt
// would otherwise make a fault that matches everything.
func readControl(w http.ResponseWriter, r *http.Request, into any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, end := dec.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("the body goes on after its JSON document")
		}
	}
	if err != nil {
		complain(w, http.StatusBadRequest, err)
		return false
	}
	return true
}

// reply answers with body, or with 400 and err when there is one: what a control refuses is always the request's fault.
func reply(w http.ResponseWriter, status int, body any, err error) {
	if err != nil {
		complain(w, http.StatusBadRequest, err)
		return
	}
	writeJSON(w, status, body)
}

func complain(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": err.Error()})
}
