package dynamics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// Instance is one Dynamics 365 organization that posts are linked to. It is an entry of the catalog, which checks it; the JSON form
// is the one in which the catalog is stored.
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
	Tenant       string `json:"tenant,omitempty"`       // id or domain of the Microsoft Entra tenant
	ClientID     string `json:"client_id,omitempty"`    // of the app registration; Dynamics has an application user for it
	ClientSecret Secret `json:"client_secret,omitzero"` // with AuthClientCredentials
	Authority    string `json:"authority,omitempty"`    // login host of a sovereign cloud; Microsoft's public one when empty
	Token        Secret `json:"token,omitzero"`         // with AuthStatic
}

// Secret names the place of a secret: an environment variable or a file, exactly one of them.
type Secret struct {
	Env  string `json:"env,omitempty"`
	File string `json:"file,omitempty"`
}

// Organization is what an instance says of itself.
type Organization struct {
	ID      uuid.UUID // stays the same when the instance's URL changes
	Version string    // 9.2.24044.00186
	// SocialDataDisabled reports whether the organization refuses social data; nil when our user may not read the setting, so
	// that only the answer to a create shows it.
	SocialDataDisabled *bool
}

// Organization asks the instance for its id, version and setting for social data, in three requests. It also serves as the probe of
// an instance: it needs address, token and Web API to work, and changes nothing.
func (c *Client) Organization(ctx context.Context) (Organization, error) {
	var who struct{ OrganizationId uuid.UUID }
	op := "read organization"
	if err := c.do(ctx, request{op: op, method: http.MethodGet, path: "WhoAmI"}, &who); err != nil {
		return Organization{}, err
	}
	var version struct{ Version string }
	if err := c.do(ctx, request{op: op, method: http.MethodGet, path: "RetrieveVersion"}, &version); err != nil {
		return Organization{}, err
	}
	if who.OrganizationId == uuid.Nil || version.Version == "" {
		return Organization{}, c.odd(op)
	}
	o := Organization{ID: who.OrganizationId, Version: version.Version}
	var row struct {
		DisableSocialCare *bool `json:"disablesocialcare"`
	}
	path := fmt.Sprintf("organizations(%s)?$select=organizationid,disablesocialcare", o.ID)
	err := c.do(ctx, request{op: op, method: http.MethodGet, path: path}, &row)
	if unknowable(err) {
		return o, nil
	}
	o.SocialDataDisabled = row.DisableSocialCare
	return o, err
}

// unknowable reports whether our user may not read the organization's settings, or its version lacks the one asked for.
func unknowable(err error) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && (refused.Status == http.StatusForbidden || refused.Code == CodeUnknownResource)
}
