package check

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The manifests are held against the schemas that a server of Kubernetes publishes, which kubectl validates by. A
// module of Kubernetes ships them as files; none of its code is built. It is taken by its checksum, as go.sum would.
const (
	schemaModule   = "sigs.k8s.io/kubectl-validate@v0.0.4"
	schemaSum      = "h1:tGKuv0awYHn11Cb6KPsZKxUmHgavF46K3NvVH0Nse9U="
	kubernetesOf   = "1.30" // the newest in that module; preStop may sleep since 1.29
	schemasWithin  = "pkg/openapiclient/builtins/" + kubernetesOf
	kindOfASchema  = "x-kubernetes-group-version-kind"
	manifestsWhere = "../kubernetes/*.yaml"
)

// object is a part of a manifest, or of a schema.
type object = map[string]any

// schemaDir is where the files of the schemas are.
func schemaDir(t *testing.T) string {
	out, err := exec.Command("go", "mod", "download", "-json", schemaModule).Output()
	require.NoError(t, err, "%s", out)
	var m struct{ Dir, Sum string }
	require.NoError(t, json.Unmarshal(out, &m))
	require.Equal(t, schemaSum, m.Sum)
	return filepath.Join(m.Dir, schemasWithin)
}

// schemaOf is the schema of a kind, strict: a field that it does not name is refused.
func schemaOf(t *testing.T, dir, apiVersion, kind string) *jsonschema.Schema {
	path := filepath.Join(dir, "apis", apiVersion+".json")
	group, version, ok := strings.Cut(apiVersion, "/")
	if !ok {
		path, group, version = filepath.Join(dir, "api", apiVersion+".json"), "", apiVersion
	}
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	require.NoError(t, err)
	name := ""
	for of, schema := range doc.(object)["components"].(object)["schemas"].(object) {
		s := schema.(object)
		if _, isOpen := s["additionalProperties"]; s["properties"] != nil && !isOpen {
			s["additionalProperties"] = false
		}
		if kinds, _ := s[kindOfASchema].([]any); len(kinds) == 1 {
			if k := kinds[0].(object); k["group"] == group && k["version"] == version && k["kind"] == kind {
				name = of
			}
		}
	}
	require.NotEmpty(t, name, "there is no %s of %s", kind, apiVersion)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	require.NoError(t, c.AddResource("kubernetes.json", doc))
	schema, err := c.Compile("kubernetes.json#/components/schemas/" + name)
	require.NoError(t, err)
	return schema
}

// manifests are the texts of all, by kind and name.
func manifests(t *testing.T) map[string]string {
	paths, err := filepath.Glob(manifestsWhere)
	require.NoError(t, err)
	all := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, one := range strings.Split(string(text), "\n---\n") {
			o := decode(t, one)
			all[o["kind"].(string)+" "+o["metadata"].(object)["name"].(string)] = one
		}
	}
	return all
}

func decode(t *testing.T, text string) (o object) {
	require.NoError(t, yaml.Unmarshal([]byte(text), &o))
	return o
}

func validate(t *testing.T, dir, text string) error {
	o := decode(t, text)
	return schemaOf(t, dir, o["apiVersion"].(string), o["kind"].(string)).Validate(o)
}

func TestManifestsAreOfTheSchemasOfKubernetes(t *testing.T) {
	dir, all := schemaDir(t), manifests(t)
	require.Len(t, all, 7, "manifests")
	for name, text := range all {
		require.NoError(t, validate(t, dir, text), name)
	}
}

// What is wrong in the ways that people get it wrong is refused: else the test above would prove nothing.
func TestTheSchemasRefuseMistakes(t *testing.T) {
	dir, all := schemaDir(t), manifests(t)
	for _, c := range []struct{ manifest, is, mistake string }{
		{"Service broach-seeds", "clusterIP:", "clusterIp:"},
		{"Service broach-seeds", "port: 7000", `port: "7000"`},
		{"StatefulSet broach-seeds", "serviceName: broach-seeds", "serviceNames: broach-seeds"},
		{"StatefulSet broach-seeds", "replicas: 2", "replicas: two"},
		{"StatefulSet broach-seeds", "fieldRef:", "fieldref:"},
		{"PodDisruptionBudget broach-seeds", "maxUnavailable: 1", "maxUnavailable: [1]"},
		{"Deployment shop-gateway", "  selector: {matchLabels: {app: shop-gateway}}\n", ""},
		{"Deployment shop-gateway", "preStop: {sleep: {seconds: 5}}", "preStop: {sleep: 5}"},
		{"Deployment shop-gateway", "runAsUser: 65534", "runAsUser: nobody"},
		{"NetworkPolicy shop-gateway", "policyTypes: [Ingress]", "policyTypes: Ingress"},
	} {
		mistaken := strings.Replace(all[c.manifest], c.is, c.mistake, 1)
		require.NotEqual(t, all[c.manifest], mistaken, "%s has no %q", c.manifest, c.is)
		require.Error(t, validate(t, dir, mistaken), "%s: %s", c.manifest, c.mistake)
	}
}
