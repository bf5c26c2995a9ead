package broach

import (
	"bytes"
	"encoding/json"
	"math/bits"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
	"unsafe"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestStartTellsAllMistakes(t *testing.T) {
	_, err := Start(Config{Addr: "nowhere", Join: []string{"x"}, MaxPacket: 1, CallTimeout: -1})
	for _, field := range []string{"Addr", "Join[0]", "MaxPacket", "CallTimeout"} {
		require.ErrorContains(t, err, field)
	}
	_, err = Run(filepath.Join(t.TempDir(), "missing.json"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestStartOnAPortInUse(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, err = Start(Config{Addr: taken.LocalAddr().String(), LogLevel: "off"})
	require.ErrorContains(t, err, taken.LocalAddr().String())
}

// What nobody else may know never comes from RandSeed: a process that starts anew with it, or another with the same,
// has other keys and tokens.
func TestSecretsDoNotComeFromRandSeed(t *testing.T) {
	for _, keys := range [][][]byte{nil, {keyOf(1)}} {
		public, tokens := map[wire.PublicKey]bool{}, map[uint64]bool{}
		for range 3 {
			n, err := Start(Config{LogLevel: "off", RandSeed: 7, Keys: keys})
			require.NoError(t, err)
			public[n.linking.wires.Process.Key], tokens[n.linking.tokens.Open(0)] = true, true
			require.NoError(t, n.Close())
		}
		require.Len(t, public, 3)
		require.Len(t, tokens, 3)
	}
}

func TestJoinChecksTheForm(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		first, n := c.start(0), c.start(1)
		require.ErrorIs(c.t, n.Join(first.Addr().String(), "no port"), ErrInvalidArgument)
		time.Sleep(2 * time.Second)
		require.Zero(c.t, count(n, Alive), "none of them was added")
		require.NoError(c.t, n.Join(first.Addr().String()))
		c.until(time.Second, "they meet", func() bool { return allSee(c.nodes, 1) })
	})
}

func TestRegisterChecks(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.start(0)
		require.NoError(c.t, n.Register("work01", func() {}))
		require.ErrorIs(c.t, n.Register("work01", func() {}), ErrInvalidArgument)
		require.ErrorIs(c.t, n.Register("", func() {}), ErrInvalidArgument)
		require.ErrorIs(c.t, n.Register("chan", func(chan int) {}), ErrInvalidArgument)
		require.ErrorIs(c.t, n.Register("no function", 1), ErrInvalidArgument)
		require.NoError(c.t, n.Unregister("work01"))
		require.ErrorIs(c.t, n.Unregister("work01"), ErrNotFound)
		require.NoError(c.t, n.Register("work01", func() {}))
	})
}

// Many may register at once; what the peers hear in the end is all of it.
func TestConcurrentRegistration(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n, peer := c.start(0), c.start(1, 0)
		var all sync.WaitGroup
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			all.Go(func() {
				require.NoError(c.t, n.Register(name, func() {}))
				if name > "d" {
					require.NoError(c.t, n.Unregister(name))
				}
			})
		}
		all.Wait()
		require.Len(c.t, n.Services(), 4)
		c.until(5*time.Second, "the peer knows", func() bool { return len(peer.Services()) == 4 })
	})
}

func TestCloseTwiceAndConcurrently(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.start(0)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				require.NoError(c.t, n.Close())
				<-n.Done()
			})
		}
		all.Wait()
		require.NoError(c.t, n.Close())
	})
}

// A function may close its own node. It is waited for as long as any that does not return.
func TestCloseFromInsideAFunction(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		offer(c, provider, caller, "close", func() error { return provider.Close() })
		start := time.Now()
		_, err := caller.Caller("close").Call(c.t.Context())
		requireError(c.t, err, Unreachable, Maybe)
		<-provider.Done()
		require.Equal(c.t, closeGrace, time.Since(start).Truncate(10*time.Millisecond))
	})
}

