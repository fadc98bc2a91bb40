package dynamics

import "errors"

// ErrSocialData says that an organization refuses social data. It is what people read, wherever they meet it.
var ErrSocialData = errors.New("Dynamics 365 can’t receive social data from postlink. Ask the Dynamics 365 administrator to review the setting " + //nolint:staticcheck // two sentences for people, not a link in a chain
	"that prevents social data (Disable Social Engagement) in the organization's system settings.")

// RefusesSocialData returns ErrSocialData when the organization says that it refuses social data; nil too when it does not
// say.
func (o Organization) RefusesSocialData() error {
	if o.SocialDataDisabled != nil && *o.SocialDataDisabled {
		return ErrSocialData
	}
	return nil
}
