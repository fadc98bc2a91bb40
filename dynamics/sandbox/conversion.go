package sandbox

import (
	"container/heap"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ConversionRule stands for one item of a record creation and update rule: it turns a social activity into a record and makes that record
// what the activity regards. Items are tried in order and the first whose conditions all hold creates; an activity that already
// regards something is left alone.
type ConversionRule struct {
	Name       string        `json:"name,omitempty"`
	Entity     string        `json:"entity"` // logical name of the table that it creates in
	Conditions []Condition   `json:"conditions,omitempty"`
	Delay      time.Duration `json:"delay,omitempty"`      // after the activity's creation, in nanoseconds; zero converts inside the create
	StatusCode int64         `json:"statuscode,omitempty"` // status reason the activity gets, with its state; zero leaves both as they are
}

// Condition compares one value: exactly one of Column, Profile and Property says which.
type Condition struct {
	Column   string `json:"column,omitempty"`   // of the activity: community, sentimentvalue, postmessagetype
	Profile  string `json:"profile,omitempty"`  // column of the activity's social profile: influencescore, blocked
	Property string `json:"property,omitempty"` // flat member of the JSON in activityadditionalparams; text compares exactly
	Operator string `json:"operator,omitempty"` // eq ne gt ge lt le, and contains for text; eq when empty
	Value    any    `json:"value"`              // text, number or boolean
}

// What a channel property is when the JSON does not have it.
const (
	absentWhole = -2147483648
	absentFloat = -1e11
)

// DefaultRules convert an activity into what its JSON prefers: a case, a lead, or a record of one of the related custom tables.
func DefaultRules(custom ...CustomTable) []ConversionRule {
	entities := []string{"incident", "lead"}
	for _, c := range custom {
		if c.Related {
			entities = append(entities, c.Name)
		}
	}
	var rules []ConversionRule
	for _, name := range entities {
		rules = append(rules, ConversionRule{Name: "prefers " + name, Entity: name,
			Conditions: []Condition{{Property: "userPreferredTargetEntity", Operator: "eq", Value: name}}})
	}
	return rules
}

// SetRules replaces the conversion rules. Conversions that already wait go on under the rule that chose them.
func (s *Sandbox) SetRules(rules []ConversionRule) error {
	if err := s.checkRules(rules); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = slices.Clone(rules)
	return nil
}

// Rules returns the conversion rules in their order.
func (s *Sandbox) Rules() []ConversionRule {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.rules)
}

func (s *Sandbox) checkRules(rules []ConversionRule) error {
	activity, profile := s.schema.byName["socialactivity"], s.schema.byName["socialprofile"]
	for i, r := range rules {
		where := fmt.Sprintf("conversion rule %d %q", i+1, r.Name)
		if r.StatusCode != 0 {
			if _, ok := activity.byName["statuscode"].choice(r.StatusCode); !ok {
				return fmt.Errorf("%s: social activities have no status reason %d", where, r.StatusCode)
			}
		}
		for _, c := range r.Conditions {
			named := 0
			for _, name := range []string{c.Column, c.Profile, c.Property} {
				if name != "" {
					named++
				}
			}
			switch {
			case named != 1:
				return fmt.Errorf("%s: a condition names one of column, profile and property", where)
			case c.Column != "" && activity.byName[c.Column] == nil:
				return fmt.Errorf("%s: social activities have no column %s", where, c.Column)
			case c.Profile != "" && profile.byName[c.Profile] == nil:
				return fmt.Errorf("%s: social profiles have no column %s", where, c.Profile)
			case !slices.Contains([]string{"", "eq", "ne", "gt", "ge", "lt", "le", "contains"}, c.Operator):
				return fmt.Errorf("%s: unknown operator %s", where, c.Operator)
			}
			switch c.Value.(type) {
			case string, bool, int, int64, float64:
			default:
				return fmt.Errorf("%s: the value %v is neither text, number nor boolean", where, c.Value)
			}
		}
	}
	return nil
}

// pending is a conversion that waits for its time.
type pending struct {
	due      time.Time
	order    int64 // of two conversions due at once the earlier chosen goes first
	activity uuid.UUID
	rule     ConversionRule
}

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

// schedule chooses the rule for an activity and converts it at once or later. The caller holds the lock.
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

// choose returns the first rule whose conditions hold, if the organization's switches let the activity through at all.
func (s *Sandbox) choose(v values) (ConversionRule, bool) {
	t := s.schema.byName["socialactivity"]
	profile := s.profileOf(v)
	blocked := profile != nil && profile.field("blocked") == true
	private := v[t.byName["postmessagetype"].ordinal] == int64(1)
	if s.settings.NoConversion || blocked && !s.settings.ConvertBlocked || !private && s.settings.PrivateOnly {
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
			holds = holds && c.holds(record{t, v}, profile, properties)
		}
		if holds {
			return r, true
		}
	}
	return ConversionRule{}, false
}

