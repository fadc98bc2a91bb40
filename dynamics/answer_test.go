package dynamics_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postlink/dynamics"
)

// reply is what an instance answers to a create.
type reply struct {
	status      int
	contentType string
	body        string
	header      map[string]string
	want        *dynamics.Error // nil for success
	is          error
	gone        bool
}

const jsonType = "application/json; odata.metadata=minimal"

func errorDocument(code, message string) string {
	return fmt.Sprintf(`{"error":{"code":%q,"message":%q}}`, code, message)
}

// check sends the reply to a create and compares what becomes of it.
func (r reply) check(t *testing.T) {
	t.Helper()
	i := play(t, func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range r.header {
			w.Header().Set(k, v)
		}
		if r.contentType != "" {
			w.Header().Set("Content-Type", r.contentType)
		}
		w.WriteHeader(r.status)
		if r.body != "" {
			_, _ = io.WriteString(w, r.body)
		}
	})
	err := newClient(t, i.URL).Create(t.Context(), anonymous())
	if n := len(i.requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	if r.want == nil {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	var got *dynamics.Error
	if !errors.As(err, &got) {
		t.Fatalf("error %v is no *Error", err)
	}
	if r.is != nil && !errors.Is(err, r.is) {
		t.Errorf("error %v is not %v", err, r.is)
	}
	if got.Gone() != r.gone {
		t.Errorf("Gone() = %v, want %v", got.Gone(), r.gone)
	}
	want := *r.want
	want.Op, want.Instance, want.Err = "create social activity "+anonymous().ID.String(), "contoso", r.is
	if want.RequestID == "" {
		want.RequestID = i.requests()[0].Header.Get("x-ms-client-request-id")
	}
	if diff := cmp.Diff(want, *got, cmpopts.EquateErrors(), cmpopts.IgnoreUnexported(dynamics.Error{})); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if strings.Contains(err.Error(), "<") || len(err.Error()) > 1500 {
		t.Errorf("error text holds a page or is too long: %q", err)
	}
}

func TestAnswersAreSuccessOrNotOfDynamics(t *testing.T) {
	t.Parallel()
	tests := map[string]reply{
		"204 is created":                         {status: 204},
		"201 with the record is created":         {status: 201, contentType: jsonType, body: `{"activityid":"x"}`},
		"200 with the record is created":         {status: 200, contentType: jsonType, body: `{"activityid":"x"}`},
		"412 with the duplicate code is there":   {status: 412, contentType: jsonType, body: errorDocument("0x80040237", "A record with matching key values already exists.")},
		"412 with an empty code is there":        {status: 412, contentType: jsonType, body: errorDocument("", "exists")},
		"412 without a body is there":            {status: 412},
		"412 with the code as a number is there": {status: 412, contentType: jsonType, body: `{"Message":"exists","ErrorCode":-2147220937}`},
		"412 of another version is a refusal":    {status: 412, contentType: jsonType, body: errorDocument("0x80060882", "stale"), want: &dynamics.Error{Status: 412, Code: "0x80060882", Message: "stale"}},
		"412 with a page is not Dynamics":        {status: 412, contentType: "text/html", body: page, want: &dynamics.Error{Status: 412}, is: dynamics.ErrNotDynamics},
		"duplicate detection is no success":      {status: 412, contentType: jsonType, body: errorDocument("0x80040333", "duplicate"), want: &dynamics.Error{Status: 412, Code: dynamics.CodeDuplicatesFound, Message: "duplicate"}},
		"200 with a page is not Dynamics":        {status: 200, contentType: "text/html; charset=utf-8", body: page, want: &dynamics.Error{Status: 200}, is: dynamics.ErrNotDynamics},
		"200 with a page called JSON is not":     {status: 200, contentType: jsonType, body: page, want: &dynamics.Error{Status: 200}, is: dynamics.ErrNotDynamics},
		"200 with a list is not":                 {status: 200, contentType: jsonType, body: `[]`, want: &dynamics.Error{Status: 200}, is: dynamics.ErrNotDynamics},
		"200 with nothing is not":                {status: 200, want: &dynamics.Error{Status: 200}, is: dynamics.ErrNotDynamics},
		"202 is not":                             {status: 202, want: &dynamics.Error{Status: 202}, is: dynamics.ErrNotDynamics},
		"302 is a sign-in page":                  {status: 302, header: map[string]string{"Location": "/login"}, want: &dynamics.Error{Status: 302}, is: dynamics.ErrLogin},
		"307 is one too":                         {status: 307, header: map[string]string{"Location": "https://login.example/?secret"}, want: &dynamics.Error{Status: 307}, is: dynamics.ErrLogin},
		"404 with a page is not Dynamics":        {status: 404, contentType: "text/html", body: page, want: &dynamics.Error{Status: 404}, is: dynamics.ErrNotDynamics},
		"405 with a page is not Dynamics":        {status: 405, contentType: "text/html", body: page, want: &dynamics.Error{Status: 405}, is: dynamics.ErrNotDynamics},
		"502 with a page is a gateway's word":    {status: 502, contentType: "text/html", body: page, want: &dynamics.Error{Status: 502}},
		"503 with nothing stays a 503":           {status: 503, want: &dynamics.Error{Status: 503}},
		"412 of a gateway is no success":         {status: 412, contentType: jsonType, body: `{"statusCode":412,"message":"precondition"}`, want: &dynamics.Error{Status: 412, Message: "precondition"}, is: dynamics.ErrNotDynamics},
		"412 with a gateway's code is none":      {status: 412, contentType: jsonType, body: errorDocument("PreconditionFailed", "m"), want: &dynamics.Error{Status: 412, Code: "preconditionfailed", Message: "m"}},
		"412 with plain text is none":            {status: 412, contentType: "text/plain", body: "Precondition Failed", want: &dynamics.Error{Status: 412}, is: dynamics.ErrNotDynamics},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.check(t)
		})
	}
}

