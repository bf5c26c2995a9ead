package rules

import (
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// A screen that is divided in two shows lines of 120 columns, and a reader keeps a file of 400 lines in mind.
const (
	columnsMost = 120
	linesMost   = 400
)

func TestFilesAndLinesAreShort(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		requireShort(t, path, text)
		files++
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 100, "the walk has found the code")
}

// requireShort counts a tab as four columns.
func requireShort(t *testing.T, path string, text []byte) {
	lines := strings.Split(string(text), "\n")
	if len(lines)-1 > linesMost {
		t.Errorf("%s has %d lines, of %d at most", path, len(lines)-1, linesMost)
	}
	for i, line := range lines {
		columns := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    "))
		if columns > columnsMost {
			t.Errorf("%s:%d has %d columns, of %d at most", path, i+1, columns, columnsMost)
		}
	}
}

// The root is what a user reads, and in it every function may touch every field. So it has room for the public face and
// what a node puts together: 40 files of code and 12 of tests when it was divided into rooms, and 12 for what has come
// since.
const rootMost = 40 + 12 + 12

func TestTheRootIsAFaceAndNoHall(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	require.Contains(t, paths, "node.go", "the root has been found")
	require.LessOrEqual(t, len(paths), rootMost, "files in the root: what needs nothing of a node is a room in"+
		" internal, and a test that needs no inside of one stands in internal/clustertest")
}

// A room in internal is read as a whole, by its comment and then file by file. What has more files is two rooms.
const roomMost = 25

func TestRoomsAreSmall(t *testing.T) {
	for dir := range rooms {
		files := 0
		forEachFile(t, dir, func(string, *ast.File) { files++ })
		if strings.HasPrefix(dir, "internal/") {
			require.LessOrEqual(t, files, roomMost, "files of %s, without tests", dir)
		}
	}
}

// Who opens a room wants to know what it is, what it never does, and in which order to read its files. That takes ten
// lines, and more than forty nobody reads; wire draws the layout of a datagram besides.
func TestRoomsSayWhatTheyAre(t *testing.T) {
	for dir := range rooms {
		if !strings.HasPrefix(dir, "internal/") {
			continue
		}
		lines := 0
		forEachFile(t, dir, func(_ string, f *ast.File) {
			if f.Doc != nil {
				lines = max(lines, strings.Count(f.Doc.Text(), "\n"))
			}
		})
		require.GreaterOrEqual(t, lines, 10, "lines of the package comment of %s", dir)
		if dir != "internal/wire" {
			require.LessOrEqual(t, lines, 40, "lines of the package comment of %s", dir)
		}
	}
}
