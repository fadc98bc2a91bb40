package main

import (
	"strings"
	"testing"
	"time"

	"postlink/worker/console/api"
)

func TestTheStateOfAnInstanceSaysWhyAndUntilWhen(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 10, 30, 0, 0, time.Local)
	for name, test := range map[string]struct {
		in         api.Instance
		state, why string
	}{
		"all is well":                       {api.Instance{Enabled: true}, "enabled", ""},
		"preselected":                       {api.Instance{Enabled: true, Default: true}, "enabled, default", ""},
		"disabled":                          {api.Instance{}, "disabled", ""},
		"disabled, and still preselected":   {api.Instance{Default: true}, "disabled, default", "manual links that name no instance are refused"},
		"parked":                            {api.Instance{Enabled: true, Parked: "401 unauthorized"}, "parked", "401 unauthorized"},
		"parked, with the time of a try":    {api.Instance{Enabled: true, Parked: "401", NextTry: at}, "parked", "401; tried again at 2026-11-24 10:30:00"},
		"throttled":                         {api.Instance{Enabled: true, ThrottledUntil: at}, "throttled", "continues at 2026-11-24 10:30:00"},
		"parked counts more than throttled": {api.Instance{Enabled: true, Parked: "403", ThrottledUntil: at}, "parked", "403"},
		"retrying":                          {api.Instance{Enabled: true, Retrying: "503 busy", RetryingSince: at}, "retrying", "503 busy; since 2026-11-24 10:30:00"},
		"throttled, but no longer":          {api.Instance{Enabled: true, ThrottledUntil: at.Add(-time.Hour)}, "enabled", ""},
		"disabled counts more than parked":  {api.Instance{Parked: "401"}, "disabled", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := healthOf(test.in, at.Add(-time.Minute))
			if got.state != test.state || !strings.Contains(got.why, test.why) || (test.why == "") != (got.why == "") {
				t.Errorf("%+v, want state %q and why %q", got, test.state, test.why)
			}
		})
	}
}

func TestFactsOfAnInstanceSayHowManyLinksWaitAndSinceWhen(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 10, 30, 0, 0, time.Local)
	for name, test := range map[string]struct {
		in   api.Instance
		want string
	}{
		"none": {api.Instance{}, "none"},
		"one":  {api.Instance{Waiting: 1, Oldest: at}, "1 link, the oldest since 2026-11-24 10:30:00"},
		"many": {api.Instance{Waiting: 12}, "12 links"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, f := range instanceFacts(test.in) {
				if f.Name == "Waiting" && f.Value != test.want {
					t.Errorf("%q, want %q", f.Value, test.want)
				}
			}
		})
	}
}

func TestThePostOfAnyStateIsNamedAsThat(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		post api.Post
		want string
	}{
		"never linked":                {api.Post{}, "not linked"},
		"undecodable":                 {api.Post{Dead: true}, "dead"},
		"linked":                      {api.Post{Linked: true, Link: &api.Link{State: "linked", Instance: "contoso"}}, "linked contoso"},
		"queued":                      {api.Post{Linked: true, Link: &api.Link{State: "queued", Instance: "contoso"}}, "queued contoso"},
		"removed":                     {api.Post{Link: &api.Link{State: "removed", Instance: "contoso"}}, "not linked (removed)"},
		"of an instance that is gone": {api.Post{Link: &api.Link{State: "linked", Instance: "contoso"}}, "not linked (its instance was deleted)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := postState(test.post); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	dead := deadText(api.Post{Dead: true, Reason: "not JSON", DeadLetter: 7})
	if dead != "not JSON; look with: postlink dead show 7" {
		t.Errorf("a dead post: %q", dead)
	}
	if got := deadText(api.Post{}); got != "" {
		t.Errorf("a post that is not dead: %q", got)
	}
}

func TestSinceTakesTimesAgoAndDates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"2026-11-24":                time.Date(2026, 11, 24, 0, 0, 0, 0, time.Local),
		"2026-11-24 10:30:00":       time.Date(2026, 11, 24, 10, 30, 0, 0, time.Local),
		"2026-11-24T10:30":          time.Date(2026, 11, 24, 10, 30, 0, 0, time.Local),
		"2026-11-24T10:30:00Z":      time.Date(2026, 11, 24, 10, 30, 0, 0, time.UTC),
		"2026-11-24T10:30:00+02:00": time.Date(2026, 11, 24, 8, 30, 0, 0, time.UTC),
	} {
		var m moment
		if err := m.Set(text); err != nil || !m.Equal(want) {
			t.Errorf("%s: %s, %v; want %s", text, m.Time, err, want)
		}
	}
	for text, ago := range map[string]time.Duration{"90m": 90 * time.Minute, "2h": 2 * time.Hour, "7d": 7 * 24 * time.Hour} {
		var m moment
		if err := m.Set(text); err != nil || (time.Since(m.Time)-ago).Abs() > 2*time.Hour { // a change of the clocks is an hour
			t.Errorf("%s: %s, %v", text, m.Time, err)
		}
	}
	for _, text := range []string{"", "yesterday", "-2h", "24.11.2026", "99999d d"} {
		var m moment
		if err := m.Set(text); err == nil {
			t.Errorf("%q was taken as %s", text, m.Time)
		}
	}
}

func TestTheQueryOfAFilterHasOnlyWhatIsGiven(t *testing.T) {
	t.Parallel()
	f := letterFilters{instance: instanceFilter(), rule: ruleFilter()}
	if f.given() || len(f.query()) != 0 {
		t.Errorf("nothing is given, but the query is %v", f.query())
	}
	f.code, f.instance.name = "0x80044331", "contoso"
	if err := f.since.Set("2026-11-24T10:30:00Z"); err != nil {
		t.Fatal(err)
	}
	if got := f.query().Encode(); !f.given() || got != "code=0x80044331&instance=contoso&since=2026-11-24T10%3A30%3A00Z" {
		t.Errorf("query %s", got)
	}
}

func TestNumbersHaveTheirNouns(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0 links": many(0, "link"), "1 link": many(1, "link"), "2 links": many(2, "link"), "3 entities": many(3, "entity"), "1 entity": many(1, "entity"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for want, got := range map[string]string{
		"0x80044331 too long": withCode("0x80044331", "too long"), "too long": withCode("", "too long"),
		"error 0x80044331": withCode("0x80044331", "error 0x80044331"), "0x1": withCode("0x1", ""),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
