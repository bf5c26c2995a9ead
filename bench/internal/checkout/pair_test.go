package checkout

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestACommitIsNamedWithWhatWasChanged(t *testing.T) {
	dir := t.TempDir()
	require.Equal(t, unknown, commit(dir))
	for _, args := range [][]string{
		{"init", "-q"}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "one"},
	} {
		out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	clean := commit(dir)
	require.Regexp(t, "^[0-9a-f]{12}$", clean)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "new.go"), nil, 0o644))
	require.Equal(t, clean+changed, commit(dir), "a file that git was not told of is code too")
}

func TestOnlyCleanCommitsAreTheSame(t *testing.T) {
	const chance = "differs by chance"
	require.Contains(t, Pair{"x", "0123", "0123"}.String(), chance)
	require.NotContains(t, Pair{"x", "0123", "4567"}.String(), chance)
	require.NotContains(t, Pair{"x", "0123" + changed, "0123" + changed}.String(), chance, "the changes may differ")
	require.NotContains(t, Pair{"x", unknown, unknown}.String(), chance)
}

func TestWithoutAnotherCheckoutThereIsNothingToSay(t *testing.T) {
	p, err := NewPair("")
	require.NoError(t, err)
	require.Empty(t, p.String())
}

func TestTheOtherCheckoutIsFoundFromAnywhere(t *testing.T) {
	here, err := filepath.Abs(".")
	require.NoError(t, err)
	p, err := NewPair(".")
	require.NoError(t, err)
	require.Equal(t, here, p.Dir)
}
