package checkout

import (
	"context"
	"debug/buildinfo"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// small is the program of this module that links soonest.
const small = "broach/bench/membership/processes"

// copyBroach copies the root module, without its tests.
func copyBroach(t *testing.T) string {
	to, root := t.TempDir(), filepath.Join("..", "..", "..")
	for _, pattern := range []string{"go.*", "*.go", "internal/*/*.go"} {
		names, err := fs.Glob(os.DirFS(root), pattern)
		require.NoError(t, err)
		for _, name := range names {
			copyFile(t, filepath.Join(root, name), filepath.Join(to, name))
		}
	}
	return to
}

func copyFile(t *testing.T, from, to string) {
	if strings.HasSuffix(from, "_test.go") {
		return
	}
	text, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	require.NoError(t, os.WriteFile(to, text, 0o644))
}

// edit puts new in the place of old, which has to be there.
func edit(t *testing.T, path, old, new string) {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), old)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o644))
}

// files are the contents of all files of a folder.
func files(t *testing.T, dir string) map[string]string {
	all := make(map[string]string)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	}))
	return all
}

func TestAProgramIsBuiltAgainstTheOtherCheckoutWhichStaysAsItIs(t *testing.T) {
	other, path := copyBroach(t), filepath.Join(t.TempDir(), "program")
	theirs, ours := files(t, other), files(t, filepath.Join("..", ".."))
	require.NoError(t, Build{Package: small, Broach: other, Layout: 1}.Make(context.Background(), path))
	require.Equal(t, theirs, files(t, other))
	require.Equal(t, ours, files(t, filepath.Join("..", "..")))

	info, err := buildinfo.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, info.String(), "=>\t"+other+"\t")
	require.Contains(t, info.String(), "-randlayout=1")
}

func TestTheOtherCheckoutMayRequireMore(t *testing.T) {
	other := copyBroach(t)
	edit(t, filepath.Join(other, "go.mod"), "go 1.26.0", "go 1.26.1")
	require.NoError(t, Build{Package: small, Broach: other}.Make(context.Background(),
		filepath.Join(t.TempDir(), "program")))
}

func TestWhatDoesNotCompileIsSaidInTheWordsOfTheCompiler(t *testing.T) {
	other := copyBroach(t)
	edit(t, filepath.Join(other, "watch.go"), ") Watch(", ") Observe(")
	err := Build{Package: small, Broach: other}.Make(context.Background(), filepath.Join(t.TempDir(), "program"))
	require.ErrorContains(t, err, small+" does not compile against "+other)
	require.ErrorContains(t, err, "n.Watch undefined")
}

func TestAFolderWithoutBroachIsAnError(t *testing.T) {
	err := Build{Package: small, Broach: t.TempDir()}.Make(context.Background(), filepath.Join(t.TempDir(), "program"))
	require.ErrorContains(t, err, "cannot be used as a checkout of broach")
}
