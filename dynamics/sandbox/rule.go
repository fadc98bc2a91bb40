package sandbox

import (
	"encoding/json"
	"fmt"
	"time"
)

// ConversionRule stands for one item of a record creation and update rule. It turns a social activity into a record and sets
// that record as the activity's regarding object. The first rule whose conditions all hold is used; one without conditions
// always holds. An activity that already has a regarding object is left alone.
//
// Rules act on creates and on the action ApplyRecordCreationAndUpdateRule, not on updates. In Dynamics a flow or a workflow does
// the work seconds to minutes later; Delay stands for that time, and needs Sandbox.Run. Microsoft's tables of these rules are for
// internal use, so the sandbox has this form of its own and no records for them.
type ConversionRule struct {
	Name       string        `json:"name,omitempty"` // for error texts only
	Entity     string        `json:"entity"`         // logical name of the table that it creates in
	Conditions []Condition   `json:"conditions,omitempty"`
	Delay      time.Duration `json:"delay,omitempty"` // after the create or the action, in nanoseconds; zero converts inside of it
}

// Condition compares one value for equality: either Column or Property says which. A column without a value equals nothing; a
// property that is absent or not flat equals the empty text. Columns are compared as filters do, without regard to case.
// Properties are compared exactly and by their text, except that numbers are compared as numbers (41.0 is 41).
type Condition struct {
	Column   string `json:"column,omitempty"`   // of the activity: community, sentimentvalue, postmessagetype
	Property string `json:"property,omitempty"` // flat member of the JSON in activityadditionalparams
	Value    any    `json:"value"`              // text, number or boolean
}

// defaultRules convert an activity into the record that its JSON prefers: a case, a lead or a complaint.
func defaultRules() []ConversionRule {
	var rules []ConversionRule
	for _, name := range []string{"incident", "lead", "new_complaint"} {
		rules = append(rules, ConversionRule{Name: "prefers " + name, Entity: name,
			Conditions: []Condition{{Property: "userPreferredTargetEntity", Value: name}}})
	}
	return rules
}

// checkRules refuses rules that could never hold because they are misspelt. A table without a relationship to social activities is
// accepted and converts nothing: Dynamics has organizations like that, and tests need one.
func (s *Sandbox) checkRules(rules []ConversionRule) error {
	activity := s.schema.byName["socialactivity"]
	for i, r := range rules {
		where := fmt.Sprintf("conversion rule %d %q", i+1, r.Name)
		if s.schema.byName[r.Entity] == nil {
			return fmt.Errorf("%s: there is no table %q", where, r.Entity)
		}
		for _, c := range r.Conditions {
			switch {
			case (c.Column == "") == (c.Property == ""):
				return fmt.Errorf("%s: a condition names either a column or a property", where)
			case c.Column != "" && activity.byName[c.Column] == nil:
				return fmt.Errorf("%s: social activities have no column %s", where, c.Column)
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

// holds compares texts of properties exactly, as channel properties are, and columns as filters do.
func (c Condition) holds(activity record, properties map[string]any) bool {
	want := c.Value
	if n, ok := want.(int); ok {
		want = int64(n)
	}
	if c.Property != "" {
		have := properties[c.Property]
		if number, ok := have.(json.Number); ok {
			if x, err := number.Float64(); err == nil && compare(want, x) == 0 {
				return true
			}
		}
		return channelProperty(have) == fmt.Sprint(want)
	}
	have := activity.field(activity.table.byName[c.Column].wire())
	return have != nil && compare(have, want) == 0
}

// channelProperty reads a member of the JSON as record creation rules do. Nested values cannot be read.
func channelProperty(value any) string {
	switch v := value.(type) {
	case string, bool, json.Number:
		return fmt.Sprint(v)
	}
	return ""
}
