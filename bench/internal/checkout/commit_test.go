package checkout

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommit(t *testing.T) {
	dir := t.TempDir()
	require.Equal(t, unknown, Commit(dir))
	for _, args := range [][]string{{"init", "-q"}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "one"}} {
		out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	clean := Commit(dir)
	require.Regexp(t, "^[0-9a-f]{12}$", clean)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "new.go"), nil, 0o644))
	require.Equal(t, clean+changed, Commit(dir), "a file that git was not told of is code too")
}

func TestOnlyCleanCommitsAreTheSame(t *testing.T) {
	require.True(t, IsSame("0123", "0123"))
	require.False(t, IsSame("0123", "4567"))
	require.False(t, IsSame("0123"+changed, "0123"+changed), "the changes may differ")
	require.False(t, IsSame(unknown, unknown))
}
