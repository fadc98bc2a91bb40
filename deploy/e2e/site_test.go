package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"postlink/dynamics/sandbox"
	"postlink/worker/console/api"
)

// siteCatalog is what the statements find. No rule takes a post that does not name it.
const siteCatalog = `
instances:
  - name: contoso
    url: %s
    default: true
    auth: {kind: static, token: {env: SANDBOX_TOKEN}}
    entities:
      - {name: incident, fields: [title, ticketnumber, statuscode]}
      - {name: lead, fields: [subject, fullname]}
      - {name: new_complaint, fields: [new_name]}
      - {name: account}
  - name: fabrikam
    url: %s
    auth: {kind: static, token: {env: SANDBOX_TOKEN}}
    entities: [{name: lead, fields: [fullname, statuscode]}]
rules:
  - {name: calls, when: 'post.mentions("#calls")', link: {instance: contoso, entity: incident, notes: "call back"}}
  - {name: partners, when: 'post.mentions("#partners")', link: {instance: contoso, entity: account}}
  - {name: suppliers, when: 'post.mentions("#suppliers")', link: {instance: contoso, entity: account}}
  - {name: rivals, active: false, when: 'post.mentions("#rivals")', link: {instance: contoso, entity: account}}
`

// shared is a world that all statements use, made for the first of them and closed at the end of the test binary. The
// statements run one after another, and put back what they change of an organization or the catalog.
type shared struct {
	open  func(context.Context) (closer, error)
	once  sync.Once
	made  closer
	ready bool
}

type closer interface {
	world
	close() error
}

var (
	sharedProcess    = &shared{open: func(ctx context.Context) (closer, error) { return openProcess(ctx) }}
	sharedContainers = &shared{open: func(ctx context.Context) (closer, error) { return openContainers(ctx, contoso, fabrikam) }}
)

// site gives a test the world, with siteCatalog in force.
func (s *shared) site(t *testing.T) site {
	t.Helper()
	s.once.Do(func() {
		made, err := s.open(context.WithoutCancel(t.Context()))
		must(t, err)
		s.made = made
		first := site{t, made}
		first.applyCatalog()
		waitFor(t, "a worker that knows the catalog", func() (bool, error) {
			asked := first.do(http.MethodPost, api.PathLinks, api.NewLink{Post: "nobody's", Instance: fabrikam, Entity: "lead"})
			return asked.problem().Type == api.ProblemType+"post-unknown" && first.instance(fabrikam).Version != "" && first.instance(contoso).Version != "", nil
		})
		s.ready = true
	})
	if !s.ready {
		t.Fatal("the shared world could not be made; the first statement says why")
	}
	return site{t, s.made}
}

func (s *shared) close() error {
	if s.made == nil {
		return nil
	}
	return s.made.close()
}

// stated tests a statement in one process.
func stated(t *testing.T, statement func(site)) {
	t.Helper()
	t.Run("in one process", func(t *testing.T) { statement(sharedProcess.site(t)) })
}

// statedEverywhere tests a statement in one process and in containers.
func statedEverywhere(t *testing.T, statement func(site)) {
	t.Helper()
	stated(t, statement)
	t.Run("in containers", func(t *testing.T) {
		needDocker(t)
		s := sharedContainers.site(t)
		if c, ok := s.world.(*containers); ok {
			t.Cleanup(func() { c.showLogs(t) })
		}
		statement(s)
	})
}

// site is a world as people and programs see it: the API of its worker, and what the organizations' sandboxes say.
type site struct {
	t *testing.T
	world
}

// applyCatalog puts siteCatalog in force, again.
func (s site) applyCatalog() {
	s.t.Helper()
	s.do(http.MethodPut, api.PathCatalog, fmt.Sprintf(siteCatalog, s.instanceURL(contoso), s.instanceURL(fabrikam))).is(200)
}

