package dynamics_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"postlink/dynamics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// received is a request as an instance got it.
type received struct {
	Method string
	URI    string // under /api/data/v9.2/
	Header http.Header
	Body   string
}

// instance is a web server that plays an instance, or whatever else is found at its address.
type instance struct {
	*httptest.Server
	mu   sync.Mutex
	seen []received
}

// play starts a server that records requests before it answers them.
func play(t *testing.T, answer http.HandlerFunc) *instance {
	t.Helper()
	i := &instance{}
	i.Server = httptest.NewUnstartedServer(i.record(answer))
	i.Config.ErrorLog = nil
	i.Start()
	t.Cleanup(i.Close)
	return i
}

func (i *instance) record(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		i.mu.Lock()
		i.seen = append(i.seen, received{r.Method, strings.TrimPrefix(r.RequestURI, "/api/data/v9.2/"), r.Header.Clone(), string(body)})
		i.mu.Unlock()
		answer(w, r)
	}
}

func (i *instance) requests() []received {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]received(nil), i.seen...)
}

// calls are the requests in short: "PATCH contacts".
func (i *instance) calls() []string {
	var calls []string
	for _, r := range i.requests() {
		set, _, _ := strings.Cut(r.URI, "?")
		set, _, _ = strings.Cut(set, "(")
		calls = append(calls, r.Method+" "+set)
	}
	return calls
}

