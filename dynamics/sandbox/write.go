package sandbox

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// create answers POST on a set. The body may name the record's id; without one the sandbox makes one. A used id is 412
// 0x80040237, as for a create-only PATCH. Preconditions are 501: "Perform conditional operations using the Web API", in
// Microsoft's documentation, describes none for POST.
func (s *Sandbox) create(c *call, t *table) (answer, error) {
	if t.system {
		return answer{}, wrongMethod(http.MethodPost)
	}
	if c.r.Header.Get("If-Match") != "" {
		return answer{}, unsupported("If-Match on a POST")
	}
	if none := c.r.Header.Get("If-None-Match"); none != "" && none != "null" {
		return answer{}, unsupported("If-None-Match on a POST")
	}
	list, err := s.parseChanges(c, t)
	if err != nil {
		return answer{}, err
	}
	id, named := primaryKey(list)
	if !named {
		id = uuid.New()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, exists := s.store.find(t, id); exists {
		return answer{}, duplicate()
	}
	if err := s.insert(t, id, list); err != nil {
		return answer{}, err
	}
	return c.written(t, id, true), nil
}

// upsert answers PATCH on a record. It creates or updates, as the preconditions allow:
//
//   - without one: either, and the answer does not say which;
//   - If-None-Match: * creates only; an existing record is 412 0x80040237;
//   - If-Match: * updates only; a missing record is 404 0x80040217;
//   - If-Match: W/"n" updates that version only; another version is 412 0x80060882.
//
// "If-None-Match: null" is no precondition: Microsoft's samples send it to keep caches away.
//
// The body is checked first, so a body that cannot be stored is 400 also where the record exists. Precondition and write are one
// step under the lock: of many create-only requests for one id one is 204, and all others are 412. A write that fails changes
// nothing.
func (s *Sandbox) upsert(c *call, t *table, id uuid.UUID) (answer, error) {
	match, none := c.r.Header.Get("If-Match"), c.r.Header.Get("If-None-Match")
	createOnly := none == "*"
	switch {
	case createOnly && match != "":
		return answer{}, refuse(http.StatusBadRequest, codeArgument, "If-Match and If-None-Match cannot both be sent.")
	case !createOnly && none != "" && none != "null":
		return answer{}, unsupported("If-None-Match: " + none + " on a PATCH")
	case t.system && t.name != "organization":
		return answer{}, wrongMethod(http.MethodPatch)
	}
	list, err := s.parseChanges(c, t)
	if err != nil {
		return answer{}, err
	}
	if key, named := primaryKey(list); named && key != id {
		return answer{}, refuse(http.StatusBadRequest, codeArgument, "The key '%s' in the payload is not the one in the URL.", key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, exists := s.store.find(t, id)
	switch {
	case exists && createOnly:
		return answer{}, duplicate()
	case !exists && match != "":
		return answer{}, missing(t, id)
	case exists && match != "":
		if err := matches(match, old.version); err != nil {
			return answer{}, err
		}
	}
	switch {
	case exists:
		err = s.update(t, id, list)
	case t.system:
		err = missing(t, id)
	default:
		err = s.insert(t, id, list)
	}
	if err != nil {
		return answer{}, err
	}
	return c.written(t, id, !exists), nil
}

// remove answers DELETE on a record. A deleted record can be created again under the same id, as in Dynamics: who must not make a
// record twice cannot rely on the organization to remember that it was deleted.
func (s *Sandbox) remove(c *call, t *table, id uuid.UUID) (answer, error) {
	if t.system {
		return answer{}, wrongMethod(http.MethodDelete)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, exists := s.store.find(t, id)
	if !exists {
		return answer{}, missing(t, id)
	}
	if match := c.r.Header.Get("If-Match"); match != "" {
		if err := matches(match, old.version); err != nil {
			return answer{}, err
		}
	}
	s.store.remove(t, id)
	return answer{status: http.StatusNoContent, table: t, id: id}, nil
}

// written answers a successful create or update: 204 with the record's address. Only the log shows which of them it was.
func (c *call) written(t *table, id uuid.UUID, created bool) answer {
	return answer{status: http.StatusNoContent, table: t, id: id, created: created,
		header: http.Header{"Odata-Entityid": {c.recordURL(t, id)}}}
}

// parseChanges reads and checks the body. It needs no lock.
func (s *Sandbox) parseChanges(c *call, t *table) ([]change, error) {
	members, err := c.members(t)
	if err != nil {
		return nil, err
	}
	return s.changes(c, t, members)
}

// insert creates a record and converts it if it is an activity. The caller holds the lock and has checked that the id is free.
// Conversions come here too: a record that a rule makes needs a customer and gets its computed columns like any other. Since only
// activities are converted, that goes one level deep. A disabled organization refuses activities only: which other creates
// Dynamics refuses then is not documented.
func (s *Sandbox) insert(t *table, id uuid.UUID, list []change) error {
	if s.settings.DisableSocialCare && t.activity() {
		return refuse(http.StatusBadRequest, codeNoSocial, noSocial)
	}
	v := make(values, len(t.columns))
	for i := range t.columns {
		v[i] = t.columns[i].initial
	}
	// As in Dynamics, values for columns that are not valid for the operation are ignored.
	list = slices.DeleteFunc(list, func(ch change) bool { return !ch.column.create })
	if err := s.assign(v, list); err != nil {
		return err
	}
	v[0] = id
	if !t.system {
		v[t.byName["createdon"].ordinal] = s.clock()
		for _, name := range []string{"ownerid", "owninguser", "createdby"} {
			if c := t.byName[name]; v[c.ordinal] == nil {
				v[c.ordinal] = reference{s.schema.byName["systemuser"], s.userID}
			}
		}
	}
	if err := s.complete(t, v, list); err != nil {
		return err
	}
	s.store.insert(t, id, v)
	if t.activity() {
		s.schedule(id, v)
	}
	return nil
}

// update changes an existing record. The caller holds the lock. Columns that the changes do not name stay, and those that are for
// creates only are ignored, as Dynamics does. Each update gives the record a new version, even one that changes no value.
func (s *Sandbox) update(t *table, id uuid.UUID, list []change) error {
	v, _ := s.store.load(t, id)
	list = slices.DeleteFunc(list, func(ch change) bool { return !ch.column.update })
	if err := s.assign(v, list); err != nil {
		return err
	}
	if err := s.complete(t, v, list); err != nil {
		return err
	}
	s.store.replace(t, id, v)
	if t.name == "organization" {
		s.settings.DisableSocialCare = v[t.byName["disablesocialcare"].ordinal] == true
	}
	return nil
}

// assign sets the values in v, which is a copy, so that nothing is stored when it fails. A lookup to a record that does not exist
// is refused with 404, like a record that is asked for: by the status alone a client cannot say which of the two is gone.
func (s *Sandbox) assign(v values, list []change) error {
	for _, ch := range list {
		if ref, ok := ch.value.(reference); ok {
			if _, exists := s.store.find(ref.table, ref.id); !exists {
				return missing(ref.table, ref.id)
			}
		}
		v[ch.column.ordinal] = ch.value
	}
	return nil
}

// complete fills in the columns that Dynamics computes (time of change, full name, case number) and checks the rules about
// several columns (state and status; a case needs a customer).
func (s *Sandbox) complete(t *table, v values, list []change) error {
	if c := t.byName["modifiedon"]; c != nil {
		v[c.ordinal] = s.clock()
	}
	if err := completeState(t, v, list); err != nil {
		return err
	}
	if full := t.byName["fullname"]; full != nil && !t.system {
		first, _ := v[t.byName["firstname"].ordinal].(string)
		last, _ := v[t.byName["lastname"].ordinal].(string)
		v[full.ordinal] = nil
		if name := strings.TrimSpace(first + " " + last); name != "" {
			v[full.ordinal] = name
		}
	}
	if t.name == "incident" {
		if v[t.byName["customerid"].ordinal] == nil {
			return refuse(http.StatusBadRequest, codeArgument, "You should specify a parent contact or account.")
		}
		if number := t.byName["ticketnumber"]; v[number.ordinal] == nil {
			id := v[0].(uuid.UUID)
			v[number.ordinal] = "CAS-" + strconv.Itoa(1001+s.store.rows(t).live) + "-" + strings.ToUpper(id.String()[:6])
		}
	}
	return nil
}

// completeState keeps state and status reason a valid pair. A new state alone brings its default status; a status reason alone
// must belong to the state that the record has.
func completeState(t *table, v values, list []change) error {
	state, status := t.byName["statecode"], t.byName["statuscode"]
	if state == nil {
		return nil
	}
	sentState, sentStatus := false, false
	for _, ch := range list {
		if ch.value == nil && (ch.column == state || ch.column == status) {
			return unsupported("a " + ch.column.name + " of null")
		}
		sentState = sentState || ch.column == state
		sentStatus = sentStatus || ch.column == status
	}
	want, _ := v[state.ordinal].(int64)
	have, _ := v[status.ordinal].(int64)
	if t.name == "incident" && sentState && want == 1 {
		return unsupported("resolving a case by its statecode (Dynamics has the action CloseIncident)")
	}
	if current, ok := status.choice(have); ok && current.state == want {
		return nil
	}
	if sentState && !sentStatus {
		to, _ := state.choice(want)
		v[status.ordinal] = to.status
		return nil
	}
	return refuse(http.StatusBadRequest, "0x80048408", "%d is not a valid status code for state code %d on %s with Id %s.", have, want, t.name, v[0])
}

// primaryKey returns the id that a body names, if it names one. The zero GUID counts as none.
func primaryKey(list []change) (uuid.UUID, bool) {
	for _, ch := range list {
		if id, ok := ch.value.(uuid.UUID); ok && ch.column.ordinal == 0 && id != (uuid.UUID{}) {
			return id, true
		}
	}
	return uuid.UUID{}, false
}

// matches checks an If-Match header against the version of a record. ETags are weak and hold the version: W/"1000007".
func matches(header string, version int64) error {
	if header == "*" || header == etag(version) {
		return nil
	}
	if !isETag(header) {
		return refuse(http.StatusBadRequest, codeArgument, "The entity tag '%s' is not of the form W/\"123\".", header)
	}
	return stale()
}

func etag(version int64) string { return `W/"` + strconv.FormatInt(version, 10) + `"` }

func isETag(s string) bool {
	digits, ok := strings.CutPrefix(s, `W/"`)
	digits, quoted := strings.CutSuffix(digits, `"`)
	_, err := strconv.ParseInt(digits, 10, 64)
	return ok && quoted && err == nil
}

// clock is the time as the organization stores it: in UTC and whole seconds.
func (s *Sandbox) clock() time.Time { return s.opts.Now().UTC().Truncate(time.Second) }
