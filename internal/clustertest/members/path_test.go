package members

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// tunnels sets the MTU between two nodes, there and back.
func tunnels(c *clustertest.Cluster, a, b *broach.Node, there, back int, like simnet.Link) {
	like.MTU = there
	c.Net.SetLink(a.Addr(), b.Addr(), like)
	like.MTU = back
	c.Net.SetLink(b.Addr(), a.Addr(), like)
}

// jumbos are a provider of echo and a caller, who send datagrams as large as pass.
func jumbos(c *clustertest.Cluster, l simnet.Link) (provider, caller *broach.Node) {
	provider, caller = c.Pair(l)
	require.NoError(c.T, provider.Register("echo", func(b []byte) []byte { return b }))
	require.NoError(c.T, caller.WaitFor(context.Background(), "echo", 1))
	return provider, caller
}

// tryEcho calls with that many bytes, and returns how long it took.
func tryEcho(caller *broach.Node, size int) (time.Duration, error) {
	start, sent := time.Now(), clustertest.SomeNoise[:size]
	back, err := broach.Call[[]byte](context.Background(), caller.Caller("echo"), sent)
	if err == nil && !bytes.Equal(sent, back) {
		err = errors.New("other bytes came back")
	}
	return time.Since(start), err
}

// echo is tryEcho that must succeed.
func echo(t *testing.T, caller *broach.Node, size int) time.Duration {
	t.Helper()
	took, err := tryEcho(caller, size)
	require.NoError(t, err, "%d bytes", size)
	return took
}

// packetSize is what a node has found for its only peer.
func packetSize(n *broach.Node) int { return n.Stats().Peers[0].PacketSize }

// A VPN or tunnel in between costs speed, not calls.
func TestCallsThroughATunnel(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		provider, caller := jumbos(c, simnet.Link{MTU: 1300, Delay: 200 * time.Microsecond})
		require.Equal(t, 1200, packetSize(caller))
		for _, size := range []int{100, 1250, 5 << 10, 1 << 20} {
			for range 5 {
				require.Less(t, echo(t, caller, size), 100*time.Millisecond, "%d bytes", size)
			}
		}
		time.Sleep(2 * time.Second)
		require.Equal(t, []int{1200, 1200}, []int{packetSize(provider), packetSize(caller)})
		require.Zero(t, caller.Stats().Peers[0].Retransmits)
		for _, size := range []int{100, 1250, 5 << 10, 1 << 20} {
			require.Less(t, echo(t, caller, size), 60*time.Millisecond, "%d bytes", size)
		}
	})
}

// Where large datagrams pass they are used, after the first large call.
func TestJumboDatagramsWhereTheyPass(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		provider, caller := jumbos(c, simnet.Link{})
		first := echo(t, caller, 1<<20)
		require.Equal(t, 21829, packetSize(caller))
		require.Equal(t, 21829, packetSize(provider))
		before := caller.Stats().DatagramsOut
		second := echo(t, caller, 1<<20)
		require.Less(t, caller.Stats().DatagramsOut-before, uint64(120),
			"49 fragments, the acknowledgements of as many, and proofs")
		t.Logf("1 MiB there and back in %v, then in %v", first, second)
	})
}

// [PATH-3] Each side finds what the way to the other carries, within milliseconds of the first large message, which is
// not slower for that.
func TestEachPathHasItsPacketSize(t *testing.T) {
	for _, test := range []struct{ there, back, caller, provider int }{
		{1280, 1280, 1200, 1200},
		{1400, 1400, 1400, 1400},
		{1472, 1472, 1472, 1472},
		{1500, 9000, 1472, 8972},
		{8972, 1472, 8972, 1472},
		{21828, 21829, 8972, 21829},
		{65507, 1280, 21829, 1200},
		{65507, 65507, 21829, 21829},
	} {
		for _, keys := range [][][]byte{nil, {clustertest.KeyOf(1)}} {
			t.Run(fmt.Sprint(test.there, test.back, len(keys)), func(t *testing.T) {
				clustertest.Run(t, 7, func(c *clustertest.Cluster) {
					c.Edit = func(cfg *broach.Config) { cfg.Keys = keys }
					provider, caller := c.Pair(simnet.Link{})
					tunnels(c, caller, provider, test.there, test.back, simnet.Link{})
					require.NoError(t, provider.Register("echo", func(b []byte) []byte { return b }))
					require.NoError(t, caller.WaitFor(context.Background(), "echo", 1))
					first := echo(t, caller, 1<<20)
					time.Sleep(100 * time.Millisecond)
					least := 1200 + 16*len(keys)
					require.Equal(t, []int{max(test.caller, least), max(test.provider, least)},
						[]int{packetSize(caller), packetSize(provider)})
					t.Logf("1 MiB there and back in %v, then in %v", first, echo(t, caller, 1<<20))
				})
			})
		}
	}
}

