package dynamics_test

import (
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

	"postlink/dynamics"
)

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
			err := c.Create(t.Context(), anonymous())
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
	if err := newClient(t, i.URL).Create(ctx, anonymous()); !errors.Is(err, context.Canceled) {
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
		err := c.Create(t.Context(), anonymous())
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
		err := newClient(t, s.URL).Create(t.Context(), anonymous())
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
		if err := newClient(t, s.URL).Create(t.Context(), anonymous()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("error %v is not a refused connection", err)
		}
	})
	t.Run("a connection that breaks does not tell the author's id", func(t *testing.T) {
		t.Parallel()
		i := play(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		err := newClient(t, i.URL).Create(t.Context(), known("confidential-id"))
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
		if err := c.Create(t.Context(), anonymous()); err != nil {
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
		err := c.Create(t.Context(), anonymous())
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
				if err := c.Create(t.Context(), anonymous()); err != nil {
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
	err := c.Create(t.Context(), anonymous())
	var got *dynamics.TokenError
	if !errors.As(err, &got) || !errors.Is(err, os.ErrPermission) || got.Instance != "contoso" || len(i.requests()) != 0 {
		t.Errorf("error %v after %d requests", err, len(i.requests()))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Create(ctx, anonymous()); !errors.Is(err, context.Canceled) || errors.As(err, &got) && errors.Is(got, os.ErrPermission) {
		t.Errorf("error %v, want that of the context", err)
	}
}