func (s site) instance(name string) api.Instance {
	s.t.Helper()
	return as[api.Instance](s.do(http.MethodGet, to(api.PathInstance, name), nil).is(200))
}

func (s site) entities(instance string) (names []string) {
	s.t.Helper()
	for _, e := range as[api.List[api.Entity]](s.do(http.MethodGet, to(api.PathEntities, instance), nil).is(200)).Items {
		names = append(names, e.Name)
	}
	return names
}

// posts counts the posts of this test binary, so that each has an id of its own.
var posts atomic.Int64

// post publishes a post with that text, by an author of its own, and returns its id.
func (s site) post(text string) string {
	s.t.Helper()
	id := fmt.Sprint(700_000 + posts.Add(1))
	s.publish(id, "author "+id, text)
	return id
}

// publish appends a post of Twitter to the stream.
func (s site) publish(id, author, text string) {
	s.t.Helper()
	publish(s.t, s.world, fmt.Sprintf(`{"post":{"id":%q,"externalId":"x%s","postType":"post","uri":"https://twitter.com/a/status/%s",`+
		`"profile":{"externalId":%q,"externalHandle":"handle of %s","displayName":"Given %s"},"source":{"param":"Twitter"},`+
		`"content":{"text":%q},"sentiment":{"polarity":"neutral"}}}`, id, id, id, author, author, author, text))
}

// show is a post with its links, as the API tells of it.
func (s site) show(post string) api.PostHistory {
	s.t.Helper()
	return as[api.PostHistory](s.do(http.MethodGet, to(api.PathPost, post), nil).is(200))
}

// link links a post by hand, and waits until it is linked.
func (s site) link(n api.NewLink) api.Link {
	s.t.Helper()
	l := as[api.Link](s.do(http.MethodPost, api.PathLinks+"?wait=30", n).is(201))
	if l.State != "linked" || l.PostID != n.Post {
		s.t.Fatalf("link of post %s: %+v", n.Post, l)
	}
	return l
}

// reaches waits until the newest link of a post is in a state.
func (s site) reaches(post, state string) api.Link {
	s.t.Helper()
	var l *api.Link
	waitFor(s.t, "post "+post+" being "+state, func() (bool, error) {
		l = s.show(post).Link
		return l != nil && l.State == state, nil
	})
	return *l
}

func (s site) details(post string) api.LinkDetails {
	s.t.Helper()
	return as[api.LinkDetails](s.do(http.MethodGet, to(api.PathPostLink, post), nil).is(200))
}

// value is the field of that name in details.
func value(d api.LinkDetails, name string) string {
	for _, f := range d.Fields {
		if f.Name == name && !f.Missing {
			return f.Value
		}
	}
	return "no field " + name
}

// record is a record that a sandbox holds.
type record struct {
	Table  string
	ID     string
	Record map[string]any
}

// lookup is the record that a lookup column points to; empty when it points nowhere.
func (r record) lookup(column string) (table, id string) {
	table, _ = r.Record["_"+column+"_value@Microsoft.Dynamics.CRM.lookuplogicalname"].(string)
	id, _ = r.Record["_"+column+"_value"].(string)
	return table, id
}

// parameters is the JSON in an activity's additional parameters.
func (r record) parameters(t *testing.T) (p map[string]any) {
	t.Helper()
	text, _ := r.Record["activityadditionalparams"].(string)
	must(t, json.Unmarshal([]byte(text), &p))
	return p
}

// records are all that an organization holds for which a condition is true.
func (s site) records(organization string, fits func(record) bool) (all []record) {
	s.t.Helper()
	lines(s.t, s.sandboxURL(s.t, organization)+"/_sandbox/snapshot", func(line []byte) {
		var r record
		must(s.t, json.Unmarshal(line, &r))
		if fits(r) {
			all = append(all, r)
		}
	})
	return all
}

// activitiesOf are the social activities of a post in an organization.
func (s site) activitiesOf(organization, post string) []record {
	s.t.Helper()
	return s.records(organization, func(r record) bool { return r.Table == "socialactivity" && r.Record["postid"] == "x"+post })
}