// MaxPacket and PacketSize count what the network carries: with keys, the tag, too.
func TestSealedDatagramsAreNoLargerThanMaxPacket(t *testing.T) {
	for maxPacket, largest := range map[int]int{
		1200: 1216, 1216: 1216, 1400: 1400, 8972: 8972, 21829: 21829, 0: 21829,
	} {
		t.Run(strconv.Itoa(maxPacket), func(t *testing.T) {
			clustertest.Run(t, 7, func(c *clustertest.Cluster) {
				c.Edit = func(cfg *broach.Config) {
					cfg.MaxPacket, cfg.Keys = maxPacket,
						[][]byte{clustertest.KeyOf(1)}
				}
				var mu sync.Mutex
				seen := 0
				c.Net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
					mu.Lock()
					defer mu.Unlock()
					seen = max(seen, len(b))
				})
				provider, caller := c.Pair(simnet.Link{})
				require.NoError(t, provider.Register("echo", func(b []byte) []byte { return b }))
				require.NoError(t, caller.WaitFor(context.Background(), "echo", 1))
				require.Equal(t, 1216, packetSize(caller), "before it is probed")
				echo(t, caller, 1<<20)
				require.Equal(t, []int{largest, largest}, []int{packetSize(caller), packetSize(provider)})
				mu.Lock()
				defer mu.Unlock()
				require.Equal(t, largest, seen)
			})
		})
	}
}

// [MSG-4] A datagram's payload MUST NOT exceed the packet size of its link (1.3), nor 1,200 bytes when it carries
// messages of section 4: nor does a Confirm, which says more before its messages than other datagrams.
func TestIntroductionsAreNoLargerThanTheyMayBe(t *testing.T) {
	var largest atomic.Int64
	for size := range 2 * wire.ConfirmMore {
		clustertest.Run(t, 7, func(c *clustertest.Cluster) {
			c.Net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
				largest.Store(max(largest.Load(), int64(len(b))))
			})
			seed, joiner := c.Start(0), c.Start(1)
			for _, n := range c.Nodes {
				for _, first := range []string{"a", "b", "c", "d", "e"} {
					require.NoError(t, n.Register(first+strings.Repeat("x", 180), func() {}))
				}
				require.NoError(t, n.Register("f"+strings.Repeat("y", 40+size), func() {}))
			}
			require.NoError(t, joiner.Join(seed.Addr().String()))
			c.Settle(5 * time.Second)
		})
	}
	require.LessOrEqual(t, largest.Load(), int64(1200))
	require.Greater(t, largest.Load(), int64(1190), "some fill a datagram")
}

// The path to peers that ask little of each other is not probed: a thousand of them cost nothing. That a peer is asked
// now and then whether it is there, [LNK-11], is another matter.
func TestSmallCallsAreNotProbedFor(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		_, caller := jumbos(c, simnet.Link{})
		var probes, proofs atomic.Int32
		small := wire.Probe{}.Append(nil) // goes with each that looks for a size
		c.Net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
			switch {
			case len(b) > 1200 || bytes.Contains(b, small):
				probes.Add(1)
			case slices.Contains(kindsIn(b), wire.KindProbe):
				proofs.Add(1)
			}
		})
		for range 100 {
			echo(t, caller, 900)
		}
		time.Sleep(time.Hour)
		require.Zero(t, probes.Load())
		require.LessOrEqual(t, proofs.Load(), int32(10), "100 calls of 900 bytes and an hour of beats")
		require.Equal(t, 1200, packetSize(caller))
	})
}

// load makes calls of many sizes at once until it is ended. The function returned ends it, and tells how long the calls
// took.
func load(t *testing.T, caller *broach.Node, callers int) (end func() []time.Duration) {
	var mu sync.Mutex
	var took []time.Duration
	var over atomic.Bool
	var wg sync.WaitGroup
	sizes := []int{100, 1250, 3000, 5 << 10, 60 << 10}
	for k := range callers {
		wg.Go(func() {
			for i := k; !over.Load(); i++ {
				d, err := tryEcho(caller, sizes[i%len(sizes)])
				if err != nil {
					t.Errorf("%d bytes: %v", sizes[i%len(sizes)], err)
				}
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
			}
		})
	}
	return func() []time.Duration {
		over.Store(true)
		wg.Wait()
		slices.Sort(took)
		return took
	}
}