func TestErrorsOfDynamicsKeepTheirCodeAndMessage(t *testing.T) {
	t.Parallel()
	tests := map[string]reply{
		"403 keeps code and message":              {status: 403, contentType: jsonType, body: errorDocument("0x80040220", "no privilege"), want: &dynamics.Error{Status: 403, Code: "0x80040220", Message: "no privilege"}},
		"social care disabled keeps its code":     {status: 400, contentType: jsonType, body: errorDocument("0x80060621", "There's a problem"), want: &dynamics.Error{Status: 400, Code: dynamics.CodeSocialCareDisabled, Message: "There's a problem"}},
		"an upper-case code is made lower case":   {status: 400, contentType: jsonType, body: errorDocument("0x8004431A", "m"), want: &dynamics.Error{Status: 400, Code: "0x8004431a", Message: "m"}},
		"a code in decimal text is recognised":    {status: 400, contentType: jsonType, body: errorDocument("-2147088863", "m"), want: &dynamics.Error{Status: 400, Code: dynamics.CodeSocialCareDisabled, Message: "m"}},
		"a code that is a word is kept":           {status: 400, contentType: jsonType, body: errorDocument("BadRequest", "m"), want: &dynamics.Error{Status: 400, Code: "badrequest", Message: "m"}},
		"a code that is null is none":             {status: 400, contentType: jsonType, body: `{"error":{"code":null,"message":"m"}}`, want: &dynamics.Error{Status: 400, Message: "m"}},
		"the older shape is understood":           {status: 500, contentType: jsonType, body: `{"Message":"An error has occurred.","ExceptionMessage":"x","StackTrace":"at Z","ErrorCode":"0x80040216"}`, want: &dynamics.Error{Status: 500, Code: "0x80040216", Message: "An error has occurred."}},
		"the older shape with an exception alone": {status: 500, contentType: jsonType, body: `{"ExceptionMessage":"boom"}`, want: &dynamics.Error{Status: 500, Message: "boom"}},
		"a dead bind says gone":                   {status: 404, contentType: jsonType, body: errorDocument("0x80040217", "socialprofile Does Not Exist"), want: &dynamics.Error{Status: 404, Code: dynamics.CodeObjectDoesNotExist, Message: "socialprofile Does Not Exist"}, gone: true},
		"a long message is cut":                   {status: 400, contentType: jsonType, body: errorDocument("0x80048d19", strings.Repeat("é", 900)), want: &dynamics.Error{Status: 400, Code: "0x80048d19", Message: strings.Repeat("é", 500) + "…"}},
		"a message is kept on one line":           {status: 400, contentType: jsonType, body: errorDocument("0x80048d19", "a\r\n  b\tc"), want: &dynamics.Error{Status: 400, Code: "0x80048d19", Message: "a b c"}},
		"a huge error keeps its status":           {status: 400, contentType: jsonType, body: errorDocument("0x80048d19", strings.Repeat("x", 1<<20)), want: &dynamics.Error{Status: 400}},
		"413 without a body":                      {status: 413, want: &dynamics.Error{Status: 413}},
		"the service's request id is kept":        {status: 500, header: map[string]string{"x-ms-service-request-id": "abc"}, want: &dynamics.Error{Status: 500, RequestID: "abc"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.check(t)
		})
	}
}

