package main

import (
	"strings"
	"testing"

	"postlink/dynamics/sandbox"
)

func TestAnInstanceIsAddedEditedSwitchedAndDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.run("instances add tailspin --url https://tailspin.crm.dynamics.com --token-file /run/secrets/tailspin").
		warns("^instance tailspin is added; choose record types for it: postlink entities offered tailspin$")
	w.run("instances show tailspin").
		prints("^Name +tailspin$", "^URL +https://tailspin.crm.dynamics.com$", "^Login +static$", "^Token from +file /run/secrets/tailspin$", "^Waiting +none$")
	w.fails(1, "instances add tailspin --url https://tailspin.crm.dynamics.com --token-env T").warns("tailspin")
	w.fails(78, "instances add Tail_spin --url https://tailspin.crm.dynamics.com --token-env T").warns("Tail_spin")

	w.run("instances edit fabrikam --client-id new-id --authority https://login.microsoftonline.us")
	w.run("instances show fabrikam").prints("^Client id +new-id$", "^Tenant +fabrikam.example$", "^Authority +https://login.microsoftonline.us$",
		"^Secret from +environment variable FABRIKAM_SECRET$")
	w.run("instances edit fabrikam --secret-file /run/secrets/fabrikam --url https://fabrikam.crm4.dynamics.com --default").
		warns("^instance fabrikam is changed$")
	w.run("instances show fabrikam").prints("^Secret from +file /run/secrets/fabrikam$", "^URL +https://fabrikam.crm4.dynamics.com$", "^State +.*default")
	w.run("instances show contoso").lacks("default")
	w.run("instances edit fabrikam --token-env T") // another kind of login begins anew
	w.run("instances show fabrikam").prints("^Login +static$").lacks("^Tenant", "^Client id", "^Secret from")
	w.fails(1, "instances edit fabrkam --token-env U").warns("did you mean fabrikam\\?")

	w.run("instances default contoso").warns("^instance contoso is preselected for manual links$")
	w.run("instances disable fabrikam tailspin").warns("^instance fabrikam takes no new links", "^instance tailspin takes no new links")
	w.run("instances list").prints("^contoso +.*default", "^fabrikam +disabled ", "^tailspin +disabled ")
	w.run("instances default fabrikam").warns("it is disabled, so manual links are refused until: postlink instances enable fabrikam$")
	w.run("instances show fabrikam").prints("^State +disabled, default$", "^Why +manual links that name no instance are refused")
	w.run("instances enable fabrikam").warns("^instance fabrikam takes new links$")
	w.run("instances show fabrikam").lacks("disabled")

	w.fails(2, "instances delete tailspin").warns("Delete instance tailspin at https://tailspin.crm.dynamics.com, with its 0 entities\\?", "add --yes")
	w.run("instances delete tailspin --yes").warns("^instance tailspin is deleted$")
	w.fails(1, "instances show tailspin")
	w.fails(1, "instances delete tailspin --yes")
}

func TestAnInstanceThatAnActiveRuleUsesCannotBeTakenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	for _, line := range []string{"instances disable contoso", "instances delete contoso --yes"} {
		w.fails(1, line).warns("^  rule delays$")
	}
	w.run("instances list").prints("^contoso +enabled, default ")
	w.run("rules deactivate delays")
	w.run("instances delete contoso --yes") // the other rule is inactive, and does not hold it
	w.run("instances list").lacks("^contoso")
}

func TestLoginFlagsThatContradictEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"--tenant t --token-env T":                            "two ways to log in",
		"--auth-kind static --client-id c":                    "two ways to log in",
		"--auth-kind client_credentials --token-file f":       "two ways to log in",
		"--secret-env A --secret-file f":                      "a secret is in one place",
		"--auth-kind static --token-env A --token-file /f":    "a secret is in one place",
		"--authority login.microsoftonline.us --token-file f": "two ways to log in",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			args := words("instances add x --url https://x.example " + line)
			runAt(t, "http://"+nothingThere(t), "", args...).exits(2).warns(want)
		})
	}
}

func TestARefreshRemovesWhatIsGoneAndKeepsWhatRulesUse(t *testing.T) {
	t.Parallel()
	gone := strings.NewReplacer(
		"{name: lead}", "{name: lead, fields: [subject, mood]}, {name: new_gone}, {name: new_used}",
		"entity: incident, notes", "entity: new_used, notes",
	).Replace(worldCatalog)
	w := newWorld(t, gone)
	w.run("instances refresh contoso").prints("^Version +9", "^Removed +field mood of lead$", "^Removed +entity new_gone$",
		"^Kept +entity new_used, gone in Dynamics but used by delays$")
	w.run("entities list contoso").prints("^lead +subject$", "^new_used").lacks("new_gone")
	w.run("instances show contoso").prints("^Missing +new_used$", "^Refreshed +20")
	w.run("instances refresh contoso --json").prints(`"version": "9`)
	w.fails(1, "instances refresh contso").warns("did you mean contoso\\?")
}

func TestAnInstanceSaysWhyNothingIsSentAndARefreshEndsAPark(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.contoso.SetSettings(sandbox.Settings{DisableSocialCare: true})
	w.publish(event(1, "late again"), event(2, "late too"))
	w.eventually("the instance is parked, and both links wait", func() bool {
		shown := runAt(t, w.URL(), "", "instances", "show", "contoso").out
		return strings.Contains(shown, "parked") && strings.Contains(shown, "2 links")
	})
	w.run("instances show contoso").
		prints("^State +parked, default$", "^Why +.*can’t receive social data.*; tried again at 20", "^Parked since +20", "^Waiting +2 links, the oldest since 20")
	w.run("posts show twitter/1").prints("^State +queued contoso$", "^Instance state +parked, default: .*can’t receive social data", "^Waiting there +2 links")
	w.fails(1, "links show twitter/1").warns("instance state: parked", "can’t receive social data")
	w.contoso.SetSettings(sandbox.Settings{})
	w.run("instances refresh contoso")
	w.reaches(1, "linked")
	w.reaches(2, "linked")
	w.eventually("the instance is open", func() bool {
		return !strings.Contains(runAt(t, w.URL(), "", "instances", "show", "contoso").out, "parked")
	})
}
