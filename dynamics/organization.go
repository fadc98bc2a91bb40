package dynamics

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"
)

// Organization is what an instance says of itself.
type Organization struct {
	ID      uuid.UUID // stays the same when the instance's URL changes
	Version string    // 9.2.24044.00186
	// SocialDataDisabled reports whether the organization refuses social data; nil when our user may not know, and the
	// first activity will tell.
	SocialDataDisabled *bool
}

// Organization asks the instance who it is. It also serves to see whether an instance answers again.
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

// unknowable reports whether our user may not read the organization's settings, or its version has not the one asked for.
func unknowable(err error) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && (refused.Status == http.StatusForbidden || refused.Code == CodeUnknownResource)
}

// odd is the error for an answer of JSON in which the essential is missing.
func (c *Client) odd(op string) error {
	return &Error{Op: op, Instance: c.opts.Instance.Name, Status: http.StatusOK, Err: ErrNotDynamics}
}
