package main

import (
	"net/http"
	"testing"

	"postlink/dynamics/sandbox"
)

func TestALinkByHandGoesWhereItIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.run("entities add fabrikam lead")
	w.publish(event(1, "one"), event(2, "two"), event(3, "three"))
	w.run("links create @1 --entity incident --notes call --wait")                // the default instance
	w.run("links create twitter/2 --instance fabrikam --wait")                    // its only entity
	w.run("links create 3 --instance contoso --entity lead --wait --timeout 20s") // a number is an id
	w.run("links create --event " + w.file("p.json", event(4, "four")) + " --entity lead --json").prints(`"post_id": "4"`)
	w.reaches(4, "linked")
	w.run("posts show @1").prints("^Link 1 +contoso incident, notes: call$")
	w.run("posts show @2").prints("^Link 1 +fabrikam lead$")
	w.run("posts show @3").prints("^Link 1 +contoso lead$")
	w.run("posts show twitter/4").prints("^Link 1 +contoso lead$")
	if c, f := w.contoso.Count("socialactivity"), w.fabrikam.Count("socialactivity"); c != 3 || f != 1 {
		t.Errorf("%d and %d records", c, f)
	}
	w.run("links list --instance fabrikam").prints("^twitter/2 ").lacks("^twitter/[134] ")
	w.run("links list --limit 2").prints("^twitter/").warns("continue with --cursor")
}

func TestALinkThatCannotBeMadeIsRefusedAndMakesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.linked(1)
	w.publish(event(2, "two"))
	for line, want := range map[string]string{
		"links create @2":                                       "(?s)contoso.*incident.*lead", // several entities
		"links create @2 --entity incidnt":                      "configured: incident, lead",
		"links create @2 --instance contso --entity incident":   "did you mean contoso\\?",
		"links create @2 --instance fabrikam --entity incident": "fabrikam",
		"links create @9 --entity incident":                     "@9",
		"links create @1 --entity lead":                         "(?s)already linked.*post twitter/1 is linked contoso",
	} {
		w.fails(1, line).warns(want)
	}
	w.fails(2, "links create @2 --event x --entity lead").warns("which post\\?")
	w.fails(2, "links create --event nowhere.json --entity lead").warns("there is no file nowhere.json; name a file with one post")
	w.fails(2, "links create --event "+t.TempDir()+" --entity lead").warns("is a folder; name a file with one post")
	w.fails(2, "links create --event "+w.file("p.json", "{")+" --entity lead").warns("is not one JSON document")
	w.fails(1, "links create --event "+w.file("p.json", "{}")+" --entity lead").warns("^postlink: ")
	w.run("instances disable fabrikam")
	w.run("instances default fabrikam")
	w.fails(1, "links create @2").warns("fabrikam.*disabled|disabled.*fabrikam")
	if n := w.contoso.Count("socialactivity") + w.fabrikam.Count("socialactivity"); n != 1 {
		t.Errorf("%d records, want that of post 1 alone", n)
	}
}

func TestWhoWaitsForALinkLearnsWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	refuse := sandbox.Fault{Kind: sandbox.FaultStatus, Method: http.MethodPatch, Path: "socialactivities", Status: 400, Code: "0x80048408", Times: 1}
	w.publish(event(1, "one"), event(2, "two"))
	w.fault(w.contoso, refuse)
	w.fails(1, "links create @1 --entity lead --wait").prints("^State +dead$", "^Reason +.*0x80048408").
		warns("the link of post twitter/1 is dead: .*0x80048408; correct that, then link the post again$")
	w.run("links create @1 --entity lead --wait").prints("^State +linked$")
	w.run("posts show @1").prints("^Link 1 +contoso lead$", "^Link 2 +contoso lead$")
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultStatus, Method: http.MethodPatch, Path: "socialactivities", Status: 503})
	w.fails(1, "links create @2 --entity lead --wait --timeout 1s").prints("^State +queued$").
		warns("is not delivered after 1s \\(.*instance contoso is .*503.*\\); the link stays queued .* postlink posts show twitter/2$")
	w.run("links create --event " + w.file("p.json", event(3, "three")) + " --entity lead").prints("^State +queued$").
		warns("^the link is on its way; see what became of it with: postlink posts show twitter/3$")
	w.fails(1, "links show @2").warns("queued", "^  instance state: (retrying|parked), default: .*503")
	w.contoso.ClearFaults()
	w.reaches(2, "linked")
	w.reaches(3, "linked")
}

func TestALinkIsShownOpenedAndRemovedForGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldCatalog)
	w.linked(1, 2, 3)
	w.publish(event(4, "all fine"))
	w.run("links show twitter/1").prints("^Post +twitter/1$", "^Record +Case \\(incident\\)$", "^URL +http.*etn=incident", "^Case Title +late again$", "^Case Number +CAS-")
	w.run("links show @1 --json").prints(`"of": "record"`, `"label": "Case Title"`)
	w.run("links open @1").prints("^http://.*/contoso/main.aspx\\?.*etn=incident.*$")
	w.run("links open @1 --json").prints(`"url": "http`)
	w.fails(1, "links show @4").warns("4.*linked|linked.*4")
	w.fails(1, "links open @4")

	w.fails(2, "links remove @1 @2").warns("Remove 2 links, with their notes, for good\\?", "of post twitter/2 to incident of instance contoso", "add --yes")
	w.fails(2, "links remove @1").warns("Remove the link of post twitter/1 to incident of instance contoso, with its notes, for good\\? The record in Dynamics stays")
	w.run("links list --state linked").prints("^twitter/1 ", "^twitter/2 ")
	// What has no link does not keep the others.
	w.fails(1, "links remove @1 @4 @2 --yes").
		warns("^the link of post twitter/1 to incident of instance contoso is removed; the post can be linked again$", "^postlink: @4: ", "^the link of post twitter/2 ")
	w.run("links list --state removed").prints("^twitter/1 ", "^twitter/2 ").lacks("^twitter/3 ")
	w.run("posts show @1").prints("^Link 1 +contoso incident$") // its notes are gone
	if n := w.contoso.Count("incident"); n != 3 {
		t.Errorf("%d records are left in Dynamics, want all 3", n)
	}
	w.run("links create @1 --entity incident --wait")
	if n := w.contoso.Count("incident"); n != 4 {
		t.Errorf("%d records, want a new one for the new link", n)
	}
	w.fails(1, "links remove @4").warns("^postlink: ")
	w.fails(1, "links remove @99 --yes")
}
