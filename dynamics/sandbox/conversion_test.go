package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postlink/dynamics/sandbox"
)

// regarding returns the logical name of what an activity regards, or nothing.
func (o *org) regarding(id string) string {
	o.t.Helper()
	r := o.must(200, "GET", "socialactivities("+id+")?$select=_regardingobjectid_value", "", "Prefer", `odata.include-annotations="*"`)
	name, _ := r.member("_regardingobjectid_value@Microsoft.Dynamics.CRM.lookuplogicalname").(string)
	return name
}

func preferring(entity string) string {
	return fmt.Sprintf(`{"subject":"s","description":"d","community":1,"postauthor_contact@odata.bind":"/%s","postfromprofileid@odata.bind":"/%s",`+
		`"activityadditionalparams":"{\"userPreferredTargetEntity\":\"%s\"}"}`, contact, profile, entity)
}

func TestDefaultRulesFollowThePreferredEntity(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ body, want string }{
		"a preferred case":                         {preferring("incident"), "incident"},
		"a preferred lead":                         {preferring("lead"), "lead"},
		"a preferred custom record":                {preferring("new_complaint"), "new_complaint"},
		"a table that is not related":              {preferring("new_vehicle"), ""},
		"the match is exact":                       {preferring("Incident"), ""},
		"without JSON nothing is preferred":        {`{"subject":"s"}`, ""},
		"JSON that is none prefers nothing":        {`{"activityadditionalparams":"{"}`, ""},
		"a nested value cannot be read":            {`{"activityadditionalparams":"{\"userPreferredTargetEntity\":{\"a\":\"incident\"}}"}`, ""},
		"a case without customer cannot be made":   {`{"activityadditionalparams":"{\"userPreferredTargetEntity\":\"incident\"}"}`, ""},
		"the profile's customer is one":            {`{"postfromprofileid@odata.bind":"/` + profile + `","activityadditionalparams":"{\"userPreferredTargetEntity\":\"incident\"}"}`, "incident"},
		"an activity that regards another is left": {strings.Replace(preferring("incident"), `{`, `{"regardingobjectid_contact_socialactivity@odata.bind":"/`+contact+`",`, 1), "contact"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, sandbox.Options{})
			o.author()
			o.must(204, "PATCH", activity, tc.body, "If-None-Match", "*")
			if got := o.regarding(postID); got != tc.want {
				t.Errorf("regards %q, want %q", got, tc.want)
			}
			for _, table := range []string{"incident", "lead", "new_complaint", "new_vehicle"} {
				if got := o.Count(table); got != bit(table == tc.want) {
					t.Errorf("%d records of %s", got, table)
				}
			}
		})
	}
}

