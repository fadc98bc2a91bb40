package catalog

import (
	"errors"
	"fmt"
	"iter"
	"net/url"
	"regexp"
	"strings"

	"postlink/dynamics"
	"postlink/rules"
)

var (
	instanceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	logicalName  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,127}$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	tenantName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)
)

// place addresses one value of a catalog, so that a reader of files can tell where it stands. Numbers count from 1; 0 is
// "not inside one".
type place struct {
	instance, entity, field int
	key                     string
}

// complaint takes what is wrong with the value at a place.
type complaint func(at place, format string, args ...any)

// validate holds the instances of a catalog against everything but the guard; rules are for the compiler to judge.
func (c *Catalog) validate(complain complaint) {
	names, urls, preselected := map[string]bool{}, map[string]string{}, ""
	for i := range c.Instances {
		in, at := &c.Instances[i], place{instance: i + 1}
		about := func(key, format string, args ...any) {
			complain(place{instance: at.instance, key: key}, "instance %q: %s", in.Name, fmt.Sprintf(format, args...))
		}
		if !instanceName.MatchString(in.Name) {
			complain(place{instance: at.instance, key: "name"}, "instance name %q: write 1 to 63 lower case letters, digits and dashes, and no dash first", in.Name)
		} else if names[in.Name] {
			about("name", "this name is taken by another instance; choose another name")
		}
		names[in.Name] = true

		if err := checkURL(in.URL, in.Auth.Kind); err != nil {
			about("url", "url %q: %v", redact(in.URL), err)
		} else if other, taken := urls[trimURL(in.URL)]; taken {
			about("url", "url %q is that of instance %q already; one organization is one instance", in.URL, other)
		} else {
			urls[trimURL(in.URL)] = in.Name
		}
		if in.Default && preselected != "" {
			about("default", "instance %q is the default already; only one can be", preselected)
		} else if in.Default {
			preselected = in.Name
		}
		validateAuth(in.Auth, about)
		validateEntities(in, at, complain)
	}
}

func validateAuth(a dynamics.Auth, about func(key, format string, args ...any)) {
	refuse := func(key string, set bool) {
		if set {
			about("auth."+key, "auth.%s has no meaning for auth.kind %s; remove it", key, a.Kind)
		}
	}
	switch a.Kind {
	case "":
		if (a == dynamics.Auth{}) {
			about("auth", "auth is missing; write how to log in, as in {kind: client_credentials, ...}")
			return
		}
		about("auth.kind", "auth.kind is missing; write %s or %s", dynamics.AuthClientCredentials, dynamics.AuthStatic)
	case dynamics.AuthClientCredentials:
		if !tenantName.MatchString(a.Tenant) {
			about("auth.tenant", "auth.tenant %q: write the directory id or the domain of the organization in Microsoft Entra ID", a.Tenant)
		}
		if a.ClientID == "" {
			about("auth.client_id", "auth.client_id is missing: write the application id of the app registration")
		}
		if err := checkSecret(a.ClientSecret); err != nil {
			about("auth.client_secret", "auth.client_secret: %v", err)
		}
		if a.Authority != "" {
			if err := checkURL(a.Authority, dynamics.AuthClientCredentials); err != nil {
				about("auth.authority", "auth.authority %q: %v", redact(a.Authority), err)
			}
		}
		refuse("token", a.Token != dynamics.Secret{})
	case dynamics.AuthStatic:
		if err := checkSecret(a.Token); err != nil {
			about("auth.token", "auth.token: %v", err)
		}
		refuse("tenant", a.Tenant != "")
		refuse("client_id", a.ClientID != "")
		refuse("client_secret", a.ClientSecret != dynamics.Secret{})
		refuse("authority", a.Authority != "")
	default:
		about("auth.kind", "auth.kind %q: write %s or %s", a.Kind, dynamics.AuthClientCredentials, dynamics.AuthStatic)
	}
}

func validateEntities(in *dynamics.Instance, at place, complain complaint) {
	names := map[string]bool{}
	for j, e := range in.Entities {
		at.entity = j + 1
		about := func(field int, key, format string, args ...any) {
			at := at
			at.field, at.key = field, key
			complain(at, "instance %q: entity %q: %s", in.Name, e.Name, fmt.Sprintf(format, args...))
		}
		if !logicalName.MatchString(e.Name) {
			about(0, "name", "this is not a logical name; write lower case letters, digits and _, as in incident or new_complaint")
		} else if names[e.Name] {
			about(0, "name", "it is configured already; list its fields in one place")
		}
		names[e.Name] = true
		fields := map[string]bool{}
		for k, f := range e.Fields {
			if !logicalName.MatchString(f) {
				about(k+1, "", "field %q is not a logical name; write lower case letters, digits and _, as in ticketnumber", f)
			} else if fields[f] {
				about(k+1, "", "field %q is listed already", f)
			}
			fields[f] = true
		}
	}
}

