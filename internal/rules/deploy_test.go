package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"
)

// What deploy/ says twice, or the code and deploy/, is the same: ports, labels, names of variables, of flags and of
// files. That they are of the schemas of Kubernetes and of compose is tested in deploy/check.

// object is a part of a manifest.
type object map[string]any

// in is the object that lies within others, none where there is none.
func (o object) in(path ...string) object {
	for _, name := range path {
		o, _ = o[name].(object)
	}
	return o
}

// first is the first object of a list.
func (o object) first(name string) object {
	list, _ := o[name].([]any)
	if len(list) == 0 {
		return nil
	}
	one, _ := list[0].(object)
	return one
}

// manifests are those of Kubernetes, by kind and name.
func manifests(t *testing.T) map[string]object {
	paths, err := filepath.Glob("deploy/kubernetes/*.yaml")
	require.NoError(t, err)
	all := map[string]object{}
	for _, path := range paths {
		for _, text := range strings.Split(read(t, path), "\n---\n") {
			var o object
			require.NoError(t, yaml.Unmarshal([]byte(text), &o), path)
			require.NotEmpty(t, o["apiVersion"], path)
			name, _ := o.in("metadata")["name"].(string)
			all[o["kind"].(string)+" "+name] = o
		}
	}
	return all
}

func read(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func TestManifestsAgree(t *testing.T) {
	all := manifests(t)
	require.Len(t, all, 7, "manifests")
	udp := object{"protocol": "UDP", "port": 7000}
	seeds := all["Service broach-seeds"].in("spec")
	require.Equal(t, []any{"None", true}, []any{seeds["clusterIP"], seeds["publishNotReadyAddresses"]})
	require.Equal(t, "broach-seeds", all["StatefulSet broach-seeds"].in("spec")["serviceName"])
	require.Subset(t, seeds.first("ports"), udp)
	for _, name := range []string{"StatefulSet broach-seeds", "Deployment shop-gateway"} {
		spec := all[name].in("spec")
		labels := spec.in("template", "metadata", "labels")
		require.Subset(t, labels, spec.in("selector", "matchLabels"), name)
		require.Equal(t, "member", labels["broach"], "%s: the network policy lets it", name)
		_, app, _ := strings.Cut(name, " ")
		require.Subset(t, labels, all["Service "+app].in("spec", "selector"), name)
		requireMember(t, name, spec.in("template", "spec").first("containers"))
	}
	require.Subset(t, all["StatefulSet broach-seeds"].in("spec", "template", "metadata", "labels"),
		all["PodDisruptionBudget broach-seeds"].in("spec", "selector", "matchLabels"))
	policy := all["NetworkPolicy broach-members"].in("spec")
	require.Equal(t, udp, policy.first("ingress").first("ports"), "both ways")
	require.Equal(t, udp, policy.first("egress").first("ports"), "both ways")
}

// requireMember looks at a container in which a node runs.
func requireMember(t *testing.T, name string, c object) {
	require.Equal(t, "broach:latest", c["image"], name)
	var variables []string
	values := map[string]any{}
	for _, one := range c["env"].([]any) {
		v := one.(object)
		variables = append(variables, v["name"].(string))
		values[v["name"].(string)] = v["value"]
	}
	require.Equal(t, []string{"POD_IP", "BROACH_SEEDS", "BROACH_ADDR", "BROACH_KEYS_FILE"}, variables,
		"%s: what is put into another stands above it", name)
	require.Equal(t, []any{"broach-seeds:7000", "$(POD_IP):7000", "/keys/keys"},
		[]any{values["BROACH_SEEDS"], values["BROACH_ADDR"], values["BROACH_KEYS_FILE"]}, name)
	require.Contains(t, c["args"], "$(POD_IP):7000", name)
	require.Contains(t, c["ports"], object{"name": "broach", "protocol": "UDP", "containerPort": 7000}, name)
	require.Contains(t, c["volumeMounts"], object{"name": "keys", "mountPath": "/keys", "readOnly": true}, name)
}

func TestTheComposeFileAgrees(t *testing.T) {
	var file object
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "deploy/compose.yaml")), &file))
	services := file.in("services")
	require.Len(t, services, 3)
	for name := range services {
		s := services.in(name)
		require.Equal(t, "broach", s["image"], name)
		env := s.in("environment")
		require.Equal(t, object{"BROACH_SEEDS": "seed1:7000,seed2:7000", "BROACH_ADDR": "0.0.0.0:7000",
			"BROACH_KEYS_FILE": "/run/secrets/keys"}, env, name)
		require.Contains(t, s["command"], "0.0.0.0:7000", name)
		for _, secret := range s["secrets"].([]any) {
			require.Contains(t, file.in("secrets"), secret, name)
		}
	}
	require.Equal(t, []any{"127.0.0.1:18090:18090"}, services.in("gateway")["ports"])
	require.Contains(t, services.in("gateway")["command"], "0.0.0.0:18090")
}

var (
	variableName = regexp.MustCompile(`BROACH_[A-Z_]*[A-Z]`)
	flagName     = regexp.MustCompile(`--([a-z-]+)`)
)

// Whoever copies a line of these has variables and flags that there are.
func TestDeployNamesWhatThereIs(t *testing.T) {
	environment, commands := read(t, "config_env.go"), ""
	sources, err := filepath.Glob("cmd/broach/*.go")
	require.NoError(t, err)
	for _, path := range sources {
		commands += read(t, path)
	}
	paths, err := filepath.Glob("deploy/*/*")
	require.NoError(t, err)
	for _, path := range append(paths, "deploy/compose.yaml") {
		text := read(t, path)
		for _, name := range variableName.FindAllString(text, -1) {
			require.Contains(t, environment, `"`+name+`"`, path)
		}
		if filepath.Dir(path) == "deploy/check" {
			continue // its flags are those of other tools
		}
		for _, name := range flagName.FindAllStringSubmatch(text, -1) {
			require.Contains(t, commands, `, "`+name[1]+`", `, path)
		}
	}
	version := regexp.MustCompile(`go (1\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]
	require.Contains(t, read(t, "deploy/Dockerfile"), "FROM golang:"+version+" AS build")
	require.Contains(t, read(t, "deploy/Dockerfile"), "-o /broach .")
	require.Contains(t, read(t, "deploy/Dockerfile"), "COPY --from=build /broach /\n")
}
