package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"postlink/worker/console/api"
)

// Role is a set of permissions. Each role includes those of the roles before it, so roles are compared as numbers. The zero value
// is no role: it may do only what needs no token.
type Role int

// The roles, the least first.
const (
	Reader        Role = iota + 1 // sees everything
	Responder                     // links posts
	Manager                       // removes links, sends dead letters on their way again
	Administrator                 // changes the catalog, drops dead letters
)

var roleNames = [...]string{Reader: "reader", Responder: "responder", Manager: "manager", Administrator: "administrator"}

// String is the role's name, lower case.
func (r Role) String() string {
	if r < Reader || r > Administrator {
		return fmt.Sprintf("role %d", int(r))
	}
	return roleNames[r]
}

// ParseRole reads a role's name, lower case. The error lists the names that there are.
func ParseRole(name string) (Role, error) {
	for r := Reader; r <= Administrator; r++ {
		if roleNames[r] == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("role %q: write %s", name, strings.Join(roleNames[Reader:], ", "))
}

// Token lets its holder act under a name. Only its hash is kept. A plain SHA-256 is enough, and cheap enough for each request,
// because tokens are random and not words that people choose: there is nothing to guess.
type Token struct {
	Name string // of the person or program, as history and audit show it
	Role Role
	Hash [sha256.Size]byte // SHA-256 of the token
}

// tokenName keeps spaces and control characters out of names, which appear in the log, in the history of the catalog and in the
// steps of links.
var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9@._-]{0,63}$`)

// ParseToken reads an entry of the configuration; hash is the SHA-256 of the token, in hexadecimal. It sees one entry: that names
// and tokens differ is checked by New. The error never holds the hash, where people write the token itself by mistake.
func ParseToken(name, role, hash string) (Token, error) {
	t := Token{Name: name}
	if !tokenName.MatchString(name) {
		return Token{}, fmt.Errorf("token name %q: write 1 to 64 letters, digits, @, dots, dashes and underscores, as in ann@example.com", name)
	}
	var err error
	if t.Role, err = ParseRole(role); err != nil {
		return Token{}, fmt.Errorf("token %s: %w", name, err)
	}
	sum, err := hex.DecodeString(strings.TrimSpace(hash))
	if err != nil || len(sum) != len(t.Hash) {
		return Token{}, fmt.Errorf("token %s: its hash is not a SHA-256 in 64 hexadecimal digits; make one with: printf %%s TOKEN | sha256sum", name)
	}
	t.Hash = [sha256.Size]byte(sum)
	return t, nil
}

// Protected reports whether a console with these tokens may be reached from other machines. New does not know its listener;
// whoever opens one asks first.
func Protected(tokens []Token) bool { return len(tokens) > 0 }

// caller is the person or program that makes a request.
type caller struct {
	name string
	role Role
}

// local is the caller of every request while there are no tokens.
var local = caller{"local", Administrator}

// keyring knows the tokens. It is not changed once made, so requests read it without a lock. Other tokens take a restart.
type keyring struct{ tokens []Token }

// newKeyring refuses tokens that could not be distinguished in the audit log: without a name, or with a name or hash that another
// has. It refuses the hash of the empty string, which a script makes of a variable that is not set, and a hash that was never
// filled in.
func newKeyring(tokens []Token) (*keyring, error) {
	names, hashes := map[string]bool{}, map[[sha256.Size]byte]string{}
	for _, t := range tokens {
		switch {
		case t.Name == "":
			return nil, errors.New("make the console: a token has no name")
		case t.Role < Reader || t.Role > Administrator:
			return nil, fmt.Errorf("make the console: token %s has no role", t.Name)
		case t.Hash == sha256.Sum256(nil), t.Hash == [sha256.Size]byte{}:
			return nil, fmt.Errorf("make the console: token %s is empty; make one with: openssl rand -hex 32", t.Name)
		case names[t.Name]:
			return nil, fmt.Errorf("make the console: two tokens are named %s; give each its own name", t.Name)
		case hashes[t.Hash] != "":
			return nil, fmt.Errorf("make the console: %s and %s have the same token; give each its own", hashes[t.Hash], t.Name)
		}
		names[t.Name], hashes[t.Hash] = true, t.Name
	}
	return &keyring{tokens}, nil
}

// admit returns the caller of a request, or the reason why it is refused: 401 without a known token; while there are no tokens,
// 403 for what does not come from this machine. Whether the caller's role is enough is decided by gateway.serve.
func (k *keyring) admit(r *http.Request) (caller, *api.Problem) {
	if len(k.tokens) == 0 {
		return local, fromHere(r)
	}
	scheme, presented, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	presented = strings.TrimSpace(presented)
	if !strings.EqualFold(scheme, "Bearer") || presented == "" {
		return caller{}, newProblem(api.KindUnauthenticated, "the request carries no token; send it as Authorization: Bearer TOKEN")
	}
	hash := sha256.Sum256([]byte(presented))
	var found caller
	for _, t := range k.tokens { // all of them, so that the time it takes does not depend on the token
		if subtle.ConstantTimeCompare(hash[:], t.Hash[:]) == 1 {
			found = caller{t.Name, t.Role}
		}
	}
	if found.role == 0 {
		return caller{}, newProblem(api.KindUnauthenticated, "the token is not known here; ask an administrator for one")
	}
	return found, nil
}

// fromHere refuses requests that a page of another site makes a browser on this machine send: under a host name that the site
// points to this machine, or with the Origin of its page. A request without Origin passes: programs send none, and a browser
// leaves it out of some reads, but of no change that a page of another site asks for. An Origin of null is refused.
func fromHere(r *http.Request) *api.Problem {
	if !loopback(r.Host) {
		return newProblem(api.KindForeign, "without tokens only this machine is served, under its own name; use http://localhost, or configure tokens")
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
		return newProblem(api.KindForeign, "the request comes from a page of another site; open the console itself, or configure tokens")
	}
	return nil
}

// loopback reports whether a Host header names this machine itself: localhost or a loopback address, with or without a port. It
// resolves no name, since the owner of a name decides what it resolves to.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}
