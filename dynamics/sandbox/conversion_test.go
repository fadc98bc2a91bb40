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

// rules replaces the conversion rules.
func (o *org) rules(rules ...sandbox.ConversionRule) {
	o.t.Helper()
	if err := o.SetRules(rules); err != nil {
		o.t.Fatal(err)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	const parameters = `{\"kind\":\"Sale\",\"score\":41.0,\"hits\":3,\"isRetweet\":true,\"nested\":{\"a\":1}}`
	for name, tc := range map[string]struct {
		condition sandbox.Condition
		want      bool
	}{
		"a channel":                          {sandbox.Condition{Column: "community", Value: 2}, true},
		"another channel":                    {sandbox.Condition{Column: "community", Value: 1}, false},
		"a sentiment":                        {sandbox.Condition{Column: "sentimentvalue", Value: -1}, true},
		"a subject in another case":          {sandbox.Condition{Column: "postid", Value: "1234"}, true},
		"an empty column":                    {sandbox.Condition{Column: "threadid", Value: "x"}, false},
		"a column of another type":           {sandbox.Condition{Column: "community", Value: "2"}, false},
		"a text of the JSON":                 {sandbox.Condition{Property: "kind", Value: "Sale"}, true},
		"a text of the JSON in another case": {sandbox.Condition{Property: "kind", Value: "sale"}, false},
		"a float of the JSON":                {sandbox.Condition{Property: "score", Value: 41.0}, true},
		"a whole number of the JSON":         {sandbox.Condition{Property: "hits", Value: 3}, true},
		"a number of the JSON as text":       {sandbox.Condition{Property: "hits", Value: "3"}, true},
		"a boolean of the JSON is text":      {sandbox.Condition{Property: "isRetweet", Value: "true"}, true},
		"a boolean compares as its text":     {sandbox.Condition{Property: "isRetweet", Value: false}, false},
		"an absent text is empty":            {sandbox.Condition{Property: "absent", Value: ""}, true},
		"a nested value is absent":           {sandbox.Condition{Property: "nested", Value: ""}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, sandbox.Options{})
			o.rules(sandbox.ConversionRule{Entity: "lead", Conditions: []sandbox.Condition{tc.condition}})
			o.author()
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
	negative := sandbox.Condition{Column: "sentimentvalue", Value: -1}
	o := newOrg(t, sandbox.Options{})
	o.rules(sandbox.ConversionRule{Entity: "incident", Conditions: []sandbox.Condition{negative, {Column: "community", Value: 1}}},
		sandbox.ConversionRule{Entity: "lead", Conditions: []sandbox.Condition{negative}},
		sandbox.ConversionRule{Entity: "new_complaint"})
	o.author()
	o.must(204, "PATCH", activity, fullActivity)
	if got := o.regarding(postID); got != "lead" {
		t.Errorf("regards %q, want the lead of the second rule", got)
	}
	o.must(204, "PATCH", "socialactivities("+otherID+")", `{"sentimentvalue":1}`)
	if got := o.regarding(otherID); got != "new_complaint" {
		t.Errorf("regards %q, want the complaint of the last rule", got)
	}
}

func TestRulesThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	for name, c := range map[string]sandbox.Condition{
		"an unknown column":        {Column: "colour", Value: 1},
		"two things to compare":    {Column: "community", Property: "x", Value: 1},
		"nothing to compare":       {Value: 1},
		"no value to compare with": {Column: "community"},
		"a value that is not one":  {Column: "community", Value: []any{1}},
	} {
		if err := o.SetRules([]sandbox.ConversionRule{{Entity: "incident", Conditions: []sandbox.Condition{c}}}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := o.SetRules([]sandbox.ConversionRule{{Entity: "nothing"}}); err == nil {
		t.Error("an unknown table is accepted")
	}
	if got := len(o.Rules()); got != 3 {
		t.Errorf("%d rules after refused changes, want 3", got)
	}
}

func TestConversionCanBeHeldBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		settings sandbox.Settings
		blocked  bool
		want     bool
	}{
		"nothing holds it back":     {sandbox.Settings{}, false, true},
		"the rules are deactivated": {sandbox.Settings{NoConversion: true}, false, false},
		"the profile is blocked":    {sandbox.Settings{}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, sandbox.Options{})
			o.SetSettings(tc.settings)
			o.author()
			o.must(204, "PATCH", profile, fmt.Sprintf(`{"blocked":%v}`, tc.blocked))
			o.must(204, "PATCH", activity, preferring("lead"))
			if got := o.regarding(postID) == "lead"; got != tc.want {
				t.Errorf("converted %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRulesCanBeAppliedAfterwards(t *testing.T) {
	t.Parallel()
	o := newOrg(t, sandbox.Options{})
	o.SetSettings(sandbox.Settings{NoConversion: true})
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

// running lets conversions run on time, and checks that Run ends without an error.
func (o *org) running() (stop func()) {
	ctx, cancel := context.WithCancel(o.t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			o.t.Error(err)
		}
	}
}

func TestConversionWaitsForItsDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, sandbox.Options{Now: time.Now})
		o.rules(delayed(time.Hour, time.Minute)...)
		stop := o.running()
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
		if o.regarding(postID) != "lead" || o.regarding(otherID) != "lead" {
			t.Error("a conversion was lost")
		}
		stop()
	})
}

func TestConversionOfWhatChangedMeanwhileIsSkipped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, sandbox.Options{Now: time.Now})
		o.rules(delayed(time.Second)...)
		stop := o.running()
		o.author()
		o.must(204, "PATCH", activity, `{"community":0}`)
		o.must(204, "PATCH", "socialactivities("+otherID+")", `{"community":0}`)
		o.must(204, "DELETE", activity, "")
		o.must(204, "PATCH", "socialactivities("+otherID+")", `{"regardingobjectid_contact_socialactivity@odata.bind":"/`+contact+`"}`)
		<-time.After(2 * time.Second)
		synctest.Wait()
		if o.Count("lead") != 0 {
			t.Errorf("%d leads", o.Count("lead"))
		}
		stop()
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