// newClient makes a client of what listens at url.
func newClient(t *testing.T, url string, change ...func(*dynamics.Options)) *dynamics.Client {
	t.Helper()
	o := dynamics.Options{
		Instance: dynamics.Instance{Name: "contoso", URL: url},
		Tokens:   dynamics.StaticToken("secret-token"),
	}
	for _, f := range change {
		f(&o)
	}
	c, err := dynamics.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// answer writes a whole answer.
func answer(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func answerJSON(w http.ResponseWriter, status int, body string) {
	answer(w, status, "application/json; odata.metadata=minimal", body)
}

const page = "<!DOCTYPE html><html><body>please wait</body></html>"

// anonymous is an activity without author: one request.
func anonymous() dynamics.Activity {
	return dynamics.Activity{ID: uuid.MustParse("11111111-1111-5111-8111-111111111111"), Network: "twitter"}
}

func TestEveryAnswerToACreateHasItsMeaning(t *testing.T) {
	t.Parallel()
	fault := func(code, message string) string {
		return fmt.Sprintf(`{"error":{"code":%q,"message":%q}}`, code, message)
	}
	json := "application/json; odata.metadata=minimal"
	tests := map[string]struct {
		status      int
		contentType string
		body        string
		header      map[string]string
		want        *dynamics.Error // nil for success
		existed     bool
		is          error
		gone        bool
	}{
		"204 is created":                          {status: 204},
		"201 with the record is created":          {status: 201, contentType: json, body: `{"activityid":"x"}`},
		"200 with the record is created":          {status: 200, contentType: json, body: `{"activityid":"x"}`},
		"412 with the duplicate code is there":    {status: 412, contentType: json, body: fault("0x80040237", "A record with matching key values already exists."), existed: true},
		"412 with an empty code is there":         {status: 412, contentType: json, body: fault("", "exists"), existed: true},
		"412 without a body is there":             {status: 412, existed: true},
		"412 with the code as a number is there":  {status: 412, contentType: json, body: `{"Message":"exists","ErrorCode":-2147220937}`, existed: true},
		"412 of another version is a refusal":     {status: 412, contentType: json, body: fault("0x80060882", "stale"), want: &dynamics.Error{Status: 412, Code: "0x80060882", Message: "stale"}},
		"412 with a page is not Dynamics":         {status: 412, contentType: "text/html", body: page, want: &dynamics.Error{Status: 412}, is: dynamics.ErrNotDynamics},
		"duplicate detection is no success":       {status: 412, contentType: json, body: fault("0x80040333", "duplicate"), want: &dynamics.Error{Status: 412, Code: dynamics.CodeDuplicatesFound, Message: "duplicate"}},
		"200 with a page is not Dynamics":         {status: 200, contentType: "text/html; charset=utf-8", body: page, want: &dynamics.Error{Status: 200}, is: dynamics.ErrNotDynamics},
		"200 with a page called JSON is not":      {status: 200, contentType: json, body: page, want: &dynamics.Error{Status: 200}, is: dynamics.ErrNotDynamics},
		"200 with a list is not":                  {status: 200, contentType: json, body: `[]`, want: &dynamics.Error{Status: 200}, is: dynamics.ErrNotDynamics},
		"200 with nothing is not":                 {status: 200, want: &dynamics.Error{Status: 200}, is: dynamics.ErrNotDynamics},
		"202 is not":                              {status: 202, want: &dynamics.Error{Status: 202}, is: dynamics.ErrNotDynamics},
		"302 is a sign-in page":                   {status: 302, header: map[string]string{"Location": "/login"}, want: &dynamics.Error{Status: 302}, is: dynamics.ErrLogin},
		"307 is one too":                          {status: 307, header: map[string]string{"Location": "https://login.example/?secret"}, want: &dynamics.Error{Status: 307}, is: dynamics.ErrLogin},
		"404 with a page is not Dynamics":         {status: 404, contentType: "text/html", body: page, want: &dynamics.Error{Status: 404}, is: dynamics.ErrNotDynamics},
		"405 with a page is not Dynamics":         {status: 405, contentType: "text/html", body: page, want: &dynamics.Error{Status: 405}, is: dynamics.ErrNotDynamics},
		"502 with a page is a gateway's word":     {status: 502, contentType: "text/html", body: page, want: &dynamics.Error{Status: 502}},
		"503 with nothing stays a 503":            {status: 503, want: &dynamics.Error{Status: 503}},
		"403 keeps code and message":              {status: 403, contentType: json, body: fault("0x80040220", "no privilege"), want: &dynamics.Error{Status: 403, Code: "0x80040220", Message: "no privilege"}},
		"social care disabled keeps its code":     {status: 400, contentType: json, body: fault("0x80060621", "There's a problem"), want: &dynamics.Error{Status: 400, Code: dynamics.CodeSocialCareDisabled, Message: "There's a problem"}},
		"an upper-case code is made lower case":   {status: 400, contentType: json, body: fault("0x8004431A", "m"), want: &dynamics.Error{Status: 400, Code: "0x8004431a", Message: "m"}},
		"a code in decimal text is recognised":    {status: 400, contentType: json, body: fault("-2147088863", "m"), want: &dynamics.Error{Status: 400, Code: dynamics.CodeSocialCareDisabled, Message: "m"}},
		"a code that is a word is kept":           {status: 400, contentType: json, body: fault("BadRequest", "m"), want: &dynamics.Error{Status: 400, Code: "badrequest", Message: "m"}},
		"a code that is null is none":             {status: 400, contentType: json, body: `{"error":{"code":null,"message":"m"}}`, want: &dynamics.Error{Status: 400, Message: "m"}},
		"412 of a gateway is no success":          {status: 412, contentType: json, body: `{"statusCode":412,"message":"precondition"}`, want: &dynamics.Error{Status: 412, Message: "precondition"}, is: dynamics.ErrNotDynamics},
		"412 with a gateway's code is none":       {status: 412, contentType: json, body: fault("PreconditionFailed", "m"), want: &dynamics.Error{Status: 412, Code: "preconditionfailed", Message: "m"}},
		"412 with plain text is none":             {status: 412, contentType: "text/plain", body: "Precondition Failed", want: &dynamics.Error{Status: 412}, is: dynamics.ErrNotDynamics},
		"the older shape is understood":           {status: 500, contentType: json, body: `{"Message":"An error has occurred.","ExceptionMessage":"x","StackTrace":"at Z","ErrorCode":"0x80040216"}`, want: &dynamics.Error{Status: 500, Code: "0x80040216", Message: "An error has occurred."}},
		"the older shape with an exception alone": {status: 500, contentType: json, body: `{"ExceptionMessage":"boom"}`, want: &dynamics.Error{Status: 500, Message: "boom"}},
		"a dead bind says gone":                   {status: 404, contentType: json, body: fault("0x80040217", "socialprofile Does Not Exist"), want: &dynamics.Error{Status: 404, Code: dynamics.CodeObjectDoesNotExist, Message: "socialprofile Does Not Exist"}, gone: true},
		"a long message is cut":                   {status: 400, contentType: json, body: fault("0x80048d19", strings.Repeat("é", 900)), want: &dynamics.Error{Status: 400, Code: "0x80048d19", Message: strings.Repeat("é", 500) + "…"}},
		"a message is kept on one line":           {status: 400, contentType: json, body: fault("0x80048d19", "a\r\n  b\tc"), want: &dynamics.Error{Status: 400, Code: "0x80048d19", Message: "a b c"}},
		"a huge error keeps its status":           {status: 400, contentType: json, body: fault("0x80048d19", strings.Repeat("x", 1<<20)), want: &dynamics.Error{Status: 400}},
		"413 without a body":                      {status: 413, want: &dynamics.Error{Status: 413}},
		"the service's request id is kept":        {status: 500, header: map[string]string{"x-ms-service-request-id": "abc"}, want: &dynamics.Error{Status: 500, RequestID: "abc"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := play(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range tt.header {
					w.Header().Set(k, v)
				}
				if tt.contentType != "" {
					w.Header().Set("Content-Type", tt.contentType)
				}
				w.WriteHeader(tt.status)
				if tt.body != "" {
					_, _ = io.WriteString(w, tt.body)
				}
			})
			made, err := newClient(t, i.URL).Create(t.Context(), anonymous())
			if n := len(i.requests()); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
			if tt.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				if want := (dynamics.Created{ID: anonymous().ID, Existed: tt.existed}); made != want {
					t.Errorf("created %+v, want %+v", made, want)
				}
				return
			}
			var got *dynamics.Error
			if !errors.As(err, &got) {
				t.Fatalf("error %v is no *Error", err)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v is not %v", err, tt.is)
			}
			if got.Gone() != tt.gone {
				t.Errorf("Gone() = %v, want %v", got.Gone(), tt.gone)
			}
			want := *tt.want
			want.Op, want.Instance, want.Err = "create social activity "+anonymous().ID.String(), "contoso", tt.is
			if want.RequestID == "" {
				want.RequestID = i.requests()[0].Header.Get("x-ms-client-request-id")
			}
			if diff := cmp.Diff(want, *got, cmpopts.EquateErrors(), cmpopts.IgnoreUnexported(dynamics.Error{})); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), "<") || len(err.Error()) > 1500 {
				t.Errorf("error text holds a page or is too long: %q", err)
			}
		})
	}
}

