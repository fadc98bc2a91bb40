package catalog

import (
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"postlink/dynamics"
)

// catalogYAML and the types below are the file format of Load, for writing.
type catalogYAML struct {
	Instances []instanceYAML `yaml:"instances,omitempty"`
	Rules     []ruleYAML     `yaml:"rules,omitempty"`
}

type instanceYAML struct {
	Name     string       `yaml:"name"`
	URL      string       `yaml:"url"`
	Default  bool         `yaml:"default,omitempty"`
	Enabled  *bool        `yaml:"enabled,omitempty"`
	Auth     authYAML     `yaml:"auth"`
	Entities []entityYAML `yaml:"entities,omitempty"`
}

type authYAML struct {
	Kind         string      `yaml:"kind"`
	Tenant       string      `yaml:"tenant,omitempty"`
	ClientID     string      `yaml:"client_id,omitempty"`
	ClientSecret *secretYAML `yaml:"client_secret,omitempty,flow"`
	Authority    string      `yaml:"authority,omitempty"`
	Token        *secretYAML `yaml:"token,omitempty,flow"`
}

type secretYAML struct {
	Env  string `yaml:"env,omitempty"`
	File string `yaml:"file,omitempty"`
}

type entityYAML struct {
	Name   string   `yaml:"name"`
	Fields []string `yaml:"fields,omitempty,flow"`
}

type ruleYAML struct {
	Name   string   `yaml:"name"`
	Active bool     `yaml:"active"`
	When   string   `yaml:"when"`
	Link   linkYAML `yaml:"link"`
}

type linkYAML struct {
	Instance string `yaml:"instance"`
	Entity   string `yaml:"entity"`
	Notes    string `yaml:"notes,omitempty"`
}

// Export writes a catalog as one YAML file that Load reads again, rules in the order of their age. Of secrets it writes the places,
// since the catalog has no more. Ages and times of activation are left out: the order gives the ages, and a commit the times.
func (c *Catalog) Export(w io.Writer) error {
	var doc catalogYAML
	for _, in := range c.Instances {
		out := instanceYAML{Name: in.Name, URL: in.URL, Default: in.Default, Auth: authYAML{
			Kind: in.Auth.Kind, Tenant: in.Auth.Tenant, ClientID: in.Auth.ClientID, ClientSecret: exportSecret(in.Auth.ClientSecret),
			Authority: in.Auth.Authority, Token: exportSecret(in.Auth.Token),
		}}
		if in.Disabled {
			out.Enabled = new(bool)
		}
		for _, e := range in.Entities {
			out.Entities = append(out.Entities, entityYAML(e))
		}
		doc.Instances = append(doc.Instances, out)
	}
	for _, r := range c.Rules {
		doc.Rules = append(doc.Rules, ruleYAML{r.Name, r.Active, r.When, linkYAML{r.Link.Instance, r.Link.Entity, r.Link.Notes}})
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("export the catalog: %w", err)
	}
	if err := enc.Close(); err != nil {
		return fmt.Errorf("export the catalog: %w", err)
	}
	return nil
}

// exportSecret returns nil for a secret without a place, so that its key is left out.
func exportSecret(s dynamics.Secret) *secretYAML {
	if s == (dynamics.Secret{}) {
		return nil
	}
	return &secretYAML{s.Env, s.File}
}