func TestConvertedRecordsTellOfThePost(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.author()
	long := strings.Repeat("😀", 60) // 120 units: fits a subject, not a custom table's name
	for i, entity := range []string{"incident", "lead", "new_complaint"} {
		o.must(204, "PATCH", fmt.Sprintf("socialactivities(a0000000-0000-4000-8000-00000000000%d)", i+1),
			strings.Replace(preferring(entity), `"subject":"s"`, `"subject":"`+long+`"`, 1))
		for r := range o.Records(entity) {
			golden(t, "converted-"+entity, string(r.Record))
		}
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	const parameters = `{\"kind\":\"Sale\",\"score\":41.5,\"hits\":3,\"isRetweet\":true,\"nested\":{\"a\":1}}`
	for name, tc := range map[string]struct {
		condition sandbox.Condition
		want      bool
	}{
		"a channel":                           {sandbox.Condition{Column: "community", Value: 2}, true},
		"another channel":                     {sandbox.Condition{Column: "community", Value: 1}, false},
		"a sentiment below zero":              {sandbox.Condition{Column: "sentimentvalue", Operator: "lt", Value: 0}, true},
		"a public message":                    {sandbox.Condition{Column: "postmessagetype", Operator: "ne", Value: 1}, true},
		"a word of the subject":               {sandbox.Condition{Column: "subject", Operator: "contains", Value: "BAG"}, true},
		"an empty column is unlike a value":   {sandbox.Condition{Column: "threadid", Operator: "ne", Value: "x"}, true},
		"an influence of the profile":         {sandbox.Condition{Profile: "influencescore", Operator: "ge", Value: 10.0}, true},
		"a profile that is blocked":           {sandbox.Condition{Profile: "blocked", Value: true}, false},
		"a text of the JSON":                  {sandbox.Condition{Property: "kind", Value: "Sale"}, true},
		"a text of the JSON in another case":  {sandbox.Condition{Property: "kind", Value: "sale"}, false},
		"a part of a text":                    {sandbox.Condition{Property: "kind", Operator: "contains", Value: "al"}, true},
		"another text":                        {sandbox.Condition{Property: "kind", Operator: "ne", Value: "Sale"}, false},
		"texts have an order":                 {sandbox.Condition{Property: "kind", Operator: "ge", Value: "S"}, true},
		"texts have an order, backwards":      {sandbox.Condition{Property: "kind", Operator: "lt", Value: "S"}, false},
		"text above":                          {sandbox.Condition{Property: "kind", Operator: "gt", Value: "Sale"}, false},
		"text up to":                          {sandbox.Condition{Property: "kind", Operator: "le", Value: "Sale"}, true},
		"a float of the JSON":                 {sandbox.Condition{Property: "score", Operator: "gt", Value: 41.0}, true},
		"a whole number of the JSON":          {sandbox.Condition{Property: "hits", Value: 3}, true},
		"a number of the JSON as text":        {sandbox.Condition{Property: "hits", Value: "3"}, true},
		"a boolean of the JSON is text":       {sandbox.Condition{Property: "isRetweet", Value: "true"}, true},
		"a boolean compares as its text":      {sandbox.Condition{Property: "isRetweet", Value: false}, false},
		"an absent text is empty":             {sandbox.Condition{Property: "absent", Value: ""}, true},
		"an absent whole number is the least": {sandbox.Condition{Property: "absent", Value: -2147483648}, true},
		"an absent float is far below":        {sandbox.Condition{Property: "absent", Value: -1e11}, true},
		"a nested value is absent":            {sandbox.Condition{Property: "nested", Value: ""}, true},
		"a fraction is no whole number":       {sandbox.Condition{Property: "score", Value: 41}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, sandbox.Options{Rules: []sandbox.ConversionRule{{Entity: "lead", Conditions: []sandbox.Condition{tc.condition}}}})
			o.author()
			o.must(204, "PATCH", profile, `{"influencescore":10}`)
			body := strings.Replace(fullActivity, `"{\"userPreferredTargetEntity\":\"incident\",\"isRetweet\":false,\"influencescore\":41.0}"`, `"`+parameters+`"`, 1)
			o.must(204, "PATCH", activity, body, "If-None-Match", "*")
			if got := o.regarding(postID) == "lead"; got != tc.want {
				t.Errorf("holds %v, want %v", got, tc.want)
			}
		})
	}
}

func TestTheFirstRuleThatHoldsCreates(t *testing.T) {
	t.Parallel()
	negative := sandbox.Condition{Column: "sentimentvalue", Operator: "lt", Value: 0}
	o := newOrg(t, sandbox.Options{Rules: []sandbox.ConversionRule{
		{Entity: "incident", Conditions: []sandbox.Condition{negative, {Column: "community", Value: 1}}},
		{Entity: "lead", Conditions: []sandbox.Condition{negative}, StatusCode: 3},
		{Entity: "new_complaint"},
	}})
	o.author()
	o.must(204, "PATCH", activity, fullActivity)
	if got := o.regarding(postID); got != "lead" {
		t.Errorf("regards %q, want the lead of the second rule", got)
	}
	r := o.must(200, "GET", activity, "")
	if r.member("statecode") != 1.0 || r.member("statuscode") != 3.0 {
		t.Errorf("state %v, status %v, want Completed, Processing", r.member("statecode"), r.member("statuscode"))
	}
	o.must(204, "PATCH", "socialactivities("+otherID+")", `{"sentimentvalue":1}`)
	if got := o.regarding(otherID); got != "new_complaint" {
		t.Errorf("regards %q, want the complaint of the last rule", got)
	}
	if err := o.SetRules([]sandbox.ConversionRule{{Entity: "incident", StatusCode: 9}}); err == nil {
		t.Error("a rule with an unknown status was taken")
	}
	if got := len(o.Rules()); got != 3 {
		t.Errorf("%d rules after a refused change, want 3", got)
	}
}

