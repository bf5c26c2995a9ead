package checkout

import (
	"os/exec"
	"strings"
)

const (
	unknown = "unknown"    // the commit of a folder of which git knows nothing
	changed = " + changes" // is behind the commit of a folder that has other files or files of its own
)

// Commit names what is checked out in a folder.
func Commit(dir string) string {
	hash, err := git(dir, "rev-parse", "--short=12", "HEAD")
	if err != nil {
		return unknown
	}
	if differs, err := git(dir, "--no-optional-locks", "status", "--porcelain"); err != nil || differs != "" {
		return hash + changed
	}
	return hash
}

// IsSame says that two commits are the same code for sure.
func IsSame(a, b string) bool { return a == b && a != unknown && !strings.HasSuffix(a, changed) }

func git(dir string, args ...string) (string, error) {
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}
