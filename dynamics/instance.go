package dynamics

import (
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// Instance is one Dynamics 365 organization that posts are linked to.
type Instance struct {
	Name     string   `json:"name"`               // lower case letters, digits and dashes; part of every record's identity
	URL      string   `json:"url"`                // https://contoso.crm.dynamics.com; with a path only where organizations share a host
	Default  bool     `json:"default,omitempty"`  // preselected for manual links
	Disabled bool     `json:"disabled,omitempty"` // accepts no new links and is sent nothing
	Auth     Auth     `json:"auth"`
	Entities []Entity `json:"entities,omitempty"` // the record types that posts may be linked to
}

// Entity returns the configured record type of that logical name.
func (i *Instance) Entity(name string) (Entity, bool) {
	for _, e := range i.Entities {
		if e.Name == name {
			return e, true
		}
	}
	return Entity{}, false
}

// RecordURL is where people open a record of the instance in their browser.
func (i *Instance) RecordURL(entity string, id uuid.UUID) string {
	return strings.TrimRight(i.URL, "/") + "/main.aspx?etn=" + url.QueryEscape(entity) + "&pagetype=entityrecord&id=%7B" + id.String() + "%7D"
}

// Entity is a record type configured for an instance, with the fields that record details show, in order.
type Entity struct {
	Name   string   `json:"name"` // logical name: incident, lead, new_complaint
	Fields []string `json:"fields,omitempty"`
}

// Kinds of authentication.
const (
	AuthClientCredentials = "client_credentials" // an app registration in Microsoft Entra ID, for real instances
	AuthStatic            = "static"             // a fixed bearer token, for the sandbox
)

// Auth says how to get a token for an instance. Secrets are never part of it, only where to find them.
type Auth struct {
	Kind         string `json:"kind"`
	Tenant       string `json:"tenant,omitempty"`
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret Secret `json:"client_secret,omitzero"`
	Authority    string `json:"authority,omitempty"` // login host of a sovereign cloud; Microsoft's public one when empty
	Token        Secret `json:"token,omitzero"`
}

// Secret names the place of a secret: an environment variable or a file, exactly one of them.
type Secret struct {
	Env  string `json:"env,omitempty"`
	File string `json:"file,omitempty"`
}
