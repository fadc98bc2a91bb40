package console

import (
	"cmp"
	"strings"

	"github.com/google/uuid"

	"postlink/dynamics"
	"postlink/payload"
	"postlink/rules"
	"postlink/worker"
	"postlink/worker/catalog"
	"postlink/worker/ledger"
)

// What follows turns what the worker knows into resources. Lists are never null.

func showInstance(in dynamics.Instance, s worker.InstanceState) Instance {
	shown := Instance{
		Name: in.Name, URL: in.URL, Enabled: !in.Disabled, Default: in.Default, Auth: showAuth(in.Auth),
		Entities: showEntities(in.Entities), Organization: showID(s.Organization), Version: s.Version, LastSeen: s.LastSeen,
		Parked: s.Parked, RefreshedAt: s.RefreshedAt, Missing: s.Missing,
	}
	if s.Parked != "" {
		shown.ParkedSince = s.ParkedSince
	}
	return shown
}

func showAuth(a dynamics.Auth) Auth {
	return Auth{
		Kind: a.Kind, Tenant: a.Tenant, ClientID: a.ClientID, ClientSecret: Secret(a.ClientSecret),
		Authority: a.Authority, Token: Secret(a.Token),
	}
}

func (a Auth) auth() dynamics.Auth {
	return dynamics.Auth{
		Kind: a.Kind, Tenant: a.Tenant, ClientID: a.ClientID, ClientSecret: dynamics.Secret(a.ClientSecret),
		Authority: a.Authority, Token: dynamics.Secret(a.Token),
	}
}

func showEntity(e dynamics.Entity) Entity { return Entity{Name: e.Name, Fields: e.Fields} }

func showEntities(entities []dynamics.Entity) []Entity {
	shown := make([]Entity, len(entities))
	for i, e := range entities {
		shown[i] = showEntity(e)
	}
	return shown
}

func showMissing(missing []worker.Missing) []Missing {
	shown := make([]Missing, len(missing))
	for i, m := range missing {
		shown[i] = Missing(m)
	}
	return shown
}

func showRule(r rules.Rule, c worker.RuleCounts) Rule {
	return Rule{
		Name: r.Name, Active: r.Active, Condition: strings.TrimSpace(r.When), Instance: r.Link.Instance, Entity: r.Link.Entity,
		Notes: r.Link.Notes, Age: r.Age, LastMatch: c.LastMatch,
		Counts: Counts{Matched: c.Matched, Linked: c.Linked, Dead: c.Dead, Errors: c.Failed},
	}
}

// showPost is a row of the posts' list.
func showPost(row worker.PostRow) Post {
	shown := Post{Name: atSequence(row.Sequence), Problem: row.Problem}
	if row.Post != nil {
		shown = showContent(row.Key, row.Post)
	}
	shown.Sequence, shown.ArrivedAt, shown.Linked = row.Sequence, row.At, row.Instance != ""
	if row.Entry != nil {
		link := showLinkIn(*row.Entry, row.Instance)
		shown.Link = &link
	}
	return shown
}

func showContent(key ledger.Key, p *payload.Post) Post {
	shown := Post{
		Name: worker.PostURLName(key), Network: key.Network, ID: key.PostID,
		ExternalID: p.ExternalID, Type: p.Type, ContentType: p.ContentType, URL: p.URL, Title: p.Title, Text: p.Text,
		Language: p.Language, Sentiment: p.Sentiment, PublishedAt: p.PublishedAt, Tags: p.Tags, Topics: p.Topics,
	}
	if p.Author.Known() {
		shown.Author = &Author{
			ID: p.Author.ID, Handle: p.Author.Handle, Name: p.Author.Name, FullName: p.Author.FullName, URL: p.Author.Link,
		}
	}
	return shown
}

// showLink is a link of an entry, under the name that its instance had.
func showLink(e ledger.Entry, l *ledger.Link) Link {
	shown := Link{
		ID: l.ID.String(), Post: worker.PostURLName(e.Post), Network: e.Post.Network, PostID: e.Post.PostID, Sequence: e.Sequence,
		Generation: l.Generation, State: string(l.State), Instance: l.Instance, Entity: l.Entity, Rule: l.Rule, Catalog: l.Catalog,
		Notes: l.Notes, Record: showRecord(dynamics.Record{Entity: l.RecordEntity, ID: l.RecordID}),
		Attempts: l.Attempts, LastError: l.LastError, Reason: l.Reason(), PlannedAt: l.PlannedAt, SettledAt: l.SettledAt,
		ChangedAt: l.PlannedAt, Steps: make([]Step, len(l.Steps)),
	}
	for i, s := range l.Steps {
		shown.Steps[i] = Step{State: string(s.State), At: s.At, By: s.By, Reason: s.Reason}
		shown.ChangedAt = s.At
	}
	return shown
}

// showLinkIn is the newest link of an entry, under the present name of its instance; empty when that is gone.
func showLinkIn(e ledger.Entry, instance string) Link {
	shown := showLink(e, e.Current())
	shown.Gone = instance == "" && e.Current().Active()
	shown.Instance = cmp.Or(instance, shown.Instance)
	return shown
}

func showRecord(r dynamics.Record) *Record {
	if r.ID == uuid.Nil {
		return nil
	}
	return &Record{Entity: r.Entity, ID: r.ID.String()}
}

func showFields(fields []dynamics.FieldValue) []FieldValue {
	shown := make([]FieldValue, len(fields))
	for i, f := range fields {
		shown[i] = FieldValue{Name: f.Name, Label: f.Label, Value: f.Value, Record: showRecord(f.Record), Missing: f.Missing}
	}
	return shown
}

func showLetter(row worker.DeadRow) DeadLetter {
	shown := DeadLetter{
		Sequence: row.Sequence, At: row.At, Kind: row.Kind, Reason: row.Reason, Instance: row.Instance,
		Network: row.Key.Network, PostID: row.Key.PostID, Generation: row.Generation, Cut: row.Cut,
	}
	if row.Kind == worker.DeadLink {
		shown.Post = worker.PostURLName(row.Key)
	}
	return shown
}

func showRevision(h catalog.Header) Revision {
	return Revision{Number: h.Number, ID: h.ID, Author: h.Author, Message: h.Message, At: h.At}
}

func showPlan(plan catalog.Plan) []Difference {
	shown := make([]Difference, len(plan))
	for i, d := range plan {
		shown[i] = Difference{Op: d.Op, Kind: d.Kind, Name: d.Name, Instance: d.Instance, Details: d.Details, Text: d.String()}
	}
	return shown
}

func showEvent(e worker.Event) LinkEvent {
	return LinkEvent{
		ID: e.ID.String(), State: string(e.State), Generation: e.Generation, Post: worker.PostURLName(e.Post),
		Network: e.Post.Network, PostID: e.Post.PostID, Sequence: e.Sequence, Instance: e.Instance, Entity: e.Entity,
		Rule: e.Rule, URL: e.URL, By: e.By, Reason: e.Reason, At: e.At,
	}
}

func showID(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}