func TestRetryAfterIsReadInEveryForm(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		header, date string
		want         time.Duration
	}{
		"absent":                                {},
		"seconds":                               {header: "17", want: 17 * time.Second},
		"fractions of a second":                 {header: "0.25", want: 250 * time.Millisecond},
		"zero":                                  {header: "0"},
		"negative seconds":                      {header: "-5"},
		"more than an hour":                     {header: "86400", want: time.Hour},
		"a number that overflows":               {header: "99999999999999999999999", want: time.Hour},
		"a number beyond every number":          {header: "1e999", want: time.Hour},
		"no number":                             {header: "NaN"},
		"a date, by the clock of the answer":    {header: "Mon, 02 Mar 2026 11:00:30 GMT", date: "Mon, 02 Mar 2026 11:00:00 GMT", want: 30 * time.Second},
		"a date, by our clock when it has none": {header: "Mon, 02 Mar 2026 08:00:45 GMT", date: "-", want: 45 * time.Second},
		"a date that has passed":                {header: "Mon, 02 Mar 2026 07:00:00 GMT", date: "-"},
		"a date far away":                       {header: "Fri, 31 Dec 9999 23:59:59 GMT", date: "-", want: time.Hour},
		"what is neither":                       {header: "soon"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := play(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.header != "" {
					w.Header().Set("Retry-After", tt.header)
				}
				switch tt.date {
				case "":
				case "-":
					w.Header()["Date"] = nil
				default:
					w.Header().Set("Date", tt.date)
				}
				answerJSON(w, 429, `{"error":{"code":"0x80072322","message":"Number of requests exceeded the limit of 6000 over time window of 300 seconds."}}`)
			})
			c := newClient(t, i.URL, func(o *dynamics.Options) { o.Now = func() time.Time { return now } })
			err := c.Create(t.Context(), anonymous())
			var got *dynamics.Error
			if !errors.As(err, &got) {
				t.Fatal(err)
			}
			if got.Code != "0x80072322" || got.RetryAfter != tt.want {
				t.Errorf("code %s, wait %s; want wait %s", got.Code, got.RetryAfter, tt.want)
			}
		})
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.WriteString(z, `{"UserId":"`)
	_, _ = z.Write(make([]byte, 32<<20))
	_ = z.Close()
	if bomb.Len() > 1<<20 {
		t.Fatalf("the bomb has %d bytes", bomb.Len())
	}
	tests := map[string]struct {
		status int
		gzip   bool
		body   []byte
		is     error
	}{
		"a gzip bomb":             {status: 200, gzip: true, body: bomb.Bytes(), is: dynamics.ErrTooLarge},
		"a gzip bomb as an error": {status: 500, gzip: true, body: bomb.Bytes()},
		"a huge answer":           {status: 200, body: bytes.Repeat([]byte(" "), 6<<20), is: dynamics.ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := play(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.gzip {
					w.Header().Set("Content-Encoding", "gzip")
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_, _ = w.Write(tt.body)
			})
			_, err := newClient(t, i.URL).Organization(t.Context())
			var got *dynamics.Error
			if !errors.As(err, &got) || got.Status != tt.status || !errors.Is(got.Err, tt.is) {
				t.Errorf("error %v, want status %d and %v", err, tt.status, tt.is)
			}
		})
	}
}
