package sandbox

import (
	"container/heap"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// pending is a conversion that waits for its time.
type pending struct {
	due      time.Time
	order    int64 // of two conversions due at the same time, the one chosen first goes first
	activity uuid.UUID
	rule     ConversionRule
}

// queue is a heap of pending conversions, the earliest first. Its methods are those of heap.Interface; the Sandbox's mutex guards
// it. An activity that is deleted stays in it until it is due, when convert finds nothing to do.
type queue []pending

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(pending)) }
func (q queue) Less(i, j int) bool {
	if c := q[i].due.Compare(q[j].due); c != 0 {
		return c < 0
	}
	return q[i].order < q[j].order
}

func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// schedule chooses the rule for an activity and converts it now or after the rule's delay. The caller holds the lock. The send to
// wake never blocks: one element is enough, since Run looks at the whole queue for each.
func (s *Sandbox) schedule(id uuid.UUID, v values) {
	rule, ok := s.choose(v)
	if !ok {
		return
	}
	if rule.Delay <= 0 {
		s.convert(id, rule)
		return
	}
	heap.Push(&s.pending, pending{s.opts.Now().Add(rule.Delay), s.store.version, id, rule})
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// choose returns the first rule whose conditions hold. Activities of blocked profiles are not converted, as in Dynamics unless a
// rule asks for it. Additional parameters that are no JSON object have no properties; that is no error, as the column may hold
// any text.
func (s *Sandbox) choose(v values) (ConversionRule, bool) {
	t := s.schema.byName["socialactivity"]
	if profile := s.profileOf(v); s.settings.NoConversion || profile != nil && profile.field("blocked") == true {
		return ConversionRule{}, false
	}
	var properties map[string]any
	if text, ok := v[t.byName["activityadditionalparams"].ordinal].(string); ok {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if dec.Decode(&properties) != nil {
			properties = nil
		}
	}
	for _, r := range s.rules {
		holds := true
		for _, c := range r.Conditions {
			holds = holds && c.holds(record{s.store, t, v}, properties)
		}
		if holds {
			return r, true
		}
	}
	return ConversionRule{}, false
}

// profileOf returns the social profile of an activity, or nil.
func (s *Sandbox) profileOf(v values) *record {
	ref, ok := v[s.schema.byName["socialactivity"].byName["postfromprofileid"].ordinal].(reference)
	if !ok {
		return nil
	}
	found, ok := s.store.load(ref.table, ref.id)
	if !ok {
		return nil
	}
	return &record{s.store, ref.table, found}
}

// convert creates the rule's record and sets it as the activity's regarding object. It does nothing, and as in Dynamics
// reports nothing, when the activity is gone or has a regarding object, when the table has no relationship to it, or when a
// case would have no customer. No later rule is tried in its place. The record's id is a function of the activity's. It is taken
// when an activity is converted a second time, because its regarding object was emptied or because it was deleted and created
// again; the new record then has a random id. The caller holds the lock.
func (s *Sandbox) convert(id uuid.UUID, rule ConversionRule) {
	t := s.schema.byName["socialactivity"]
	v, ok := s.store.load(t, id)
	to := s.schema.byName[rule.Entity]
	regarding := t.byName["regardingobjectid"]
	if !ok || regarding.nav(to.name) == "" || v[regarding.ordinal] != nil {
		return
	}
	made := derive(s.opts.Name, to.name, id.String()) // the same in each run, for golden files
	if _, taken := s.store.find(to, made); taken {
		made = uuid.New()
	}
	if s.insert(to, made, s.conversion(to, v)) != nil {
		return
	}
	v[regarding.ordinal] = reference{to, made}
	v[t.byName["modifiedon"].ordinal] = s.clock()
	s.store.replace(t, id, v)
}

// conversion returns what the rule's Create step writes into a record of that table. It names the usual columns of all tables that
// it may meet and leaves out those that the table does not have, that a create may not set, or that cannot hold the value. Texts
// are cut to the column, since a rule has nobody to refuse them to. The customer is the activity's author, else that of the
// author's profile. Origin 2483 is Facebook, 3986 Twitter and 3 Web, the values of the case table in Customer Service.
func (s *Sandbox) conversion(to *table, activity values) []change {
	t := s.schema.byName["socialactivity"]
	of := func(name string) any { return activity[t.byName[name].ordinal] }
	customer := of("postauthor")
	name := ""
	if p := s.profileOf(activity); p != nil {
		if customer == nil {
			customer = p.values[p.table.byName["customerid"].ordinal]
		}
		for _, column := range []string{"profilename", "profilefullname"} {
			if text, ok := p.field(column).(string); ok {
				name = text
			}
		}
	}
	var list []change
	set := func(column string, value any) {
		if c := to.byName[column]; c != nil && c.create && value != nil {
			if text, ok := value.(string); ok && c.kind.text() {
				value = cut(text, c.length)
			}
			if ref, ok := value.(reference); ok && c.nav(ref.table.name) == "" {
				return
			}
			list = append(list, change{c, value})
		}
	}
	set(to.title, of("subject"))
	set("subject", of("subject"))
	set("description", of("description"))
	set(strings.TrimSuffix(to.title, "name")+"description", of("description"))
	set("customerid", customer)
	set("parentcontactid", customer)
	if name != "" {
		first, last := "", name
		if i := strings.LastIndexByte(name, ' '); i >= 0 {
			first, last = name[:i], name[i+1:]
		}
		set("firstname", first)
		set("lastname", last)
	}
	origin := map[any]int64{int64(1): 2483, int64(2): 3986}[of("community")]
	if origin == 0 {
		origin = 3
	}
	set("caseorigincode", origin)
	return list
}

// convertDue performs the conversions that are due.
func (s *Sandbox) convertDue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) > 0 && !s.opts.Now().Before(s.pending[0].due) {
		next := heap.Pop(&s.pending).(pending)
		s.convert(next.activity, next.rule)
	}
}

