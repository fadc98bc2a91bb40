package sandbox_test

import (
	"net/http"
	"strings"
	"testing"

	"postlink/dynamics/sandbox"
)

// write is the body of a create, with the answer that it gets.
type write struct {
	body   string
	status int
	code   string
}

// check creates an activity, where the author exists already.
func (w write) check(t *testing.T) {
	t.Helper()
	o := newOrg(t, sandbox.Options{})
	o.author()
	r := o.do("PATCH", activity, w.body, "If-None-Match", "*")
	if r.status != w.status || r.code() != w.code {
		t.Errorf("%d %q, want %d %q: %s", r.status, r.code(), w.status, w.code, r.body)
	}
	if made := o.Count("socialactivity"); made != bit(w.status == 204) {
		t.Errorf("%d records after status %d", made, r.status)
	}
}

const (
	payload = "0x80048d19"
	length  = "0x80044331"
	pick    = "0x8004431a"
)

func TestValuesAreChecked(t *testing.T) {
	t.Parallel()
	astral := strings.Repeat("😀", 100) // 200 UTF-16 units
	for name, w := range map[string]write{
		"an empty object is enough":                  {`{}`, 204, ""},
		"a control annotation is ignored":            {`{"@odata.type":"Microsoft.Dynamics.CRM.socialactivity"}`, 204, ""},
		"a subject may have 200 UTF-16 units":        {`{"subject":"` + astral + `"}`, 204, ""},
		"a subject may not have 201 UTF-16 units":    {`{"subject":"` + astral + `x"}`, 400, length},
		"a post URL may not have 201":                {`{"posturl":"` + strings.Repeat("x", 201) + `"}`, 400, length},
		"the parameters may have 8192":               {`{"activityadditionalparams":"` + strings.Repeat("x", 8192) + `"}`, 204, ""},
		"the parameters may not have 8193":           {`{"activityadditionalparams":"` + strings.Repeat("x", 8193) + `"}`, 400, length},
		"NUL is not a character of a text":           {`{"subject":"a\u0000b"}`, 400, "0x80040278"},
		"other control characters are not either":    {`{"subject":"a\u000bb"}`, 400, "0x80040278"},
		"tabs and line ends are characters":          {`{"description":"a\t\r\nb"}`, 204, ""},
		"the last code point of a plane is not":      {`{"subject":"a\uffff"}`, 400, "0x80040278"},
		"a community outside the list":               {`{"community":3}`, 400, pick},
		"a community as text":                        {`{"community":"2"}`, 400, payload},
		"a community as a fraction":                  {`{"community":2.5}`, 400, payload},
		"a community beyond 32 bits":                 {`{"community":4294967297}`, 400, payload},
		"a subject as a number":                      {`{"subject":7}`, 400, payload},
		"a subject as an object":                     {`{"subject":{}}`, 400, payload},
		"a nested object for the parameters":         {`{"activityadditionalparams":{"a":1}}`, 400, payload},
		"a direction as a number":                    {`{"directioncode":1}`, 400, payload},
		"a sentiment as a whole number":              {`{"sentimentvalue":-1}`, 204, ""},
		"a sentiment beyond its range":               {`{"sentimentvalue":1e12}`, 400, "0x80040203"},
		"a sentiment as text":                        {`{"sentimentvalue":"-1"}`, 400, payload},
		"a time without offset":                      {`{"postedon":"2026-11-23T08:15:30"}`, 400, payload},
		"a time as a number":                         {`{"postedon":1}`, 400, payload},
		"a time before the calendar of the database": {`{"postedon":"1700-01-01T00:00:00Z"}`, 400, "0x80040239"},
		"an unknown property":                        {`{"colour":"red"}`, 400, payload},
		"the case of a property matters":             {`{"Subject":"x"}`, 400, payload},
		"an annotation of a property":                {`{"subject@my.note":"x"}`, 400, payload},
		"a column that only the server writes":       {`{"createdon":"2026-11-23T08:15:30Z"}`, 204, ""},
		"a state at birth is ignored":                {`{"statecode":1}`, 204, ""},
		"a state at birth with its status":           {`{"statecode":1,"statuscode":3}`, 400, "0x80048408"},
		"a status of null is unsupported":            {`{"statuscode":null}`, 501, ""},
		"a status reason of the first state":         {`{"statuscode":4}`, 204, ""},
		"a status reason of another state":           {`{"statuscode":1}`, 400, "0x80048408"},
		"a property given twice":                     {`{"subject":"a","subject":"b"}`, 400, payload},
		"an array":                                   {`[]`, 400, payload},
		"nothing but white space":                    {` `, 400, payload},
		"a truncated object":                         {`{"subject":"a"`, 400, payload},
		"a truncated value":                          {`{"subject":`, 400, payload},
		"two objects":                                {`{} {}`, 400, payload},
		"bytes that are not UTF-8":                   {"{\"subject\":\"\xff\"}", 400, payload},
		"more bytes than the sandbox reads":          {`{"subject":"` + strings.Repeat("x", 1<<20) + `"}`, 413, ""},
		"a key that is no GUID":                      {`{"activityid":"7"}`, 400, payload},
		"a long wrong value is quoted short":         {`{"community":"` + strings.Repeat("é", 90) + `"}`, 400, payload},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.check(t)
		})
	}
	o := newOrg(t, sandbox.Options{})
	if r := o.do("POST", "contacts", `{}`, "Content-Type", "text/plain"); r.status != http.StatusUnsupportedMediaType {
		t.Errorf("a plain text body answers %d", r.status)
	}
}

