// Package checkout builds the programs of this module also against another checkout of broach. It writes to neither of
// the two.
package checkout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// endPatience is how long the go command may take to end before it is killed.
const endPatience = 10 * time.Second

// A Build says which program to build, and how. The process has to run in a folder of this module.
type Build struct {
	Package string // of this module
	Broach  string // absolute path of the other checkout; "" is the one that this module belongs to
	Layout  int    // number of a random order of the program's functions; 0 is the order of the linker
}

// Make writes the program to a file. Other files that it needs for that have the same name with something behind it.
func (b Build) Make(ctx context.Context, path string) error {
	args := []string{"build", "-buildvcs=false", "-o", path}
	if b.Layout > 0 {
		args = append(args, fmt.Sprintf("-ldflags=-randlayout=%d", b.Layout))
	}
	if b.Broach != "" {
		mod, err := b.writeModFile(ctx, path)
		if err != nil {
			return fmt.Errorf("%s cannot be used as a checkout of broach: %w", b.Broach, err)
		}
		args = append(args, "-mod=mod", "-modfile="+mod) // mod: what the other checkout requires goes into that file
		args = append(args, "-tags="+b.lacks())
	}
	if _, err := goTool(ctx, append(args, b.Package)...); err != nil {
		return fmt.Errorf("%s does not compile%s:\n%w", b.Package, b.against(), err)
	}
	return nil
}

func (b Build) against() string {
	if b.Broach == "" {
		return ""
	}
	return " against " + b.Broach
}

// lacks names what the other checkout does not have yet, as build tags: what needs it is left out, or done as it was
// done before.
func (b Build) lacks() string {
	var tags []string
	for file, tag := range map[string]string{"lent.go": "nolent", "stream.go": "nostream"} {
		if _, err := os.Stat(filepath.Join(b.Broach, file)); err != nil {
			tags = append(tags, tag)
		}
	}
	return strings.Join(tags, ",")
}

// writeModFile writes this module's go.mod with the other checkout in it, and beside it the sums of both.
func (b Build) writeModFile(ctx context.Context, path string) (string, error) {
	own, err := goTool(ctx, "env", "GOMOD")
	if err != nil {
		return "", err
	}
	mod, sum := path+".mod", path+".sum"
	theirs := filepath.Join(b.Broach, "go.sum")
	if err := errors.Join(join(mod, own), join(sum, strings.TrimSuffix(own, ".mod")+".sum", theirs)); err != nil {
		return "", err
	}
	_, err = goTool(ctx, "mod", "edit", "-replace=broach="+b.Broach, mod)
	return mod, err
}

// join writes the files from one behind the other.
func join(to string, from ...string) error {
	var all []byte
	for _, name := range from {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		all = append(all, text...)
	}
	return os.WriteFile(to, all, 0o644)
}

// goTool runs the go command and returns what it prints. An error has its words.
func goTool(ctx context.Context, args ...string) (string, error) {
	var words bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOWORK=off") // a workspace would decide against which broach
	cmd.Stderr = &words
	// which waits for the linker; a kill would not
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = endPatience
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s%w", words.Bytes(), err)
	}
	return strings.TrimSpace(string(out)), nil
}
