package checkout

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Pair is the present checkout of broach, and another one. The zero Pair has no other.
type Pair struct {
	Dir         string // absolute path of the other
	now, before string // commits
}

// NewPair looks at what is checked out in the folder that the process runs in, and in another; "" is no other.
func NewPair(dir string) (Pair, error) {
	if dir == "" {
		return Pair{}, nil
	}
	dir, err := filepath.Abs(dir)
	return Pair{dir, commit("."), commit(dir)}, err
}

// String says which commits are compared, in a paragraph of a page; "" if there is no other.
func (p Pair) String() string {
	if p.Dir == "" {
		return ""
	}
	text := fmt.Sprintf("\nNow is commit %s, before is %s.\n", p.now, p.before)
	if isSame(p.now, p.before) {
		text += "They are the same: what differs between them differs by chance.\n"
	}
	return text
}

const (
	unknown = "unknown"    // the commit of a folder of which git knows nothing
	changed = " + changes" // is behind the commit of a folder that has other files or files of its own
)

// commit names what is checked out in a folder.
func commit(dir string) string {
	hash, err := git(dir, "rev-parse", "--short=12", "HEAD")
	if err != nil {
		return unknown
	}
	if differs, err := git(dir, "--no-optional-locks", "status", "--porcelain"); err != nil || differs != "" {
		return hash + changed
	}
	return hash
}

// isSame says that two commits are the same code for sure.
func isSame(a, b string) bool { return a == b && a != unknown && !strings.HasSuffix(a, changed) }

func git(dir string, args ...string) (string, error) {
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}