// Run performs delayed conversions when they fall due, until ctx ends; then it returns nil. It never returns an error. Without it
// delayed conversions wait for ever, and all else works. What waits when it ends is carried out by the next Run.
// It sleeps by the real clock and decides by Options.Now, so a test of delays needs testing/synctest rather than a clock of its own.
func (s *Sandbox) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-timer.C:
		}
		s.convertDue()
		if wait, waiting := s.untilDue(); waiting {
			timer.Reset(wait)
		}
	}
}

// untilDue returns how long the next conversion has to wait: zero when it is late, and false when none waits.
func (s *Sandbox) untilDue() (time.Duration, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.pending) == 0 {
		return 0, false
	}
	return max(s.pending[0].due.Sub(s.opts.Now()), 0), true
}

// applyRules answers ApplyRecordCreationAndUpdateRule, which applies the rules to an activity that was created without them. The
// answer is 204 whether or not a rule acts, and the activity shows the difference only by its regarding object.
func (s *Sandbox) applyRules(c *call) (answer, error) {
	t := s.schema.byName["socialactivity"]
	members, err := c.members(t)
	if err != nil {
		return answer{}, err
	}
	if len(members) != 1 || members[0].name != "Target" {
		return answer{}, badPayload(t, "The action ApplyRecordCreationAndUpdateRule has the one parameter 'Target'.")
	}
	var target struct {
		Type       string    `json:"@odata.type"`
		ActivityID uuid.UUID `json:"activityid"`
	}
	if err := json.Unmarshal(members[0].raw, &target); err != nil {
		return answer{}, badPayload(t, "The parameter 'Target' is not a social activity: %v", err)
	}
	if strings.TrimPrefix(target.Type, "#") != "Microsoft.Dynamics.CRM.socialactivity" {
		return answer{}, badPayload(t, "The type '%s' of the parameter 'Target' is not Microsoft.Dynamics.CRM.socialactivity.", target.Type)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.store.load(t, target.ActivityID)
	if !ok {
		return answer{}, missing(t, target.ActivityID)
	}
	s.schedule(target.ActivityID, v)
	return answer{status: http.StatusNoContent, table: t, id: target.ActivityID}, nil
}

// cut shortens text to a column's length in UTF-16 code units, between runes.
func cut(text string, length int) string {
	units := 0
	for i, r := range text {
		units++
		if r > 0xFFFF {
			units++
		}
		if units > length {
			return text[:i]
		}
	}
	return text
}
