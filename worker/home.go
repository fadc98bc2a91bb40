package worker

import (
	"context"

	"github.com/google/uuid"

	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/ledger"
)

// home tells which instance of the catalog a link lives in. Links go by the organization behind an instance, so that an
// instance that is deleted and added again, even under another name, has its links again.
type home struct {
	byOrganization map[uuid.UUID]string
	organization   map[string]uuid.UUID // by instance; uuid.Nil while it was never seen
}

func homes(ctx context.Context, b *bus.Bus, c *catalog.Catalog) (home, error) {
	h := home{byOrganization: map[uuid.UUID]string{}, organization: map[string]uuid.UUID{}}
	for _, i := range c.Instances {
		s, err := State(ctx, b, i.Name)
		if err != nil {
			return h, err
		}
		h.organization[i.Name] = s.Organization
		if s.Organization != uuid.Nil {
			h.byOrganization[s.Organization] = i.Name
		}
	}
	return h, nil
}

// of is the name of the instance that a link belongs to now; false when it is not in the catalog.
func (h home) of(link *ledger.Link) (string, bool) {
	if name, ok := h.byOrganization[link.Organization]; ok && link.Organization != uuid.Nil {
		return name, true
	}
	organization, ok := h.organization[link.Instance]
	if !ok || organization != uuid.Nil && link.Organization != uuid.Nil {
		return "", false // deleted, or another organization of the same name
	}
	return link.Instance, true
}

// active is the name of the instance that an active link belongs to now; empty when the post can be linked.
func (h home) active(link *ledger.Link) string {
	if !link.Active() {
		return ""
	}
	name, _ := h.of(link)
	return name
}
