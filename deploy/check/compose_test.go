package check

import (
	"os"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

// The compose file is read by what docker compose reads it with: it knows the schema, and what belongs together.
func load(t *testing.T, text string) (*types.Project, error) {
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  "..",
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(text)}},
	}, func(o *loader.Options) { o.SetProjectName("check", true) })
}

func loadCompose(t *testing.T) *types.Project {
	text, err := os.ReadFile("../compose.yaml")
	require.NoError(t, err)
	p, err := load(t, string(text))
	require.NoError(t, err)
	return p
}

func TestComposeReadsTheFile(t *testing.T) {
	p := loadCompose(t)
	require.Equal(t, []string{"gateway", "seed1", "seed2"}, p.ServiceNames())
	for _, s := range p.Services {
		require.Empty(t, s.NetworkMode, "all are on the network of the project, where names lead to them")
		require.Equal(t, "/run/secrets/keys", *s.Environment["BROACH_KEYS_FILE"], s.Name)
		require.NotNil(t, s.StopGracePeriod, s.Name)
	}
	require.FileExists(t, p.Services["seed1"].Build.Context+"/"+p.Services["seed1"].Build.Dockerfile)
}

// What is wrong is refused: else the test above would prove nothing.
func TestComposeRefusesMistakes(t *testing.T) {
	for _, mistake := range []string{
		"services: {a: {image: b, enviroment: {}}}",
		"services: {a: {image: b, secrets: [keys]}}",
		"services: {a: {image: b, ports: [\"127.0.0.1:x:1\"]}}",
		"services: {a: {image: b, stop_grace_period: long}}",
		"services: {a: {}}",
	} {
		_, err := load(t, mistake)
		require.Error(t, err, mistake)
	}
}
