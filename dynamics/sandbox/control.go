package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// control answers the endpoints below /_sandbox/, which need no token: the sandbox is a tool for the loopback interface.
//
//	POST   reset                    forget everything
//	GET    snapshot                 all records, one JSON object a line
//	GET    requests                 the request log, one JSON object a line
//	GET    summary                  records by table, duplicates and requests
//	GET    faults   POST, DELETE    the faults in force; add one; clear all
//	GET    rules    PUT             the conversion rules
//	GET    settings PATCH           the organization's switches
//	POST   convert                  perform the conversions that are due
//	DELETE tokens                   expire the tokens that were issued
//	DELETE records/{set}({id})      delete a record behind the clients' back
func (s *Sandbox) control(w http.ResponseWriter, r *http.Request, path string) {
	name, rest, _ := strings.Cut(path, "/")
	switch r.Method + " " + name {
	case "POST reset":
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	case "GET snapshot":
		writeLines(w, func(enc *json.Encoder) error { return s.encodeSnapshot(enc) })
	case "GET requests":
		writeLines(w, func(enc *json.Encoder) error { return s.encodeRequests(enc) })
	case "GET summary":
		writeJSON(w, http.StatusOK, s.Summary())
	case "GET faults":
		writeJSON(w, http.StatusOK, s.Faults())
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
	case "POST convert":
		writeJSON(w, http.StatusOK, map[string]int{"converted": s.Convert()})
	case "DELETE tokens":
		s.ExpireTokens()
		w.WriteHeader(http.StatusNoContent)
	case "DELETE records":
		set, key, _ := strings.Cut(rest, "(")
		id, err := parseGUID(strings.TrimSuffix(key, ")"))
		t := s.schema.bySet[set]
		if err != nil || t == nil || !s.Delete(t.name, id) {
			complain(w, http.StatusNotFound, fmt.Errorf("there is no record %s", rest))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		complain(w, http.StatusNotFound, fmt.Errorf("%s /_sandbox/%s: no such control", r.Method, path))
	}
}

// Summary counts what the sandbox holds.
type Summary struct {
	Instance   string         `json:"instance"`
	Records    map[string]int `json:"records"` // by logical name
	Duplicates int            `json:"duplicates"`
	Requests   int            `json:"requests"`
}

// Summary returns the counts of this moment.
func (s *Sandbox) Summary() Summary {
	sum := Summary{Instance: s.opts.Name, Records: map[string]int{}, Duplicates: s.Duplicates(), Requests: len(s.log.all())}
	for _, t := range s.schema.tables {
		if !t.system {
			sum.Records[t.name] = s.Count(t.name)
		}
	}
	return sum
}

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
	for _, e := range s.log.all() {
		if err := enc.Encode(logged{s.opts.Name, e.request()}); err != nil {
			return err
		}
	}
	return nil
}

func writeLines(w http.ResponseWriter, write func(*json.Encoder) error) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = write(enc) // a client that went away is its own business
}

// readControl decodes the body of a control request strictly and answers 400 itself when it cannot.
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
