package check

import (
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/stretchr/testify/require"
)

// The Dockerfile is read by what docker build reads it with, and its one command of the shell is run, so that an image
// holds what is built here. Where this process is root, that runs as it would in the image: as the user, in a directory
// in which nothing else is.
func TestTheDockerfileBuildsAStaticProgram(t *testing.T) {
	stages := parseDockerfile(t)
	require.Len(t, stages, 2)
	build, image := stages[0], stages[1]
	require.Equal(t, "scratch", image.BaseName)
	program := only[*instructions.CopyCommand](t, image)
	require.Equal(t, build.Name, program.From)
	require.Equal(t, []string{"/broach"}, program.SourcePaths)
	require.Equal(t, "/", program.DestPath)
	entry := only[*instructions.EntrypointCommand](t, image)
	require.Equal(t, []string{"/broach"}, []string(entry.CmdLine))
	require.False(t, entry.PrependShell, "SIGTERM comes to the program itself")
	require.Equal(t, "65534:65534", only[*instructions.UserCommand](t, image).User)
	root := t.TempDir()
	buildInto(t, build, root)
	requireRunsAlone(t, root)
}

// only is the one command of a kind in a stage.
func only[C instructions.Command](t *testing.T, stage instructions.Stage) (one C) {
	n := 0
	for _, c := range stage.Commands {
		if of, ok := c.(C); ok {
			one = of
			n++
		}
	}
	require.Equal(t, 1, n, "%T", one)
	return one
}

func parseDockerfile(t *testing.T) []instructions.Stage {
	f, err := os.Open("../Dockerfile")
	require.NoError(t, err)
	defer f.Close()
	parsed, err := parser.Parse(f)
	require.NoError(t, err)
	require.Empty(t, parsed.Warnings)
	stages, _, err := instructions.Parse(parsed.AST, nil)
	require.NoError(t, err)
	return stages
}

// buildInto does what the stage does, and puts what it builds into a directory: it copies the context, which is the
// repository without what .dockerignore names, and runs the command there. The toolchain is the one that there is, as
// in images of Go, which fetch no other.
func buildInto(t *testing.T, stage instructions.Stage, dir string) {
	source := only[*instructions.CopyCommand](t, stage)
	require.Equal(t, []string{"."}, source.SourcePaths)
	require.Equal(t, ".", source.DestPath, "where WORKDIR is")
	run := only[*instructions.RunCommand](t, stage)
	require.Empty(t, instructions.GetMounts(run), "what it builds depends on nothing but the context")
	command := run.CmdLine[0]
	require.Contains(t, command, " -o /broach ")
	c := exec.Command("sh", "-c", strings.Replace(command, "-o /broach ", "-o "+dir+"/broach ", 1))
	c.Dir = contextOf(t)
	c.Env = []string{"GOTOOLCHAIN=local"}
	for _, key := range []string{"PATH", "HOME", "GOCACHE", "GOMODCACHE", "GOPROXY"} {
		if value, isSet := os.LookupEnv(key); isSet {
			c.Env = append(c.Env, key+"="+value)
		}
	}
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// contextOf is what docker build sends of the repository.
func contextOf(t *testing.T) string {
	ignored, repository, to := ignoredByDocker(t), os.DirFS("../.."), t.TempDir()
	require.NoError(t, fs.WalkDir(repository, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if isLeftOut, err := ignored.MatchesOrParentMatches(file); isLeftOut || err != nil || d.IsDir() {
			return err
		}
		return copyFile(repository, file, filepath.Join(to, file))
	}))
	return to
}

func ignoredByDocker(t *testing.T) *patternmatcher.PatternMatcher {
	f, err := os.Open("../../.dockerignore")
	require.NoError(t, err)
	defer f.Close()
	patterns, err := ignorefile.ReadAll(f)
	require.NoError(t, err)
	ignored, err := patternmatcher.New(patterns)
	require.NoError(t, err)
	return ignored
}

func copyFile(from fs.FS, file, to string) error {
	text, err := fs.ReadFile(from, file)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}

// Neither history, which a worktree has elsewhere, nor secrets get into an image, nor into the cache of one.
func TestWhatDockerIsNotSent(t *testing.T) {
	project := loadCompose(t)
	left := []string{".git", ".git/HEAD"}
	for _, s := range project.Secrets {
		left = append(left, path.Join("deploy", filepath.Base(s.File)))
	}
	require.Len(t, left, 4)
	ignored := ignoredByDocker(t)
	for _, file := range left {
		isLeftOut, err := ignored.MatchesOrParentMatches(file)
		require.NoError(t, err)
		require.True(t, isLeftOut, file)
	}
}

func requireRunsAlone(t *testing.T, root string) {
	program, err := elf.Open(filepath.Join(root, "broach"))
	require.NoError(t, err)
	defer program.Close()
	for _, p := range program.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type, "it needs libraries, of which the image has none")
	}
	if os.Geteuid() != 0 {
		t.Log("not root: the program is not run in a root directory of its own")
		return
	}
	require.NoError(t, os.Chmod(root, 0o755))
	c := exec.Command("/broach", "version")
	c.Dir, c.Env = "/", []string{}
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "broach")
}
