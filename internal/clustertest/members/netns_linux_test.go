package members

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// A cable is one between two network namespaces of the kernel, each with one node's end of it.
type cable struct {
	t    *testing.T
	ends [2]*space
}

// newCable lays one, or skips the test where the system does not let this process do so.
func newCable(t *testing.T) *cable {
	c := &cable{t: t, ends: [2]*space{newSpace(t), newSpace(t)}}
	c.ends[0].wireTo(c.ends[1], "wire", "wire")
	c.ends[0].address("wire", "10.9.0.1/24", "fd09::1/64")
	c.ends[1].address("wire", "10.9.0.2/24", "fd09::2/64")
	return c
}

// mtu sets what each end sends and takes at most, headers of IP and UDP included.
func (c *cable) mtu(sizes [2]int) {
	for end, size := range sizes {
		c.ends[end].run("ip", "link", "set", "wire", "mtu", strconv.Itoa(size))
	}
}

// start starts a node at an end.
func (c *cable) start(end int, cfg broach.Config) *broach.Node {
	cfg.Logger = slog.New(slog.DiscardHandler)
	return c.ends[end].start(cfg)
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