// [PATH-5] When it is too large by now, the packet size is 1,200 bytes at once
// [PATH-6] a transfer with larger fragments is stopped and begun anew under another number.
func TestPathThatShrinksUnderLoad(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		there, back int
	}{{"both ways", 1400, 1400}, {"there", 1472, 0}, {"back", 0, 8972}} {
		if race.Sampled && test.name != "both ways" {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			clustertest.Run(t, 7, func(c *clustertest.Cluster) {
				like := simnet.Link{Delay: 200 * time.Microsecond}
				provider, caller := jumbos(c, like)
				echo(t, caller, 1<<20)
				require.Equal(t, 21829, packetSize(caller))
				end := load(t, caller, 5)
				time.Sleep(20 * time.Millisecond)
				tunnels(c, caller, provider, test.there, test.back, like)
				time.Sleep(200 * time.Millisecond)
				took := end()
				time.Sleep(time.Second)
				longest := took[len(took)-1]
				t.Logf("%d calls, median %v, longest %v; packet sizes %d and %d", len(took), took[len(took)/2], longest,
					packetSize(caller), packetSize(provider))
				require.Less(t, longest, 300*time.Millisecond)
				for n, mtu := range map[*broach.Node]int{caller: test.there, provider: test.back} {
					require.Equal(t, cmp.Or(mtu, 21829), packetSize(n))
				}
			})
		})
	}
}

// A path that has become wider is found out when 10 minutes are over.
func TestPathThatWidens(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		provider, caller := jumbos(c, simnet.Link{MTU: 1250})
		echo(t, caller, 1<<20)
		time.Sleep(5 * time.Second)
		require.Equal(t, 1200, packetSize(caller))
		tunnels(c, caller, provider, 0, 0, simnet.Link{})
		for range 12 {
			time.Sleep(time.Minute)
			echo(t, caller, 100<<10)
		}
		require.Equal(t, 21829, packetSize(caller))
		require.Equal(t, 21829, packetSize(provider))
	})
}

// Loss is not taken for a path that has shrunk.
func TestLossIsNotTakenForASmallPath(t *testing.T) {
	for _, loss := range []float64{0.05, 0.20} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			clustertest.Run(t, 7, func(c *clustertest.Cluster) {
				like := simnet.Link{Delay: 200 * time.Microsecond}
				_, caller := jumbos(c, like)
				echo(t, caller, 1<<20)
				require.Equal(t, 21829, packetSize(caller))
				like.Loss = loss
				c.Net.SetDefault(like)
				end := load(t, caller, 5)
				alarms, last := 0, 21829
				for range 500 {
					time.Sleep(time.Millisecond)
					size := packetSize(caller)
					if size < last {
						alarms++
					}
					last = size
				}
				took := end()
				t.Logf("%d calls, median %v, longest %v; %d false alarms", len(took), took[len(took)/2],
					took[len(took)-1], alarms)
				require.LessOrEqual(t, alarms, 3)
			})
		})
	}
}

// [PATH-9] When losses are borne because slowing down does not lessen them (FRAG-6), the packet size is 1,400 bytes,
// the tag among them, if it was larger, until the search that may begin 10 minutes later.
func TestDatagramsAreSmallWhereMuchIsLost(t *testing.T) {
	for _, keys := range [][][]byte{nil, {clustertest.KeyOf(1)}} {
		if race.Sampled && keys == nil {
			continue
		}
		clustertest.Run(t, 7, func(c *clustertest.Cluster) {
			c.Edit = func(cfg *broach.Config) { cfg.Keys = keys }
			like := simnet.Link{Delay: 5 * time.Millisecond}
			_, caller := jumbos(c, like)
			echo(t, caller, 1<<20)
			require.Equal(t, 21829, packetSize(caller))
			like.Loss = 0.2
			c.Net.SetDefault(like)
			for range 30 {
				echo(t, caller, 1<<20)
			}
			require.Equal(t, 1400, packetSize(caller))
			like.Loss = 0
			c.Net.SetDefault(like)
			for range 12 {
				time.Sleep(time.Minute)
				echo(t, caller, 1<<20)
			}
			require.Equal(t, 21829, packetSize(caller))
		})
	}
}

// kindsIn lists the messages in a datagram of a link that is not sealed.
func kindsIn(b []byte) (kinds []wire.Kind) {
	h, rest, err := wire.ConsumeHeader(b)
	if err != nil || h.Form != wire.FormLink {
		return nil
	}
	for len(rest) > 0 {
		kind, _, after, err := wire.ConsumeMessage(rest)
		if err != nil {
			return kinds
		}
		kinds, rest = append(kinds, kind), after
	}
	return kinds
}
