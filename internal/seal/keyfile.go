package seal

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// maxKeyFile is many times what MaxKeys and their comments need; a larger file is a wrong path.
const maxKeyFile = 1 << 16

// A KeyFile is what a file of keys says.
type KeyFile struct {
	Keys      [][]byte // not nil; NewRing checks their number and lengths
	IsExposed bool     // every user of the system may read it
}

// ReadKeyFile reads a file of one key a line, in base64. Empty lines are passed over, and those that begin with "#".
// An error names the line and never shows it.
func ReadKeyFile(path string) (KeyFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return KeyFile{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return KeyFile{}, err
	}
	if len(text) > maxKeyFile {
		return KeyFile{}, fmt.Errorf("larger than %d bytes", maxKeyFile)
	}
	keys, err := keysIn(text)
	return KeyFile{Keys: keys, IsExposed: isExposed(f)}, err
}

func keysIn(text []byte) ([][]byte, error) {
	keys := [][]byte{}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // some editors put a byte order mark before UTF-8
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: not base64", i+1)
		}
		if len(key) != KeySize {
			return nil, fmt.Errorf("line %d: a key of %d bytes, must have %d", i+1, len(key), KeySize)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// isExposed goes by the mode of a file, which says nothing on Windows.
func isExposed(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0
}