// activity is the one social activity that was made of a post, under the id of its link.
func (s site) activity(l api.Link) record {
	s.t.Helper()
	found := s.activitiesOf(l.Instance, l.PostID)
	if len(found) != 1 || found[0].ID != l.ID {
		s.t.Fatalf("social activities of post %s in %s, whose link is %s: %v", l.PostID, l.Instance, l.ID, found)
	}
	return found[0]
}

// record is one record of an organization.
func (s site) record(organization, table, id string) record {
	s.t.Helper()
	found := s.records(organization, func(r record) bool { return r.Table == table && r.ID == id })
	if len(found) != 1 {
		s.t.Fatalf("%s has %d records %s %s", organization, len(found), table, id)
	}
	return found[0]
}

// count says how many records of each table an organization has.
func (s site) count(organization string) map[string]int {
	s.t.Helper()
	n := map[string]int{}
	s.records(organization, func(r record) bool { n[r.Table]++; return false })
	return n
}

// control asks or changes the sandbox of an organization, out of postlink's sight.
func (s site) control(method, organization, path string, body, into any) {
	s.t.Helper()
	status, text := s.send(nil, method, s.sandboxURL(s.t, organization)+"/_sandbox/"+path, body)
	if status >= http.StatusBadRequest {
		s.t.Fatalf("%s of the sandbox %s: status %d: %s", path, organization, status, text)
	}
	if into != nil {
		must(s.t, json.Unmarshal(text, into))
	}
}

// settings changes the switches of contoso, for the rest of the test at most; calling what it returns ends that sooner.
func (s site) settings(change func(*sandbox.Settings)) (restore func()) {
	s.t.Helper()
	var before sandbox.Settings
	s.control(http.MethodGet, contoso, "settings", nil, &before)
	changed := before
	change(&changed)
	s.control(http.MethodPatch, contoso, "settings", changed, nil)
	restore = sync.OnceFunc(func() { s.control(http.MethodPatch, contoso, "settings", before, nil) })
	s.t.Cleanup(restore)
	return restore
}

// conversions replaces the record creation rules of contoso, for the rest of the test.
func (s site) conversions(rules ...sandbox.ConversionRule) {
	s.t.Helper()
	var before []sandbox.ConversionRule
	s.control(http.MethodGet, contoso, "rules", nil, &before)
	s.control(http.MethodPut, contoso, "rules", append([]sandbox.ConversionRule{}, rules...), nil)
	s.t.Cleanup(func() { s.control(http.MethodPut, contoso, "rules", before, nil) })
}

// prefers is a record creation rule for activities that prefer an entity.
func prefers(entity string) sandbox.ConversionRule {
	return sandbox.ConversionRule{Entity: entity, Conditions: []sandbox.Condition{{Property: "userPreferredTargetEntity", Value: entity}}}
}

// dynamics does something in contoso as one of its own users would.
func (s site) dynamics(method, path string, body any) {
	s.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + token}}
	status, text := s.send(header, method, s.sandboxURL(s.t, contoso)+"/api/data/v9.2/"+path, body)
	if status != http.StatusNoContent {
		s.t.Fatalf("%s %s in contoso: status %d: %s", method, path, status, text)
	}
}

// open follows the address of a record, as a browser in the worker's network would, and returns the page.
func (s site) open(instance, address string) string {
	s.t.Helper()
	path, ours := strings.CutPrefix(address, s.instanceURL(instance)+"/")
	if !ours {
		s.t.Fatalf("%s is no address of instance %s", address, instance)
	}
	status, page := s.send(nil, http.MethodGet, s.sandboxURL(s.t, instance)+"/"+path, nil)
	if status != http.StatusOK {
		s.t.Fatalf("%s opens with status %d: %s", address, status, page)
	}
	return string(page)
}