func (s *Sandbox) profileOf(v values) *record {
	ref, ok := v[s.schema.byName["socialactivity"].byName["postfromprofileid"].ordinal].(reference)
	if !ok {
		return nil
	}
	found, ok := s.store.load(ref.table, ref.id)
	if !ok {
		return nil
	}
	return &record{ref.table, found}
}

func (c Condition) holds(activity record, profile *record, properties map[string]any) bool {
	want := c.Value
	if n, ok := want.(int); ok {
		want = int64(n)
	}
	var have any
	switch {
	case c.Property != "":
		have = channelProperty(properties[c.Property], want)
		if b, ok := want.(bool); ok {
			want = strconv.FormatBool(b) // such a property is text
		}
		if text, ok := want.(string); ok {
			return compareText(have.(string), text, c.Operator)
		}
	case c.Profile != "" && profile != nil:
		have = profile.field(profile.table.byName[c.Profile].wire())
	case c.Column != "":
		have = activity.field(activity.table.byName[c.Column].wire())
	}
	if text, ok := have.(string); ok && c.Operator == "contains" {
		part, _ := want.(string)
		return strings.Contains(fold(text), fold(part))
	}
	op := c.Operator
	if op == "" {
		op = "eq"
	}
	return comparison{"value", op, want}.match(single{have})
}

// channelProperty reads a member of the JSON as record creation rules do: as text, whole number or float, whatever the condition compares
// with. Nested values cannot be read.
func channelProperty(value, want any) any {
	number, _ := value.(json.Number)
	switch want.(type) {
	case int64:
		if n, err := number.Int64(); err == nil {
			return n
		}
		return int64(absentWhole)
	case float64:
		if x, err := number.Float64(); err == nil {
			return x
		}
		return float64(absentFloat)
	}
	switch v := value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	}
	return number.String()
}

func compareText(have, want, op string) bool {
	switch op {
	case "ne":
		return have != want
	case "contains":
		return strings.Contains(have, want)
	case "gt":
		return have > want
	case "ge":
		return have >= want
	case "lt":
		return have < want
	case "le":
		return have <= want
	}
	return have == want
}

// single is one value as a filter sees it.
type single struct{ value any }

func (f single) field(string) any { return f.value }

// convert creates the rule's record and makes the activity regard it. What stands in the way (the activity went, regards
// something, the table is not installed, a case lacks its customer) ends the conversion without a trace, as it does in Dynamics.
func (s *Sandbox) convert(id uuid.UUID, rule ConversionRule) bool {
	t := s.schema.byName["socialactivity"]
	v, ok := s.store.load(t, id)
	to := s.schema.byName[rule.Entity]
	regarding := t.byName["regardingobjectid"]
	if !ok || to == nil || regarding.nav(to.name) == "" || v[regarding.ordinal] != nil {
		return false
	}
	made := s.newID()
	if s.insert(to, made, s.conversion(to, v)) != nil {
		return false
	}
	v[regarding.ordinal] = reference{to, made}
	v[t.byName["modifiedon"].ordinal] = s.clock()
	if status, ok := t.byName["statuscode"].choice(rule.StatusCode); ok {
		v[t.byName["statuscode"].ordinal], v[t.byName["statecode"].ordinal] = status.value, status.state
	}
	s.store.replace(t, id, v)
	return true
}

// conversion says what the rule's Create step writes into a record of that table.
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

// Convert performs the conversions that are due and returns how many records it made. Run does this by itself; tests with a clock of their
// own call it instead.
func (s *Sandbox) Convert() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := 0
	for len(s.pending) > 0 && !s.opts.Now().Before(s.pending[0].due) {
		next := heap.Pop(&s.pending).(pending)
		if s.convert(next.activity, next.rule) {
			made++
		}
	}
	return made
}

// Run performs delayed conversions when they fall due, until ctx ends; then it returns nil.
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
		s.Convert()
		if wait, waiting := s.untilDue(); waiting {
			timer.Reset(wait)
		}
	}
}

// untilDue returns how long the next conversion has to wait.
func (s *Sandbox) untilDue() (time.Duration, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.pending) == 0 {
		return 0, false
	}
	return max(s.pending[0].due.Sub(s.opts.Now()), 0), true
}

// applyRules answers ApplyRecordCreationAndUpdateRule: the rules are applied to an activity that they missed.
func (s *Sandbox) applyRules(c *call) (answer, error) {
	t := s.schema.byName["socialactivity"]
	members, err := s.readBody(c, t)
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