var (
	errNoSecret  = errors.New("say where the secret is: {env: NAME} for an environment variable, {file: PATH} for a file")
	errTwoPlaces = errors.New("env and file are both given; keep one of them")
	errVariable  = errors.New("env is not the name of an environment variable")
)

func checkSecret(s dynamics.Secret) error {
	switch {
	case s == dynamics.Secret{}:
		return errNoSecret
	case s.Env != "" && s.File != "":
		return errTwoPlaces
	case s.Env != "" && !variableName.MatchString(s.Env):
		return errVariable
	}
	return nil
}

// checkURL accepts the root of an organization. Only instances with a fixed token, which are sandboxes, may do without TLS
// and share a host.
func checkURL(raw, kind string) error {
	if raw == "" {
		return errors.New("it is missing; write it as in https://contoso.crm.dynamics.com")
	}
	u, err := url.Parse(raw)
	if err != nil {
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err // without the URL, which may hold a password
		}
		return err
	}
	sandbox := kind == dynamics.AuthStatic && u.Scheme == "http"
	switch {
	case u.Scheme == "http" && !sandbox:
		return errors.New("write https://; http:// is only for sandboxes, with auth.kind static")
	case u.Scheme != "https" && !sandbox, u.Hostname() == "":
		return errors.New("write the whole address, as in https://contoso.crm.dynamics.com")
	case u.User != nil:
		return errors.New("a user or password does not belong into it; see auth")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return errors.New("leave out everything after the host")
	case strings.Trim(u.Path, "/") != "" && !sandbox:
		return errors.New("leave out the path; the host is enough")
	case strings.ContainsAny(u.Host, " \t*") || strings.HasSuffix(u.Host, ":"):
		return errors.New("this is not the name of a host")
	}
	return nil
}

// trimURL gives the addresses of one organization one spelling. What checkURL refuses comes back as it is.
func trimURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return raw
	}
	u.Host = strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		u.Host = strings.TrimSuffix(u.Host, ":443")
	case "http":
		u.Host = strings.TrimSuffix(u.Host, ":80")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u.String()
}

// redact hides what stands before an @: somebody may have put a password there.
func redact(raw string) string {
	head, tail, found := strings.Cut(raw, "://")
	if !found {
		head, tail = "", raw
	} else {
		head += "://"
	}
	if at := strings.LastIndexByte(tail, '@'); at >= 0 {
		tail = "..." + tail[at:]
	}
	return head + tail
}

// stray yields the active rules whose link does not lead to a configured entity of an enabled instance.
func (c *Catalog) stray() iter.Seq2[rules.Rule, *TargetError] {
	return func(yield func(rules.Rule, *TargetError) bool) {
		for _, r := range c.Rules {
			if !r.Active {
				continue
			}
			if err := c.follow(r); err != nil && !yield(r, err) {
				return
			}
		}
	}
}

func (c *Catalog) follow(r rules.Rule) *TargetError {
	stray := &TargetError{Rule: r.Name, Instance: r.Link.Instance, Entity: r.Link.Entity}
	in, err := c.instance(r.Link.Instance)
	if err != nil {
		stray.Missing, stray.Known = "instance", c.instanceNames()
		return stray
	}
	if in.Disabled {
		stray.Disabled = true
		return stray
	}
	if _, configured := in.Entity(r.Link.Entity); !configured {
		stray.Missing, stray.Known = "entity", entityNames(in)
		return stray
	}
	return nil
}

// guard refuses a catalog whose active rules could not act. Where base had what a rule needs, the change took it away: an
// *InUseError for each such thing. Otherwise the rule was wrong to be activated: a *TargetError for each such rule.
func (c *Catalog) guard(base *Catalog) error {
	var errs []error
	told := map[[2]string]bool{}
	for r, stray := range c.stray() {
		had := rules.Rule{Name: r.Name, Link: r.Link}
		if base.follow(had) != nil {
			errs = append(errs, stray)
			continue
		}
		gone := &InUseError{Instance: r.Link.Instance}
		if stray.Missing == "entity" {
			gone.Entity = r.Link.Entity
		}
		if key := [2]string{gone.Instance, gone.Entity}; !told[key] {
			told[key] = true
			gone.Rules = c.Users(gone.Instance, gone.Entity)
			errs = append(errs, gone)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
