package sandbox

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// create answers POST on a set.
func (s *Sandbox) create(c *call, t *table) (answer, error) {
	if t.system {
		return answer{}, wrongMethod(http.MethodPost)
	}
	if c.r.Header.Get("If-Match") != "" {
		return answer{}, unsupported("If-Match on a POST")
	}
	list, err := s.parseChanges(c, t)
	if err != nil {
		return answer{}, err
	}
	id, named := primaryKey(list)
	if !named {
		id = s.newID()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, exists := s.store.find(t, id); exists {
		return answer{}, duplicate()
	}
	if err := s.insert(t, id, list); err != nil {
		return answer{}, err
	}
	return s.written(c, t, id, true)
}

// upsert answers PATCH on a record: it creates or updates, as the preconditions allow.
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
		return answer{}, s.documented(duplicate())
	case !exists && match != "":
		return answer{}, s.documented(missing(t, id))
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
	return s.written(c, t, id, !exists)
}

// remove answers DELETE on a record.
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

// written answers a successful create or update.
func (s *Sandbox) written(c *call, t *table, id uuid.UUID, created bool) (answer, error) {
	a := answer{status: http.StatusNoContent, table: t, id: id, created: created, header: http.Header{}}
	if !c.prefer.representation {
		a.header.Set("OData-EntityId", c.recordURL(t, id))
		return a, nil
	}
	sel, err := c.selection(t)
	if err != nil {
		return answer{}, err
	}
	r, _ := s.store.find(t, id)
	a.status = http.StatusOK
	if created {
		a.status = http.StatusCreated
	}
	a.body = s.document(c, t, r, sel)
	a.header.Set("Content-Type", contentType)
	a.header.Set("ETag", etag(r.version))
	a.header.Set("Preference-Applied", c.prefer.applied())
	return a, nil
}

func (s *Sandbox) parseChanges(c *call, t *table) ([]change, error) {
	if _, err := c.selection(t); err != nil { // before anything is written
		return nil, err
	}
	members, err := s.readBody(c, t)
	if err != nil {
		return nil, err
	}
	return s.changes(t, members)
}

// insert creates a record. The caller holds the lock and knows that the id is free.
func (s *Sandbox) insert(t *table, id uuid.UUID, list []change) error {
	if err := s.intake(t); err != nil {
		return err
	}
	v := make(values, len(t.columns))
	for i := range t.columns {
		v[i] = t.columns[i].initial
	}
	for _, ch := range list {
		if !ch.column.create {
			return refuse(http.StatusBadRequest, codeArgument, "The column '%s' of '%s' is not valid for create.", ch.column.name, t.name)
		}
		if err := s.assign(v, ch); err != nil {
			return err
		}
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

// update changes an existing record. The caller holds the lock.
func (s *Sandbox) update(t *table, id uuid.UUID, list []change) error {
	v, _ := s.store.load(t, id)
	for _, ch := range list {
		if ch.column.ordinal == 0 {
			continue // the key is in the URL
		}
		if !ch.column.update {
			return refuse(http.StatusBadRequest, codeArgument, "The column '%s' of '%s' is not valid for update.", ch.column.name, t.name)
		}
		if err := s.assign(v, ch); err != nil {
			return err
		}
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

// intake refuses social data where the organization's administrator switched it off. What is stored stays workable.
func (s *Sandbox) intake(t *table) error {
	if s.settings.DisableSocialCare && (t.activity() || t.name == "socialprofile" && s.settings.RefuseProfiles) {
		return refuse(s.settings.SocialCareStatus, codeNoSocial, noSocial)
	}
	return nil
}

func (s *Sandbox) assign(v values, ch change) error {
	if ref, ok := ch.value.(reference); ok {
		if _, exists := s.store.find(ref.table, ref.id); !exists {
			return missing(ref.table, ref.id)
		}
	}
	v[ch.column.ordinal] = ch.value
	return nil
}

// complete fills what Dynamics computes and checks what concerns several columns.
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

// completeState keeps state and status reason a valid pair: a new state brings its first status, a lone status must fit the state.
func completeState(t *table, v values, list []change) error {
	state, status := t.byName["statecode"], t.byName["statuscode"]
	if state == nil {
		return nil
	}
	sentState, sentStatus := false, false
	for _, ch := range list {
		sentState = sentState || ch.column == state
		sentStatus = sentStatus || ch.column == status
	}
	want, _ := v[state.ordinal].(int64)
	have, _ := v[status.ordinal].(int64)
	if current, ok := status.choice(have); ok && current.state == want && v[status.ordinal] != nil {
		return nil
	}
	if sentState && !sentStatus {
		for _, ch := range status.choices {
			if ch.state == want {
				v[status.ordinal] = ch.value
				return nil
			}
		}
	}
	return refuse(http.StatusBadRequest, "0x80048408", "%d is not a valid status code for state code %d on %s with Id %s.", have, want, t.name, v[0])
}

// documented answers with the empty code that Microsoft's pages print, where live organizations send one.
func (s *Sandbox) documented(e *refusal) *refusal {
	if s.opts.EmptyCodes {
		e.code = ""
	}
	return e
}

func primaryKey(list []change) (uuid.UUID, bool) {
	for _, ch := range list {
		if id, ok := ch.value.(uuid.UUID); ok && ch.column.ordinal == 0 && id != (uuid.UUID{}) {
			return id, true
		}
	}
	return uuid.UUID{}, false
}

// matches checks an If-Match header against the version of a record.
func matches(header string, version int64) error {
	if header == "*" || header == etag(version) {
		return nil
	}
	if _, ok := parseETag(header); !ok {
		return refuse(http.StatusBadRequest, codeArgument, "The entity tag '%s' is not of the form W/\"123\".", header)
	}
	return stale()
}

func etag(version int64) string { return `W/"` + strconv.FormatInt(version, 10) + `"` }

func parseETag(s string) (int64, bool) {
	digits, ok := strings.CutPrefix(s, `W/"`)
	digits, quoted := strings.CutSuffix(digits, `"`)
	v, err := strconv.ParseInt(digits, 10, 64)
	return v, ok && quoted && err == nil
}

func (s *Sandbox) clock() time.Time { return s.opts.Now().UTC().Truncate(time.Second) }