func TestRetryAfterIsReadInEveryForm(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		header, date string
		want         time.Duration
		unsent       bool
	}{
		"absent":                                {unsent: true},
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
			_, err := c.Create(t.Context(), anonymous())
			var got *dynamics.Error
			if !errors.As(err, &got) {
				t.Fatal(err)
			}
			if got.Code != dynamics.CodeThrottledRequests || got.RetryAfter != tt.want || got.RetryAfterSent == tt.unsent {
				t.Errorf("code %s, wait %s, sent %v; want wait %s, sent %v", got.Code, got.RetryAfter, got.RetryAfterSent, tt.want, !tt.unsent)
			}
		})
	}
}

func TestARequestCarriesTheHeadersOfTheWebAPI(t *testing.T) {
	t.Parallel()
	i := play(t, func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "ARRAffinity", Value: "one-server"})
		w.WriteHeader(204)
	})
	c := newClient(t, i.URL)
	for range 2 {
		if _, err := c.Create(t.Context(), anonymous()); err != nil {
			t.Fatal(err)
		}
	}
	first, second := i.requests()[0], i.requests()[1]
	want := map[string]string{
		"Authorization": "Bearer secret-token", "Accept": "application/json", "OData-MaxVersion": "4.0", "OData-Version": "4.0",
		"If-None-Match": "*", "Content-Type": "application/json; charset=utf-8", "User-Agent": "postlink",
		"Cookie": "", "If-Match": "", "Prefer": "", "Consistency": "",
	}
	for name, value := range want {
		if got := second.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	a, b := first.Header.Get("x-ms-client-request-id"), second.Header.Get("x-ms-client-request-id")
	if uuid.Validate(a) != nil || uuid.Validate(b) != nil || a == b {
		t.Errorf("request ids %q and %q are not two GUIDs", a, b)
	}
	if want := "socialactivities(11111111-1111-5111-8111-111111111111)"; first.Method != "PATCH" || first.URI != want {
		t.Errorf("%s %s, want PATCH %s", first.Method, first.URI, want)
	}
}

