package check

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/stretchr/testify/require"
)

// What compose starts, without Docker: each service in a network namespace of its own on the network of the project, as
// process 1, as the user of the image, in a root directory that cannot be written to and has the program alone, beside
// what Docker puts into each: hosts and secrets.

// container is a service that runs.
type container struct {
	t       *testing.T
	service types.ServiceConfig
	user    string
	root    string
	space   string // network namespace
	addr    string
	entry   []string
	process *exec.Cmd
	log     *os.File
}

const (
	inside  = "65534:65534" // the user whom compose_test and dockerfile_test find in the files
	patient = 30 * time.Second
)

// TestTheServicesOfComposeRun starts all of them, asks them what the health check asks, and stops them as Docker does.
func TestTheServicesOfComposeRun(t *testing.T) {
	lan := newLAN(t)
	stages := parseDockerfile(t)
	build, image := stages[0], stages[1]
	entry := only[*instructions.EntrypointCommand](t, image).CmdLine
	program := t.TempDir()
	buildInto(t, build, program)
	project := loadCompose(t)

	all, hosts := map[string]*container{}, ""
	for i, name := range project.ServiceNames() {
		c := &container{t: t, service: project.Services[name], entry: entry, addr: fmt.Sprintf("10.77.0.%d", 2+i),
			user: only[*instructions.UserCommand](t, image).User}
		require.Equal(t, inside, c.user)
		c.space = lan.join(name, c.addr)
		all[name], hosts = c, hosts+c.addr+" "+name+"\n"
	}
	secrets := secretsOf(t, program)
	for _, c := range all {
		c.fill(program, hosts, secrets)
		c.start()
	}
	for _, c := range all {
		c.requireHealthy()
		c.requireAlone()
	}
	gateway, seed := all["gateway"], all["seed2"]
	gateway.until("all are members", gateway.sees(map[string]int{"alive": 3}))

	url := "http://" + gateway.addr + ":18090"
	require.Equal(t, "200", lan.status(url+"/readyz"))
	require.Equal(t, "401", lan.status("--json", "[]", url+"/rpc/shop.price"))
	require.Equal(t, "404", lan.status("--json", "[]", "-H", "Authorization: Bearer "+token, url+"/rpc/shop.price"))

	seed.stop()
	gateway.until("it has left", gateway.sees(map[string]int{"alive": 2, "left": 1}))
	seed.start()
	seed.requireHealthy()
	gateway.until("it is back", gateway.sees(map[string]int{"alive": 3}))
	for _, c := range all {
		c.stop()
	}
}

const token = "0123456789abcdef0123456789abcdef"

// secretsOf are the files that the comment of compose.yaml says have to be made.
func secretsOf(t *testing.T, program string) map[string]string {
	keys := filepath.Join(t.TempDir(), "keys")
	out, err := exec.Command(filepath.Join(program, "broach"), "keygen", keys).CombinedOutput()
	require.NoError(t, err, "%s", out)
	key, err := os.ReadFile(keys)
	require.NoError(t, err)
	return map[string]string{"keys": string(key), "tokens": token + " web\n"}
}

// fill makes the root directory.
func (c *container) fill(program, hosts string, secrets map[string]string) {
	c.root = c.t.TempDir()
	require.NoError(c.t, os.Chmod(c.root, 0o755))
	from, err := os.Open(filepath.Join(program, "broach"))
	require.NoError(c.t, err)
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(c.root, "broach"), os.O_CREATE|os.O_WRONLY, 0o755)
	require.NoError(c.t, err)
	_, err = io.Copy(to, from)
	require.NoError(c.t, err)
	require.NoError(c.t, to.Close())
	c.write("etc/hosts", hosts, 0o644)
	for _, s := range c.service.Secrets {
		c.write("run/secrets/"+s.Source, secrets[s.Source], 0o400)
		require.NoError(c.t, os.Chown(filepath.Join(c.root, "run/secrets", s.Source), 65534, 65534))
	}
}

