package check

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
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
	buildInto(t, only[*instructions.RunCommand](t, build).CmdLine[0], root)
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

// buildInto runs the command in the root of the repository, and puts what it builds into a directory.
func buildInto(t *testing.T, command, dir string) {
	require.Contains(t, command, " -o /broach ")
	c := exec.Command("sh", "-c", strings.Replace(command, "-o /broach ", "-o "+dir+"/broach ", 1))
	c.Dir = "../.."
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
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