func TestBindsAreChecked(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]write{
		"null is always possible":                       {`{"subject":null,"community":null,"postfromprofileid@odata.bind":null}`, 204, ""},
		"a lookup without bind":                         {`{"_postauthor_value":"` + contactID + `"}`, 400, payload},
		"a bind to a living contact":                    {`{"postauthor_contact@odata.bind":"/` + contact + `"}`, 204, ""},
		"a bind without a slash":                        {`{"postauthor_contact@odata.bind":"` + contact + `"}`, 204, ""},
		"a bind by full address":                        {`{"postauthor_contact@odata.bind":"http://crm.test/api/data/v9.2/` + contact + `"}`, 204, ""},
		"a bind by full address of another version":     {`{"postauthor_contact@odata.bind":"HTTP://CRM.test/api/data/v9.0/` + contact + `"}`, 204, ""},
		"a bind by a path from the host":                {`{"postauthor_contact@odata.bind":"/api/data/v9.2/` + contact + `"}`, 204, ""},
		"a bind by full address to a dead contact":      {`{"postauthor_contact@odata.bind":"http://crm.test/api/data/v9.2/contacts(` + unknownID + `)"}`, 404, "0x80040217"},
		"a bind to another host is unsupported":         {`{"postauthor_contact@odata.bind":"http://other.test/api/data/v9.2/` + contact + `"}`, 501, ""},
		"a bind to another service is unsupported":      {`{"postauthor_contact@odata.bind":"http://crm.test/contoso/` + contact + `"}`, 501, ""},
		"a bind by alternate key is unsupported":        {`{"postauthor_contact@odata.bind":"/contacts(emailaddress1='x')"}`, 501, ""},
		"a bind to a dead contact":                      {`{"postauthor_contact@odata.bind":"/contacts(` + unknownID + `)"}`, 404, "0x80040217"},
		"a bind without the suffix of a polymorph":      {`{"postauthor@odata.bind":"/` + contact + `"}`, 400, payload},
		"a bind to another table than it says":          {`{"postauthor_contact@odata.bind":"/accounts(` + unknownID + `)"}`, 400, payload},
		"a bind to an unknown set":                      {`{"postauthor_contact@odata.bind":"/kontakte(` + unknownID + `)"}`, 404, "0x80060888"},
		"a bind to no GUID":                             {`{"postauthor_contact@odata.bind":"/contacts(7)"}`, 400, payload},
		"a bind to a number":                            {`{"postauthor_contact@odata.bind":7}`, 400, payload},
		"a bind of an unrelated custom table":           {`{"regardingobjectid_new_vehicle_socialactivity@odata.bind":"/new_vehicles(` + unknownID + `)"}`, 400, payload},
		"two binds of one lookup":                       {`{"postauthor_contact@odata.bind":"/` + contact + `","postauthor_account@odata.bind":null}`, 400, payload},
		"a deep insert":                                 {`{"postfromprofileid":{"profilename":"x"}}`, 501, ""},
		"activity parties":                              {`{"socialactivity_activity_parties":[]}`, 501, ""},
		"regarding a custom table related to the posts": {`{"regardingobjectid_new_complaint_socialactivity@odata.bind":"/new_complaints(` + unknownID + `)"}`, 404, "0x80040217"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.check(t)
		})
	}
}