func (c *container) write(path, text string, mode os.FileMode) {
	path = filepath.Join(c.root, path)
	require.NoError(c.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(c.t, os.WriteFile(path, []byte(text), mode))
}

// enter makes the root directory what the service says, and becomes the program there. The shell is process 1 until
// then, in namespaces of its own.
const enter = `mount --make-rprivate / && mount --bind "$0" "$0" && mount -o remount,bind,$MODE "$0" &&
exec env -i $VARS "$(command -v chroot)" --userspec=$RUNAS --groups= "$0" "$@"`

// command is one that runs in the container.
func (c *container) command(args ...string) *exec.Cmd {
	mode, vars := "rw", []string{}
	if c.service.ReadOnly {
		mode = "ro"
	}
	for key, value := range c.service.Environment {
		vars = append(vars, key+"="+*value)
	}
	slices.Sort(vars)
	run := exec.Command("ip", append([]string{"netns", "exec", c.space, "sh", "-c", enter, c.root}, args...)...)
	run.Env = append(os.Environ(), "MODE="+mode, "RUNAS="+c.user, "VARS="+strings.Join(vars, " "))
	run.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	return run
}

// start runs the command of the service.
func (c *container) start() {
	log, err := os.Create(filepath.Join(c.t.TempDir(), "log"))
	require.NoError(c.t, err)
	c.log, c.process = log, c.command(append(slices.Clone(c.entry), c.service.Command...)...)
	c.process.Stdout, c.process.Stderr = log, log
	require.NoError(c.t, c.process.Start())
	c.t.Cleanup(func() {
		_ = c.process.Process.Kill()
		_ = c.process.Wait()
		_ = log.Close()
	})
}

// said is what it has written.
func (c *container) said() string {
	b, _ := os.ReadFile(c.log.Name())
	return string(b)
}

// until asks again and again, as Docker does for a health check.
func (c *container) until(what string, isSo func() bool) {
	c.t.Helper()
	for end := time.Now().Add(patient); !isSo(); time.Sleep(100 * time.Millisecond) {
		require.True(c.t, time.Now().Before(end), "%s: not %s; it said:\n%s", c.service.Name, what, c.said())
	}
}

func (c *container) requireHealthy() {
	c.t.Helper()
	check := c.service.HealthCheck.Test
	require.Equal(c.t, "CMD", check[0], "there is no shell")
	c.until("healthy", func() bool { return c.command(check[1:]...).Run() == nil })
}

// requireAlone requires that nothing is left of root's powers, and that nothing can be written.
func (c *container) requireAlone() {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.process.Process.Pid))
	require.NoError(c.t, err)
	require.Regexp(c.t, `(?m)^Uid:\s65534\s65534\s65534\s65534$`, string(status))
	require.Regexp(c.t, `(?m)^Groups:\s*(65534)?\s*$`, string(status))
	require.Regexp(c.t, `(?m)^CapEff:\s0+$`, string(status))
	require.Regexp(c.t, `(?m)^NSpid:\s\d+\s1$`, string(status), "signals come to the program itself")
	out, err := c.command("/broach", "keygen", "/keys").CombinedOutput()
	require.Error(c.t, err)
	require.Contains(c.t, string(out), "read-only file system")
}

// sees reports whether its member believes so many to be in each state.
func (c *container) sees(want map[string]int) func() bool {
	return func() bool {
		out, err := c.command("/broach", "members", "-s", "127.0.0.1:7000", "-o", "json").Output()
		if err != nil {
			return false
		}
		var list []struct{ State, Addr string }
		require.NoError(c.t, json.Unmarshal(out, &list), "%s", out)
		got := map[string]int{}
		for _, m := range list {
			require.Contains(c.t, m.Addr, "10.77.0.", "an address that all reach")
			got[m.State]++
		}
		return fmt.Sprint(got) == fmt.Sprint(want)
	}
}

// stop sends what Docker sends, and gives as much time.
func (c *container) stop() {
	c.t.Helper()
	require.Empty(c.t, c.service.StopSignal, "SIGTERM")
	late := time.AfterFunc(time.Duration(*c.service.StopGracePeriod), func() { _ = c.process.Process.Kill() })
	defer late.Stop()
	require.NoError(c.t, c.process.Process.Signal(syscall.SIGTERM))
	require.NoError(c.t, c.process.Wait(), "%s: it said:\n%s", c.service.Name, c.said())
}
