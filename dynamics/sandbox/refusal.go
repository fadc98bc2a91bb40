package sandbox

import (
	"fmt"
	"maps"
	"net/http"
)

// refusal is an error answer of the Web API. As an error it travels up to serveData, which makes the answer of it; any other error
// on that way is a defect of the sandbox and becomes 500.
type refusal struct {
	status  int
	code    string // 0x80040237; empty where the Web API leaves it empty
	message string
	header  http.Header
	body    []byte // instead of the usual error document
}

func (e *refusal) Error() string { return fmt.Sprintf("%d %s %s", e.status, e.code, e.message) }

// refuse makes a refusal; the text is the format with its arguments.
func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// answer renders the refusal as the Web API's error document.
func (e *refusal) answer() answer {
	a := answer{status: e.status, code: e.code, header: http.Header{}, body: e.body}
	maps.Copy(a.header, e.header)
	if a.body == nil {
		b := append([]byte(nil), `{"error":{"code":`...)
		b = appendText(b, e.code)
		b = append(b, `,"message":`...)
		b = appendText(b, e.message)
		a.body = append(b, "}}"...)
		a.header.Set("Content-Type", "application/json; odata.metadata=minimal")
	}
	return a
}

// The codes that clients have to distinguish, or that more than one place answers with. 412 comes with codeDuplicate when a create
// meets an existing record, and with codeStale when an If-Match names a version that has passed.
const (
	codeDuplicate = "0x80040237"
	codeMissing   = "0x80040217"
	codeStale     = "0x80060882"
	codePayload   = "0x80048d19"
	codeRequest   = "0x80060888"
	codeArgument  = "0x80040203"
	codeNoSocial  = "0x80060621"
)

// noSocial is the text of 0x80060621. It reads like a passing fault, but the organization is set so and stays so until a person
// changes it. Microsoft's error list gives no status for the code; the sandbox answers 400, so clients should go by the code.
const noSocial = "There's a problem communicating with the Microsoft Dynamics CRM Organization. The organization might be unavailable " +
	"or the feature is set so that it can't receive social data. Try again later. If the problem persists, contact your Microsoft Dynamics CRM administrator."

// badPayload refuses a body with the Web API's message.
func badPayload(t *table, format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, codePayload, "Error identified in Payload provided by the user for Entity :'%s', For more information on this error "+
		"please follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException : Microsoft.OData.ODataException: %s",
		t.set, fmt.Sprintf(format, args...))
}

// badRequest refuses a malformed or unknown part of a path or query.
func badRequest(format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, codeRequest, format, args...)
}

// noSegment refuses a set or function that the organization does not have.
func noSegment(segment string) *refusal {
	return refuse(http.StatusNotFound, codeRequest, "Resource not found for the segment '%s'.", segment)
}

// missing refuses a record that does not exist, be it asked for or bound to. Microsoft's samples show this error with an empty
// code; organizations send the code.
func missing(t *table, id fmt.Stringer) *refusal {
	return refuse(http.StatusNotFound, codeMissing, "%s With Id = %s Does Not Exist", t.name, id)
}

// duplicate refuses to create a record that exists. Stale has the same status: a client needs the code to distinguish them.
func duplicate() *refusal {
	return refuse(http.StatusPreconditionFailed, codeDuplicate, "A record with matching key values already exists.")
}

// stale refuses a version that the record no longer has.
func stale() *refusal {
	return refuse(http.StatusPreconditionFailed, codeStale, "The version of the existing record doesn't match the RowVersion property provided.")
}

// unsupported refuses what Dynamics can do and the sandbox cannot. To ignore it would be worse: a client would pass its tests here
// and fail, or do something else, in a real organization.
func unsupported(what string) *refusal {
	return refuse(http.StatusNotImplemented, "", "The sandbox does not imitate %s. Leave it out of the request, or extend the sandbox.", what)
}

// wrongMethod is one of the places where the Web API answers in its older error shape.
func wrongMethod(method string) *refusal {
	e := refuse(http.StatusMethodNotAllowed, "", "The requested resource does not support http method '%s'.", method)
	e.body = append(appendText([]byte(`{"Message":`), e.message), '}')
	e.header = http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	return e
}
