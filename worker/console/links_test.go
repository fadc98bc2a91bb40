package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postlink/dynamics/sandbox"
	"postlink/worker/console/api"
	"postlink/worker/ledger"
)

func TestALinkIsAnsweredWithItsState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	event := func(id int) api.NewLink {
		return api.NewLink{Event: []byte(post(id, "neutral")), Entity: "incident"}
	}
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 503, Method: http.MethodPatch, Path: "socialactivities"})
	if l := as[api.Link](w.send(http.MethodPost, api.PathLinks, event(1)).is(202)); l.State != "queued" || l.Instance != "contoso" {
		t.Errorf("link %+v", l)
	}
	if l := as[api.Link](w.send(http.MethodPost, api.PathLinks+"?wait=1", event(2)).is(202)); l.State != "queued" {
		t.Errorf("link %+v", l)
	}
	w.contoso.ClearFaults()
	w.reaches(1, ledger.Linked)
	w.reaches(2, ledger.Linked)
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 400, Code: "0x80048408", Method: http.MethodPatch, Path: "socialactivities", Times: 1})
	if l := as[api.Link](w.send(http.MethodPost, api.PathLinks+"?wait=20", event(3)).is(202)); l.State != "dead" || l.Reason == "" {
		t.Errorf("link %+v", l)
	}
	for about, body := range map[string]string{
		"neither": `{"entity":"incident"}`, "both": `{"post":"@1","event":{"post":{"id":1}}}`, "null": `{"event":null}`,
	} {
		if a := w.send(http.MethodPost, api.PathLinks, body); a.status != 422 || !strings.Contains(string(a.body), "give one of them") {
			t.Errorf("%s: %d %s", about, a.status, a.body)
		}
	}
	w.send(http.MethodPost, api.PathLinks+"?wait=61", event(4)).problem(422, "invalid-request")
}

func TestDetailsAreOfTheRecordOrElseOfTheActivity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.link(1)
	d := as[api.LinkDetails](w.get(to(api.PathPostLink, "1")).is(200))
	if d.Of != api.OfRecord || d.Comment != "" || d.Label != "Case" || d.Record.Entity != "incident" || len(d.Fields) != 2 ||
		d.Fields[0].Name != "title" || d.Fields[0].Label != "Case Title" || d.Fields[1].Value == "" || d.Link.Record == nil || *d.Link.Record != d.Record {
		t.Errorf("details %+v", d)
	}
	if u := as[api.LinkURL](w.get(to(api.PathLinkURL, "1")).is(200)); u.URL != d.URL || !strings.Contains(u.URL, d.Record.ID) {
		t.Errorf("url %q", u.URL)
	}
	w.contoso.SetSettings(sandbox.Settings{NoConversion: true})
	w.link(2)
	d = as[api.LinkDetails](w.get(to(api.PathPostLink, "2")).is(200))
	if d.Of != api.OfSocialActivity || !strings.Contains(d.Comment, "No record creation rule") || d.Record.Entity != "socialactivity" {
		t.Errorf("details %+v", d)
	}
	w.fault(w.contoso, sandbox.Fault{Kind: sandbox.FaultForbidden, Method: http.MethodGet, Path: "^incidents"})
	d = as[api.LinkDetails](w.get(to(api.PathPostLink, "1")).is(200))
	if d.Of != api.OfSocialActivity || !strings.Contains(d.Comment, "may not read it") {
		t.Errorf("details %+v", d)
	}
}

func TestALinkIsShownUnderItsIDAndUnderTheNameOfItsPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.send(http.MethodPost, api.PathLinks+"?wait=20", api.NewLink{Event: []byte(post(1, "neutral")), Entity: "incident"}).is(201)
	created := as[api.Link](a)
	if want := api.Path(api.PathLink, created.ID); a.header.Get("Location") != want {
		t.Errorf("Location %q, want %q", a.header.Get("Location"), want)
	}
	for _, name := range []string{created.ID, strings.ToUpper(created.ID), "1", "twitter/1", name(1)} {
		got := as[api.Link](w.get(to(api.PathLink, name)).is(200))
		if diff := cmp.Diff(created, got); diff != "" {
			t.Errorf("%s (-created +shown):\n%s", name, diff)
		}
	}
	w.send(http.MethodDelete, to(api.PathPostLink, "1"), nil).is(200)
	again := as[api.Link](w.send(http.MethodPost, api.PathLinks, api.NewLink{Event: []byte(post(1, "neutral")), Entity: "new_complaint"}))
	if first := as[api.Link](w.get(to(api.PathLink, created.ID)).is(200)); first.State != "removed" || first.Generation != 1 {
		t.Errorf("the first link is shown as %+v", first)
	}
	if second := as[api.Link](w.get(a.header.Get("Location")[:len(api.PathLinks)+1] + again.ID).is(200)); second.Generation != 2 {
		t.Errorf("the second link is shown as %+v", second)
	}
	w.publish(post(2, "neutral"))
	w.get(to(api.PathLink, "2")).problem(404, "not-linked")
	w.get(to(api.PathLink, "no such")).problem(404, "link-unknown")
}