func TestSwitchesHoldConversionBack(t *testing.T) {
	t.Parallel()
	private := strings.Replace(preferring("lead"), `{`, `{"postmessagetype":1,`, 1)
	for name, tc := range map[string]struct {
		settings sandbox.Settings
		blocked  bool
		body     string
		want     bool
	}{
		"nothing holds it back":               {sandbox.Settings{}, false, preferring("lead"), true},
		"the rules are deactivated":           {sandbox.Settings{NoConversion: true}, false, preferring("lead"), false},
		"the profile is blocked":              {sandbox.Settings{}, true, preferring("lead"), false},
		"blocked profiles are allowed":        {sandbox.Settings{ConvertBlocked: true}, true, preferring("lead"), true},
		"direct messages only, and public":    {sandbox.Settings{PrivateOnly: true}, false, preferring("lead"), false},
		"direct messages only, and it is one": {sandbox.Settings{PrivateOnly: true}, false, private, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, sandbox.Options{Settings: tc.settings})
			o.author()
			o.must(204, "PATCH", profile, fmt.Sprintf(`{"blocked":%v}`, tc.blocked))
			o.must(204, "PATCH", activity, tc.body)
			if got := o.regarding(postID) == "lead"; got != tc.want {
				t.Errorf("converted %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRulesCanBeAppliedAfterwards(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{Settings: sandbox.Settings{NoConversion: true}})
	o.author()
	o.must(204, "PATCH", activity, preferring("incident"))
	apply := func(id string) response {
		return o.do("POST", "ApplyRecordCreationAndUpdateRule", `{"Target":{"@odata.type":"Microsoft.Dynamics.CRM.socialactivity","activityid":"`+id+`"}}`)
	}
	if r := apply(postID); r.status != 204 || o.regarding(postID) != "" {
		t.Errorf("with rules deactivated: %d, regards %q", r.status, o.regarding(postID))
	}
	o.SetSettings(sandbox.Settings{})
	for range 2 { // the second time there is nothing left to do
		if r := apply(postID); r.status != 204 || o.regarding(postID) != "incident" || o.Count("incident") != 1 {
			t.Errorf("%d, regards %q, %d cases", r.status, o.regarding(postID), o.Count("incident"))
		}
	}
	if r := apply(unknownID); r.status != 404 {
		t.Errorf("an unknown activity: %d", r.status)
	}
	for _, body := range []string{`{}`, `{"Target":7}`, `{"Target":{"activityid":"` + postID + `"}}`, `{"Goal":{}}`} {
		if r := o.do("POST", "ApplyRecordCreationAndUpdateRule", body); r.status != 400 {
			t.Errorf("%s: %d", body, r.status)
		}
	}
	o.must(405, "GET", "ApplyRecordCreationAndUpdateRule", "")
}

func delayed(delays ...time.Duration) []sandbox.ConversionRule {
	var rules []sandbox.ConversionRule
	for i, d := range delays {
		rules = append(rules, sandbox.ConversionRule{Entity: "lead", Delay: d, Conditions: []sandbox.Condition{{Column: "community", Value: i}}})
	}
	return rules
}

func TestConversionWaitsForItsDelay(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{Rules: delayed(time.Minute, time.Second)})
	o.must(204, "PATCH", activity, `{"community":0}`)
	o.must(204, "PATCH", "socialactivities("+otherID+")", `{"community":1}`)
	for _, want := range []struct {
		advance time.Duration
		made    int
	}{{0, 0}, {time.Second, 1}, {58 * time.Second, 0}, {time.Second, 1}, {time.Hour, 0}} {
		o.clock.advance(want.advance)
		if made := o.Convert(); made != want.made {
			t.Fatalf("%v later %d conversions, want %d", want.advance, made, want.made)
		}
	}
	if o.regarding(postID) != "lead" || o.regarding(otherID) != "lead" {
		t.Error("a conversion was lost")
	}
}

func TestConversionOfWhatChangedMeanwhileIsSkipped(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{Rules: delayed(time.Second)})
	o.author()
	o.must(204, "PATCH", activity, `{"community":0}`)
	o.must(204, "PATCH", "socialactivities("+otherID+")", `{"community":0}`)
	o.must(204, "DELETE", activity, "")
	o.must(204, "PATCH", "socialactivities("+otherID+")", `{"regardingobjectid_contact_socialactivity@odata.bind":"/`+contact+`"}`)
	o.clock.advance(time.Second)
	if made := o.Convert(); made != 0 || o.Count("lead") != 0 {
		t.Errorf("%d conversions, %d leads", made, o.Count("lead"))
	}
}

func TestRunConvertsOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, sandbox.Options{Rules: delayed(time.Hour, time.Minute), Now: time.Now})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- o.Run(ctx) }()
		o.must(204, "PATCH", activity, `{"community":0}`)
		o.must(204, "PATCH", "socialactivities("+otherID+")", `{"community":1}`)
		for _, step := range []struct {
			until time.Duration
			leads int
		}{{59 * time.Second, 0}, {2 * time.Second, 1}, {58 * time.Minute, 1}, {2 * time.Minute, 2}} {
			<-time.After(step.until)
			synctest.Wait()
			if got := o.Count("lead"); got != step.leads {
				t.Errorf("%v later %d leads, want %d", step.until, got, step.leads)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestRulesSurviveJSON(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	r := o.send("GET", "/_sandbox/rules", "")
	var rules []sandbox.ConversionRule
	if err := json.Unmarshal([]byte(r.body), &rules); err != nil || len(rules) != 3 {
		t.Fatalf("%v: %s", err, r.body)
	}
	if r := o.send("PUT", "/_sandbox/rules", r.body); r.status != 200 {
		t.Errorf("the rules as they were shown are refused: %s", r.body)
	}
}