// The farewell is sent even where the reader has the link in hand, and may not get to it any more.
func TestTheFarewellIsNotLost(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		c.until(5*time.Second, "they meet", func() bool { return allSee(c.nodes, 1) })
		for _, l := range provider.linking.tokens.All() {
			l.Lock(time.Now(), 0)
			l.Unlock()
		}
		provider.Close()
		time.Sleep(time.Millisecond)
		require.Equal(c.t, 1, count(caller, Left))
	})
}

// The sample configuration runs on a real socket, with its port set free.
func TestRunTheSampleFile(t *testing.T) {
	first, second := runSample(t), runSample(t)
	defer first.Close()
	defer second.Close()
	require.NoError(t, second.Join(first.Addr().String()))
	require.NoError(t, first.Register("work01", func(x, y int) int { return x + y }))
	require.NoError(t, second.WaitFor(t.Context(), "work01", 1))
	v, err := second.Caller("work01").Call(t.Context(), 1, 2)
	require.NoError(t, err)
	require.Equal(t, 3, v)
}

// runSample runs testdata/application.json on any free port, with nobody to join.
func runSample(t *testing.T) *Node {
	text, err := os.ReadFile("testdata/application.json")
	require.NoError(t, err)
	var file map[string]any
	require.NoError(t, json.Unmarshal(text, &file))
	params := file["params"].(map[string]any)
	params["rpcPort"], params["clusterAddress"], file["logLevel"] = 0, []string{}, "off"
	text, err = json.Marshal(file)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "application.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	n, err := Run(path)
	require.NoError(t, err)
	return n
}

// providerSeed makes the test binary a provider: the address that it joins.
const providerSeed = "BROACH_TEST_PROVIDER_SEED"

// TestProviderProcess is what the other process of TestAProviderProcessIsKilled runs.
func TestProviderProcess(t *testing.T) {
	seed := os.Getenv(providerSeed)
	if seed == "" {
		t.Skip("runs in a process of its own")
	}
	n, err := Start(Config{Join: []string{seed}, LogLevel: "off"})
	require.NoError(t, err)
	require.NoError(t, n.Register("pid", os.Getpid))
	<-n.Done() // until killed
}

// Two processes provide; one is killed in the midst of calls. The calls go on, and after the time to notice none fails.
func TestAProviderProcessIsKilled(t *testing.T) {
	n, err := Start(Config{LogLevel: "off"})
	require.NoError(t, err)
	defer n.Close()
	victim, other := startProcess(t, n), startProcess(t, n)
	require.NoError(t, n.WaitFor(t.Context(), "pid", 2))
	pid := n.Caller("pid")
	seen := map[int]int{}
	for range 200 {
		p, err := Call[int](t.Context(), pid)
		require.NoError(t, err)
		seen[p]++
	}
	require.Len(t, seen, 2)

	require.NoError(t, victim.Process.Kill())
	_ = victim.Wait()
	for e := range n.Watch(t.Context()) {
		if e.Kind == MemberOffline {
			break
		}
	}
	for range 200 {
		p, err := Call[int](t.Context(), pid)
		require.NoError(t, err)
		require.Equal(t, other.Process.Pid, p)
	}
}

// startProcess starts a provider in a process of its own.
func startProcess(t *testing.T, seed *Node) *exec.Cmd {
	var out bytes.Buffer
	p := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestProviderProcess$")
	p.Env = append(os.Environ(), providerSeed+"="+seed.Addr().String())
	p.Stdout, p.Stderr = &out, &out
	require.NoError(t, p.Start())
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
		if t.Failed() {
			t.Log(out.String())
		}
	})
	return p
}

// A simulation of a thousand nodes has a million links, and the allocator rounds up: one more field may cost 32 MiB.
func TestALinkIsSmall(t *testing.T) {
	if bits.UintSize != 64 {
		t.Skip("its pointers are smaller here")
	}
	const class = 352 // bytes, one of the allocator's
	require.LessOrEqual(t, unsafe.Sizeof(conn{}), uintptr(class))
}

// ants keeps a pool of its own from import on, whose goroutines are there before any test.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
