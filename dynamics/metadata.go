package dynamics

import "time"

const (
	maxSchemas      = 256
	annotationTable = "Microsoft.Dynamics.CRM.lookuplogicalname"
)

type schema struct{ readAt time.Time }
