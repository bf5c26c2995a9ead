package metrics

import (
	"flag"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

var needed = flag.Bool("prometheus", false, "fail where a program of Prometheus is missing, instead of skipping")

// program finds one of Prometheus, as Debian has them in the package of that name.
func program(t *testing.T, name string) string {
	path, err := exec.LookPath(name)
	if err != nil && !*needed {
		t.Skipf("%v: apt-get install prometheus has it", err)
	}
	require.NoError(t, err)
	return path
}

func promtool(t *testing.T, stdin string, args ...string) {
	cmd := exec.CommandContext(t.Context(), program(t, "promtool"), args...)
	if stdin != "" {
		f, err := os.Open(stdin)
		require.NoError(t, err)
		defer f.Close()
		cmd.Stdin = f
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestPromtoolTakesTheExposition(t *testing.T) {
	promtool(t, "testdata/exposition.txt", "check", "metrics")
	promtool(t, "testdata/exposition_per_peer.txt", "check", "metrics")
}

func TestTheAlertsSayWhatTheyShould(t *testing.T) {
	promtool(t, "", "check", "rules", "contrib/alerts.yml")
	promtool(t, "", "test", "rules", "contrib/alerts_test.yml")
}
