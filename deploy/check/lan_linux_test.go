package check

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lan is the network of a project: a namespace with a bridge, to which each container's namespace has a cable. The host
// is at the bridge.
type lan struct {
	t    *testing.T
	host string
}

// newLAN skips the test where the system does not let this process make one.
func newLAN(t *testing.T) *lan {
	if os.Geteuid() != 0 {
		t.Skip("not root: there are no namespaces to run containers in")
	}
	for _, tool := range []string{"ip", "curl", "chroot", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	l := &lan{t: t, host: fmt.Sprintf("broach-check-%d", os.Getpid())}
	if out, err := exec.Command("ip", "netns", "add", l.host).CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %s", out)
	}
	t.Cleanup(func() { l.run("ip", "netns", "delete", l.host) })
	l.run("ip", "-n", l.host, "link", "add", "bridge", "type", "bridge")
	l.run("ip", "-n", l.host, "address", "add", "10.77.0.1/24", "dev", "bridge")
	l.run("ip", "-n", l.host, "link", "set", "bridge", "up")
	return l
}

func (l *lan) run(command ...string) {
	l.t.Helper()
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	require.NoError(l.t, err, "%s: %s", strings.Join(command, " "), out)
}

// join makes a namespace with an address in the network, and a loopback.
func (l *lan) join(name, addr string) (space string) {
	l.t.Helper()
	space = l.host + "-" + name
	l.run("ip", "netns", "add", space)
	l.t.Cleanup(func() { l.run("ip", "netns", "delete", space) })
	l.run("ip", "-n", l.host, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", space)
	l.run("ip", "-n", l.host, "link", "set", name, "master", "bridge", "up")
	l.run("ip", "-n", space, "address", "add", addr+"/24", "dev", "eth0")
	l.run("ip", "-n", space, "link", "set", "eth0", "up")
	l.run("ip", "-n", space, "link", "set", "lo", "up")
	return space
}

// status is the number that a request of the host is answered with.
func (l *lan) status(request ...string) string {
	l.t.Helper()
	command := []string{"netns", "exec", l.host, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"}
	out, err := exec.Command("ip", append(command, request...)...).Output()
	require.NoError(l.t, err)
	return string(out)
}
