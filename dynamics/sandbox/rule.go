package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
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
