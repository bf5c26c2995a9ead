package members

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"broach"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var networksNeeded = flag.Bool("networks", false,
	"fail, rather than skip, where this process cannot make networks of the kernel with firewalls")

// lacking skips a test where the system lacks what it needs.
func lacking(t *testing.T, what string, err error) {
	t.Helper()
	if *networksNeeded {
		t.Fatalf("there is %s: %v", what, err)
	}
	t.Skipf("there is %s: %v", what, err)
}

// A space is a network namespace of the kernel: a host of its own, as far as the network goes. What is done in it is
// done on a thread of its own, which ends with it.
type space struct {
	t    *testing.T
	file *os.File
}

// newSpace makes one, or skips the test where the system does not let this process do so.
func newSpace(t *testing.T) *space {
	if _, err := exec.LookPath("ip"); err != nil {
		lacking(t, "no ip to lay a cable with", err)
	}
	s := &space{t: t}
	var err error
	onThread(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			s.file, err = os.Open("/proc/thread-self/ns/net")
		}
	})
	if err != nil {
		lacking(t, "no network namespace for this process", err)
	}
	t.Cleanup(func() { s.file.Close() })
	s.run("ip", "link", "set", "lo", "up")
	return s
}

// onThread runs f on a thread that nobody uses afterwards.
func onThread(f func()) {
	donec := make(chan struct{}) // closed when f is over
	go func() {
		runtime.LockOSThread()
		defer close(donec)
		f()
	}()
	<-donec
}

// at runs f in the namespace.
func (s *space) at(f func()) {
	var err error
	onThread(func() {
		if err = unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err == nil {
			f()
		}
	})
	require.NoError(s.t, err)
}

func (s *space) run(command ...string) {
	s.t.Helper()
	var out []byte
	var err error
	s.at(func() { out, err = exec.Command(command[0], command[1:]...).CombinedOutput() })
	require.NoError(s.t, err, "%q: %s", command, out)
}

// firewall adds a rule, or skips the test where there is no iptables. It waits for others that are adding theirs.
func (s *space) firewall(rule ...string) {
	s.t.Helper()
	if _, err := exec.LookPath("iptables"); err != nil {
		lacking(s.t, "no iptables to make a firewall with", err)
	}
	s.run(append([]string{"iptables", "-w"}, rule...)...)
}

// wireTo lays a cable to another: an interface in each.
func (s *space) wireTo(other *space, here, there string) {
	s.run("ip", "link", "add", here, "type", "veth", "peer", "name", "other")
	s.run("ip", "link", "set", "other", "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), other.file.Fd()))
	other.run("ip", "link", "set", "other", "name", there)
	s.run("ip", "link", "set", here, "up")
	other.run("ip", "link", "set", there, "up")
}

// address gives an interface addresses.
func (s *space) address(iface string, addrs ...string) {
	for _, addr := range addrs {
		s.run("ip", "addr", "add", addr, "dev", iface, "nodad")
	}
}

// start starts a node. The socket by which it is a member is in the namespace; one that it opens later, to ask a seed
// that does not answer from another port, is not.
func (s *space) start(cfg broach.Config) (n *broach.Node) {
	var err error
	s.at(func() { n, err = broach.Start(cfg) })
	require.NoError(s.t, err)
	s.t.Cleanup(func() { n.Close() })
	return n
}
