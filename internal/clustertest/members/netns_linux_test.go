package members

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A cable is one between two network namespaces of the kernel, each with one node's end of it. All that is done in a
// namespace is done on a thread of its own, which ends with it.
type cable struct {
	t    *testing.T
	ends [2]*os.File // the namespaces
}

// newCable lays one, or skips the test where the system does not let this process do so.
func newCable(t *testing.T) *cable {
	c := &cable{t: t}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip to lay a cable with:", err)
	}
	for i := range c.ends {
		onThread(func() {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return
			}
			c.ends[i], _ = os.Open("/proc/thread-self/ns/net")
		})
		if c.ends[i] == nil {
			t.Skip("the system makes no network namespaces for this process")
		}
		t.Cleanup(func() { c.ends[i].Close() })
	}
	c.ip(0, "link", "add", "wire", "type", "veth", "peer", "name", "other")
	c.ip(0, "link", "set", "other", "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), c.ends[1].Fd()))
	c.ip(1, "link", "set", "other", "name", "wire")
	for i := range c.ends {
		c.ip(i, "addr", "add", fmt.Sprintf("10.9.0.%d/24", i+1), "dev", "wire")
		c.ip(i, "addr", "add", fmt.Sprintf("fd09::%d/64", i+1), "dev", "wire", "nodad")
		c.ip(i, "link", "set", "wire", "up")
	}
	return c
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

// at runs f in the namespace of an end.
func (c *cable) at(end int, f func()) {
	var err error
	onThread(func() {
		if err = unix.Setns(int(c.ends[end].Fd()), unix.CLONE_NEWNET); err == nil {
			f()
		}
	})
	require.NoError(c.t, err)
}

func (c *cable) ip(end int, args ...string) {
	var out []byte
	var err error
	c.at(end, func() { out, err = exec.Command("ip", args...).CombinedOutput() })
	require.NoError(c.t, err, "ip %q: %s", args, out)
}

// mtu sets what each end sends and takes at most, headers of IP and UDP included.
func (c *cable) mtu(sizes [2]int) {
	for end, size := range sizes {
		c.ip(end, "link", "set", "wire", "mtu", strconv.Itoa(size))
	}
}

// start starts a node at an end.
func (c *cable) start(end int, cfg broach.Config) (n *broach.Node) {
	cfg.Logger = slog.New(slog.DiscardHandler)
	var err error
	c.at(end, func() { n, err = broach.Start(cfg) })
	require.NoError(c.t, err)
	c.t.Cleanup(func() { n.Close() })
	return n
}

// [PATH-3] On a real path, nodes that nothing is configured for send datagrams as large as it carries, and notice when
// that changes.
func TestPacketSizeOfARealPath(t *testing.T) {
	for _, test := range []struct {
		name  string
		hosts [2]string
		mtu   [2]int
		keys  [][]byte
		found int
		after int // the path carries 1,400 bytes with all headers
	}{
		{"Ethernet", [2]string{"10.9.0.1", "10.9.0.2"}, [2]int{1500, 1500}, nil, 1472, 1200},
		{"Ethernet, IPv6", [2]string{"[fd09::1]", "[fd09::2]"}, [2]int{1500, 1500}, nil, 1452, 1200},
		{"jumbo frames", [2]string{"10.9.0.1", "10.9.0.2"}, [2]int{9000, 9000}, nil, 8972, 1200},
		{"jumbo frames, IPv6", [2]string{"[fd09::1]", "[fd09::2]"}, [2]int{9000, 9000}, nil, 8952, 1200},
		{"jumbo frames, sealed", [2]string{"10.9.0.1", "10.9.0.2"}, [2]int{9000, 9000},
			[][]byte{clustertest.KeyOf(1)}, 8972, 1216},
		{"frames as large as any", [2]string{"10.9.0.1", "10.9.0.2"}, [2]int{65535, 65535}, nil, 21829, 1200},
		{"jumbo frames into a hole", [2]string{"10.9.0.1", "10.9.0.2"}, [2]int{9000, 1500}, nil, 1472, 1200},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCable(t)
			c.mtu(test.mtu)
			provider := c.start(0, broach.Config{Addr: test.hosts[0] + ":0", Keys: test.keys})
			caller := c.start(1, broach.Config{Addr: test.hosts[1] + ":0", Keys: test.keys,
				Join: []string{provider.Addr().String()}})
			require.NoError(t, provider.Register("echo", func(b []byte) []byte { return b }))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			require.NoError(t, caller.Register("back", func() {}))
			require.NoError(t, caller.WaitFor(ctx, "echo", 1))
			require.NoError(t, provider.WaitFor(ctx, "back", 1), "each counts the other")
			echoUntil(t, provider, caller, test.found)
			c.mtu([2]int{1400, 1400})
			echoUntil(t, provider, caller, test.after)
		})
	}
}

// echoUntil calls until both have found a packet size. That takes a hundred milliseconds; how many calls those are is a
// matter of the machine.
func echoUntil(t *testing.T, provider, caller *broach.Node, size int) {
	t.Helper()
	start := time.Now()
	for echo(t, caller, 1<<20); packetSize(provider) != size || packetSize(caller) != size; echo(t, caller, 1<<20) {
		require.Less(t, time.Since(start), 20*time.Second, "packet sizes are %d and %d, not %d", packetSize(caller),
			packetSize(provider), size)
	}
	t.Logf("%d bytes after %v", size, time.Since(start))
	for _, n := range []int{10, 1300, 5000, 100 << 10} {
		echo(t, caller, n)
	}
	require.Equal(t, []int{size, size}, []int{packetSize(provider), packetSize(caller)})
}
