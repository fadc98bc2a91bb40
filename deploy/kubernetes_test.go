package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"postlink/worker/catalog"
)

type labels = map[string]string

type metadata struct {
	Name                string
	Labels, Annotations labels
}

// What kubernetes/postlink.yaml may use of each kind of object; every other key is a mistake.
type (
	header struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
	}
	secret struct {
		header     `yaml:",inline"`
		Type       string
		StringData map[string]string `yaml:"stringData"`
	}
	configMap struct {
		header `yaml:",inline"`
		Data   map[string]string
	}
	service struct {
		header `yaml:",inline"`
		Spec   struct {
			Selector labels
			Ports    []struct {
				Name       string
				Port       int
				TargetPort string `yaml:"targetPort"`
			}
		}
	}
	deployment struct {
		header `yaml:",inline"`
		Spec   struct {
			Replicas int
			Selector struct {
				MatchLabels labels `yaml:"matchLabels"`
			}
			Template struct {
				Metadata metadata
				Spec     pod
			}
		}
	}
	pod struct {
		AutomountServiceAccountToken  bool           `yaml:"automountServiceAccountToken"`
		EnableServiceLinks            bool           `yaml:"enableServiceLinks"`
		TerminationGracePeriodSeconds int            `yaml:"terminationGracePeriodSeconds"`
		SecurityContext               map[string]any `yaml:"securityContext"`
		Containers                    []container
		Volumes                       []struct {
			Name      string
			ConfigMap metadata `yaml:"configMap"`
		}
	}
	container struct {
		Name, Image string
		Args        []string
		EnvFrom     []struct {
			SecretRef metadata `yaml:"secretRef"`
		} `yaml:"envFrom"`
		Ports []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
		}
		LivenessProbe   probe `yaml:"livenessProbe"`
		ReadinessProbe  probe `yaml:"readinessProbe"`
		Resources       map[string]map[string]string
		SecurityContext map[string]any `yaml:"securityContext"`
		VolumeMounts    []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	probe struct {
		HTTPGet        struct{ Path, Port string } `yaml:"httpGet"`
		PeriodSeconds  int                         `yaml:"periodSeconds"`
		TimeoutSeconds int                         `yaml:"timeoutSeconds"`
	}
)

// manifest is the objects of kubernetes/postlink.yaml.
type manifest struct {
	Secret     secret
	ConfigMap  configMap
	Deployment deployment
	Service    service
}

func TestTheKubernetesObjectsFitEachOther(t *testing.T) {
	t.Parallel()
	m := readManifest(t)
	spec := m.Deployment.Spec.Template.Spec
	c, selector, mount := spec.Containers[0], m.Deployment.Spec.Selector.MatchLabels, spec.Containers[0].VolumeMounts[0]
	for about, pair := range map[string][2]any{
		"pods, and those of the deployment": {m.Deployment.Spec.Template.Metadata.Labels, selector},
		"pods of the service":               {m.Service.Spec.Selector, selector},
		"port of the service":               {m.Service.Spec.Ports[0].TargetPort, c.Ports[0].Name},
		"port of the liveness probe":        {c.LivenessProbe.HTTPGet.Port, c.Ports[0].Name},
		"port of the readiness probe":       {c.ReadinessProbe.HTTPGet.Port, c.Ports[0].Name},
		"path of the liveness probe":        {c.LivenessProbe.HTTPGet.Path, "/healthz"},
		"path of the readiness probe":       {c.ReadinessProbe.HTTPGet.Path, "/readyz"},
		"secrets":                           {c.EnvFrom[0].SecretRef.Name, m.Secret.Metadata.Name},
		"volume":                            {mount.Name, spec.Volumes[0].Name},
		"files in the volume":               {spec.Volumes[0].ConfigMap.Name, m.ConfigMap.Metadata.Name},
	} {
		if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", about, diff)
		}
	}
	var named []string
	for _, argument := range c.Args {
		if path.Dir(argument) == mount.MountPath {
			named = append(named, path.Base(argument))
		}
	}
	slices.Sort(named)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(m.ConfigMap.Data)), named); diff != "" {
		t.Errorf("files that the arguments name (-mounted +named):\n%s", diff)
	}
}

func TestTheKubernetesCatalogIsValidAndItsSecretsAreThere(t *testing.T) {
	t.Parallel()
	m := readManifest(t)
	c, err := catalog.LoadFS(fstest.MapFS{"catalog.yaml": {Data: []byte(m.ConfigMap.Data["catalog.yaml"])}})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range c.Instances {
		if _, ok := m.Secret.StringData[i.Auth.ClientSecret.Env]; !ok {
			t.Errorf("instance %s: the Secret has no %q", i.Name, i.Auth.ClientSecret.Env)
		}
	}
}

func readManifest(t *testing.T) (m manifest) {
	t.Helper()
	file, err := os.Open("kubernetes/postlink.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for documents := yaml.NewDecoder(file); ; {
		var object yaml.Node
		if err := documents.Decode(&object); errors.Is(err, io.EOF) {
			return m
		} else if err != nil {
			t.Fatal(err)
		}
		var kind struct{ Kind string }
		if err := object.Decode(&kind); err != nil {
			t.Fatal(err)
		}
		into, known := map[string]any{
			"Secret": &m.Secret, "ConfigMap": &m.ConfigMap, "Deployment": &m.Deployment, "Service": &m.Service,
		}[kind.Kind]
		if !known {
			t.Fatalf("an object of kind %q", kind.Kind)
		}
		strictly(t, &object, into)
	}
}

// strictly decodes a document and refuses keys that the type does not have.
func strictly(t *testing.T, document *yaml.Node, into any) {
	t.Helper()
	text, err := yaml.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatal(err)
	}
}
