package catalog

import (
	"errors"
	"fmt"
	"iter"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"postlink/dynamics"
	"postlink/payload"
	"postlink/rules"
	"postlink/rules/source"
)

var (
	// The name of an instance is part of the name of its outbox's stream, a token of a subject and a key of a bucket in NATS.
	instanceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	tenantName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)
)

// place addresses one value of a catalog, so that the loader can find its position in the files. Numbers count from 1; 0 means
// "not inside one".
type place struct {
	instance, entity, field int
	key                     string
}

// complaint reports a problem with the value at a place.
type complaint func(at place, format string, args ...any)

// validate checks the instances of a catalog. The guard is checked elsewhere, and rules are checked by the compiler.
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

// validateAuth checks that the fields of a kind of auth are there, and those of other kinds are not.
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

// validateEntities checks the names of entities and fields. Whether the instance has them is not known here.
func validateEntities(in *dynamics.Instance, at place, complain complaint) {
	names := map[string]bool{}
	for j, e := range in.Entities {
		at.entity = j + 1
		about := func(field int, key, format string, args ...any) {
			at := at
			at.field, at.key = field, key
			complain(at, "instance %q: entity %q: %s", in.Name, e.Name, fmt.Sprintf(format, args...))
		}
		if !payload.LogicalName(e.Name) {
			about(0, "name", "this is not a logical name; write lower case letters, digits and _, as in incident or new_complaint")
		} else if names[e.Name] {
			about(0, "name", "it is configured already; list its fields in one place")
		}
		names[e.Name] = true
		fields := map[string]bool{}
		for k, f := range e.Fields {
			if !payload.LogicalName(f) {
				about(k+1, "", "field %q is not a logical name; write lower case letters, digits and _, as in ticketnumber", f)
			} else if fields[f] {
				about(k+1, "", "field %q is listed already", f)
			}
			fields[f] = true
		}
	}
}

// Errors of checkSecret.
var (
	errNoSecret  = errors.New("say where the secret is: {env: NAME} for an environment variable, {file: PATH} for a file")
	errTwoPlaces = errors.New("env and file are both given; keep one of them")
	errVariable  = errors.New("env is not the name of an environment variable")
)

// checkSecret checks that a secret has one place, a variable or a file. It does not read it: the catalog is shared, the place is on
// each worker.
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

// checkURL accepts the root address of an organization. Instances with a fixed token are sandboxes: only they may use http and a
// path, so that several share a host.
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

// trimURL gives equal addresses one spelling. It returns an address that checkURL refuses unchanged.
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

// redact hides the part before an @, which may hold a password.
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

// unconfigured yields the active rules that do not link to a configured entity of an enabled instance.
func (c *Catalog) unconfigured() iter.Seq2[rules.Rule, *UnconfiguredError] {
	return func(yield func(rules.Rule, *UnconfiguredError) bool) {
		for _, r := range c.Rules {
			if !r.Active {
				continue
			}
			if err := c.checkLink(r); err != nil && !yield(r, err) {
				return
			}
		}
	}
}

// checkLink checks that a rule links to a configured entity of an enabled instance.
func (c *Catalog) checkLink(r rules.Rule) *UnconfiguredError {
	missing := &UnconfiguredError{Rule: r.Name, Instance: r.Link.Instance, Entity: r.Link.Entity}
	in, err := c.instance(r.Link.Instance)
	if err != nil {
		missing.Missing, missing.Known = "instance", c.instanceNames()
		return missing
	}
	if in.Disabled {
		missing.Disabled = true
		return missing
	}
	if _, configured := in.Entity(r.Link.Entity); !configured {
		missing.Missing, missing.Known = "entity", entityNames(in)
		return missing
	}
	return nil
}

// guard refuses a catalog with active rules that could not act. Where base had the rule's instance and entity, the change would
// remove them: an *InUseError for each of them. Otherwise the rule cannot be active: an *UnconfiguredError for each such rule.
func (c *Catalog) guard(base *Catalog) error {
	var errs []error
	reported := map[[2]string]bool{}
	for r, missing := range c.unconfigured() {
		had := rules.Rule{Name: r.Name, Link: r.Link}
		if base.checkLink(had) != nil {
			errs = append(errs, missing)
			continue
		}
		gone := &InUseError{Instance: r.Link.Instance}
		if missing.Missing == "entity" {
			gone.Entity = r.Link.Entity
		}
		if key := [2]string{gone.Instance, gone.Entity}; !reported[key] {
			reported[key] = true
			gone.Rules = c.Users(gone.Instance, gone.Entity)
			errs = append(errs, gone)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// Compile validates the catalog and makes the set of its rules. The error is source.Problems: all problems of the catalog, those of
// the guard included. It uses all processors, and changes nothing of the catalog.
func (c *Catalog) Compile() (*rules.Set, error) {
	problems := c.problems()
	for rule, err := range c.unconfigured() {
		problems = append(problems, err.problem(rule))
	}
	set, err := c.compileRules()
	var found source.Problems
	switch {
	case errors.As(err, &found):
		problems = append(problems, found...)
	case err != nil:
		return nil, err
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return set, nil
}

// compileRules compiles the rules without their origins, since a set would keep the text of the files in memory. When there are
// problems, it compiles again with the origins, for the positions.
func (c *Catalog) compileRules() (*rules.Set, error) {
	bare := slices.Clone(c.Rules)
	forget(bare)
	set, err := rules.Compile(bare)
	if err != nil {
		return rules.Compile(c.Rules)
	}
	return set, nil
}

// forget drops the positions of rules.
func forget(rs []rules.Rule) {
	for i := range rs {
		rs[i].Pos, rs[i].Origin = source.Position{}, nil
	}
}

// problems returns what validate finds, without positions: for a catalog that was not read from files.
func (c *Catalog) problems() source.Problems {
	var problems source.Problems
	c.validate(func(_ place, format string, args ...any) {
		problems = append(problems, source.Problem{Message: fmt.Sprintf(format, args...)})
	})
	return problems
}
