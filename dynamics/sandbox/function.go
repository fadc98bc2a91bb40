package sandbox

import (
	"net/http"
	"strings"
)

// function answers what is not a set of records: functions, actions and metadata.
func (s *Sandbox) function(c *call, segment, rest string) (answer, error) {
	name, _, _ := strings.Cut(segment, "(")
	switch name {
	case "EntityDefinitions", "RelationshipDefinitions":
		return s.metadata(c, segment, rest)
	case "WhoAmI":
		return s.whoAmI(c)
	case "RetrieveVersion":
		return c.result("RetrieveVersionResponse", "Version", s.opts.Version)
	case "ApplyRecordCreationAndUpdateRule":
		if c.r.Method != http.MethodPost {
			return answer{}, wrongMethod(c.r.Method)
		}
		return s.applyRules(c)
	case "", "$metadata", "$batch", "RetrieveTotalRecordCount", "GlobalOptionSetDefinitions", "CreateMultiple", "teams", "activityparties", "queueitems":
		return answer{}, unsupported("'" + segment + "'")
	}
	return answer{}, noSegment(name)
}

func (s *Sandbox) whoAmI(c *call) (answer, error) {
	return c.result("WhoAmIResponse", "BusinessUnitId", derive("businessunit", s.opts.Name), "UserId", s.userID, "OrganizationId", s.opts.OrganizationID)
}

// result answers a function with the members of its response type, given as names and values.
func (c *call) result(typ string, members ...any) (answer, error) {
	if c.r.Method != http.MethodGet {
		return answer{}, wrongMethod(c.r.Method)
	}
	b := appendMember([]byte("{"), "@odata.context", c.base+c.root+"$metadata#Microsoft.Dynamics.CRM."+typ)
	for i := 0; i+1 < len(members); i += 2 {
		b = appendMember(b, members[i].(string), members[i+1])
	}
	return answer{status: http.StatusOK, body: append(b, '}'), header: http.Header{"Content-Type": {contentType}}}, nil
}
