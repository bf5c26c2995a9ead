package seal

import (
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// keyFile writes a file of keys that only its owner may read.
func keyFile(t *testing.T, text string) (path string) {
	path = filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestReadKeyFile(t *testing.T) {
	a, b := strings.Repeat("a", 31)+"1", strings.Repeat("b", 31)+"2"
	textA, textB := base64.StdEncoding.EncodeToString([]byte(a)), base64.StdEncoding.EncodeToString([]byte(b))
	both := [][]byte{[]byte(a), []byte(b)}
	tests := map[string]struct {
		text string
		want [][]byte
	}{
		"two":              {textA + "\n" + textB + "\n", both},
		"no last newline":  {textA + "\n" + textB, both},
		"Windows newlines": {"# of the shop\r\n" + textA + "\r\n\r\n" + textB + "\r\n", both},
		"spaces, comments": {"  " + textA + "\t\n   # the old one\n" + textB + " ", both},
		"byte order mark":  {"\xef\xbb\xbf" + textA + "\n" + textB, both},
		"empty":            {"", [][]byte{}},
		"comments only":    {"# none\n", [][]byte{}},
	}
	for name, tt := range tests {
		got, err := ReadKeyFile(keyFile(t, tt.text))
		require.NoError(t, err, name)
		require.Equal(t, KeyFile{Keys: tt.want}, got, name)
	}
}

func TestMistakesOfAKeyFileNameTheLineAndShowNothing(t *testing.T) {
	short := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", 31)))
	tests := map[string]string{
		"# first\nnot base64!":                 "line 2: not base64",
		"\r\n" + short:                         "line 2: a key of 31 bytes, must have 32",
		"AAAA # mine":                          "line 1: not base64",
		strings.Repeat("\n", maxKeyFile) + "x": "larger than 65536 bytes",
	}
	for text, want := range tests {
		_, err := ReadKeyFile(keyFile(t, text))
		require.EqualError(t, err, want)
	}
	_, err := ReadKeyFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = ReadKeyFile(t.TempDir())
	require.Error(t, err)
}

func TestAFileThatEveryUserMayReadIsExposed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there modes say nothing")
	}
	path := keyFile(t, "")
	for mode, want := range map[fs.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o404: true} {
		require.NoError(t, os.Chmod(path, mode))
		got, err := ReadKeyFile(path)
		require.NoError(t, err)
		require.Equal(t, want, got.IsExposed, "%v", mode)
	}
}