func TestOneConnectionServesManyRequests(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	i := &instance{}
	n := 0
	i.Server = httptest.NewUnstartedServer(i.record(func(w http.ResponseWriter, _ *http.Request) {
		switch n++; n % 4 {
		case 0:
			w.WriteHeader(204)
		case 1:
			answerJSON(w, 400, `{"error":{"code":"0x80048d19","message":"`+strings.Repeat("x", 30<<10)+`"}}`)
		case 2:
			w.Header().Set("Location", "/login")
			answer(w, 302, "text/html", page)
		case 3:
			answer(w, 503, "text/html", page)
		}
	}))
	i.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	i.Start()
	t.Cleanup(i.Close)
	c := newClient(t, i.URL)
	for range 20 {
		_, _ = c.Create(t.Context(), anonymous()) // what it answers is another test's matter
	}
	if got := connections.Load(); got != 1 || len(i.requests()) != 20 {
		t.Errorf("%d connections for %d requests, want 1 for 20", got, len(i.requests()))
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

func TestASlowAnswerEndsWithTheTimeout(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"of a success": 200, "of an error": 500} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := play(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"error":`)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			})
			c := newClient(t, i.URL, func(o *dynamics.Options) { o.Timeout = 50 * time.Millisecond })
			_, err := c.Create(t.Context(), anonymous())
			if status == 500 {
				var got *dynamics.Error
				if !errors.As(err, &got) || got.Status != 500 {
					t.Errorf("error %v, want status 500", err)
				}
				return
			}
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 50ms") {
				t.Errorf("error %v, want no answer within 50ms", err)
			}
			if t.Context().Err() != nil {
				t.Error("the caller's context ended")
			}
		})
	}
}

func TestTheEndOfTheContextEndsARequest(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	i := play(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := newClient(t, i.URL).Create(ctx, anonymous()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
}

func TestAnAnswerCutShortIsNoSuccess(t *testing.T) {
	t.Parallel()
	i := play(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "500")
		_, _ = io.WriteString(w, `{"OrganizationId":`)
	})
	_, err := newClient(t, i.URL).Organization(t.Context())
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want an unexpected EOF", err)
	}
}

func TestErrorsOfTheNetworkStayReachable(t *testing.T) {
	t.Parallel()
	t.Run("an unknown host", func(t *testing.T) {
		t.Parallel()
		unknown := &net.DNSError{Err: "no such host", Name: "contoso.invalid", IsNotFound: true}
		c := newClient(t, "https://contoso.invalid", func(o *dynamics.Options) {
			o.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, unknown }}
		})
		_, err := c.Create(t.Context(), anonymous())
		var got *net.DNSError
		if !errors.As(err, &got) || got != unknown {
			t.Errorf("error %v holds no DNS error", err)
		}
	})
	t.Run("a certificate of nobody we know", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.ErrorLog = quiet()
		s.StartTLS()
		t.Cleanup(s.Close)
		_, err := newClient(t, s.URL).Create(t.Context(), anonymous())
		var unknown x509.UnknownAuthorityError
		var verification *tls.CertificateVerificationError
		if !errors.As(err, &unknown) || !errors.As(err, &verification) {
			t.Errorf("error %v holds no certificate error", err)
		}
	})
	t.Run("nobody who listens", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(http.NotFoundHandler())
		s.Close()
		if _, err := newClient(t, s.URL).Create(t.Context(), anonymous()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("error %v is not a refused connection", err)
		}
	})
	t.Run("a connection that breaks does not tell the author's id", func(t *testing.T) {
		t.Parallel()
		i := play(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		_, err := newClient(t, i.URL).Create(t.Context(), known("confidential-id"))
		if err == nil || strings.Contains(err.Error(), "confidential-id") {
			t.Errorf("error %v", err)
		}
	})
}

// renewed counts how often a fresh token was asked for; each is another one.
type renewed struct{ fresh atomic.Int64 }

func (r *renewed) Token(_ context.Context, fresh bool) (string, error) {
	if fresh {
		r.fresh.Add(1)
	}
	return fmt.Sprintf("token-%d", r.fresh.Load()), nil
}

func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	accept := func(token string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+token {
				w.Header().Set("WWW-Authenticate", "Bearer authorization_uri=https://login.example")
				w.WriteHeader(401)
				return
			}
			w.WriteHeader(204)
		}
	}
	t.Run("and the request repeated", func(t *testing.T) {
		t.Parallel()
		i, tokens := play(t, accept("token-1")), &renewed{}
		c := newClient(t, i.URL, func(o *dynamics.Options) { o.Tokens = tokens })
		if _, err := c.Create(t.Context(), anonymous()); err != nil {
			t.Fatal(err)
		}
		r := i.requests()
		if len(r) != 2 || r[0].Body != r[1].Body || r[0].Body == "" || tokens.fresh.Load() != 1 {
			t.Errorf("%d requests, %d fresh tokens; want 2 with one body, 1", len(r), tokens.fresh.Load())
		}
	})
	t.Run("and no more when the fresh one is refused too", func(t *testing.T) {
		t.Parallel()
		i, tokens := play(t, accept("never")), &renewed{}
		c := newClient(t, i.URL, func(o *dynamics.Options) { o.Tokens = tokens })
		_, err := c.Create(t.Context(), anonymous())
		var got *dynamics.Error
		if !errors.As(err, &got) || got.Status != 401 || len(i.requests()) != 2 || tokens.fresh.Load() != 1 {
			t.Errorf("error %v after %d requests and %d fresh tokens", err, len(i.requests()), tokens.fresh.Load())
		}
	})
	t.Run("for all requests that were refused it", func(t *testing.T) {
		t.Parallel()
		var waiting sync.WaitGroup
		waiting.Add(8)
		i, tokens := play(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer token-0" {
				waiting.Done()
				waiting.Wait() // all eight have been sent with the old token
			}
			accept("token-1")(w, r)
		}), &renewed{}
		c := newClient(t, i.URL, func(o *dynamics.Options) { o.Tokens = tokens })
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				if _, err := c.Create(t.Context(), anonymous()); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		if got := tokens.fresh.Load(); got != 1 {
			t.Errorf("%d fresh tokens, want 1", got)
		}
	})
}

// failing is a source without tokens.
type failing struct{ err error }

func (f failing) Token(context.Context, bool) (string, error) { return "", f.err }

func TestWithoutATokenNothingIsSent(t *testing.T) {
	t.Parallel()
	i := play(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	c := newClient(t, i.URL, func(o *dynamics.Options) { o.Tokens = failing{os.ErrPermission} })
	_, err := c.Create(t.Context(), anonymous())
	var got *dynamics.TokenError
	if !errors.As(err, &got) || !errors.Is(err, os.ErrPermission) || got.Instance != "contoso" || len(i.requests()) != 0 {
		t.Errorf("error %v after %d requests", err, len(i.requests()))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Create(ctx, anonymous()); !errors.Is(err, context.Canceled) || errors.As(err, &got) && errors.Is(got, os.ErrPermission) {
		t.Errorf("error %v, want that of the context", err)
	}
}

func TestAnInstanceMayLiveUnderAPath(t *testing.T) {
	t.Parallel()
	i := play(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	for _, url := range []string{i.URL + "/contoso", i.URL + "/contoso/"} {
		c := newClient(t, url, func(o *dynamics.Options) { o.APIVersion = "v9.1" })
		if _, err := c.Create(t.Context(), anonymous()); err != nil {
			t.Fatal(err)
		}
		r := i.requests()
		if want := "/contoso/api/data/v9.1/socialactivities(" + anonymous().ID.String() + ")"; r[len(r)-1].URI != want {
			t.Errorf("URI %s, want %s", r[len(r)-1].URI, want)
		}
		if got, want := c.RecordURL("incident", anonymous().ID), i.URL+"/contoso/main.aspx?etn=incident&pagetype=entityrecord&id=%7B"+anonymous().ID.String()+"%7D"; got != want {
			t.Errorf("record URL %s, want %s", got, want)
		}
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*dynamics.Options)
		want   string
	}{
		"no name":            {func(o *dynamics.Options) { o.Instance.Name = "" }, "no name"},
		"no URL":             {func(o *dynamics.Options) { o.Instance.URL = "" }, "not that of a web server"},
		"a URL of no web":    {func(o *dynamics.Options) { o.Instance.URL = "ftp://x" }, "not that of a web server"},
		"a URL that is none": {func(o *dynamics.Options) { o.Instance.URL = "http://[" }, "url"},
		"a URL with a query": {func(o *dynamics.Options) { o.Instance.URL = "https://x/?a=b" }, "leave user, query and fragment out"},
		"a password":         {func(o *dynamics.Options) { o.Instance.URL = "https://u:hunter2@x" }, "leave user, query and fragment out"},
		"no tokens":          {func(o *dynamics.Options) { o.Tokens = nil }, "no source of tokens"},
		"a negative timeout": {func(o *dynamics.Options) { o.Timeout = -1 }, "cannot be negative"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := dynamics.Options{Instance: dynamics.Instance{Name: "contoso", URL: "https://contoso.crm.dynamics.com"}, Tokens: dynamics.StaticToken("t")}
			tt.change(&o)
			_, err := dynamics.New(o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestAnInstanceKnowsItsEntities(t *testing.T) {
	t.Parallel()
	i := dynamics.Instance{Entities: []dynamics.Entity{{Name: "lead"}, {Name: "incident", Fields: []string{"title"}}}}
	if e, ok := i.Entity("incident"); !ok || len(e.Fields) != 1 {
		t.Errorf("incident: %+v, %v", e, ok)
	}
	if _, ok := i.Entity("Incident"); ok {
		t.Error("a name of another case is found")
	}
}
