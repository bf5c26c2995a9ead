package members

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

func TestStartTellsAllMistakes(t *testing.T) {
	_, err := broach.Start(broach.Config{Addr: "nowhere", Join: []string{"x"}, MaxPacket: 1, CallTimeout: -1})
	for _, field := range []string{"Addr", "Join[0]", "MaxPacket", "CallTimeout"} {
		require.ErrorContains(t, err, field)
	}
	_, err = broach.Run(filepath.Join(t.TempDir(), "missing.json"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestStartOnAPortInUse(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, err = broach.Start(broach.Config{Addr: taken.LocalAddr().String(), LogLevel: "off"})
	require.ErrorContains(t, err, taken.LocalAddr().String())
}

func TestJoinChecksTheForm(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		first, n := c.Start(0), c.Start(1)
		require.ErrorIs(c.T, n.Join(first.Addr().String(), "no port"), broach.ErrInvalidArgument)
		time.Sleep(2 * time.Second)
		require.Zero(c.T, clustertest.Count(n, broach.Alive), "none of them was added")
		require.NoError(c.T, n.Join(first.Addr().String()))
		c.Until(time.Second, "they meet", func() bool { return clustertest.AllSee(c.Nodes, 1) })
	})
}

func TestRegisterChecks(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(0)
		require.NoError(c.T, n.Register("work01", func() {}))
		require.ErrorIs(c.T, n.Register("work01", func() {}), broach.ErrInvalidArgument)
		require.ErrorIs(c.T, n.Register("", func() {}), broach.ErrInvalidArgument)
		require.ErrorIs(c.T, n.Register("chan", func(chan int) {}), broach.ErrInvalidArgument)
		require.ErrorIs(c.T, n.Register("no function", 1), broach.ErrInvalidArgument)
		require.NoError(c.T, n.Unregister("work01"))
		require.ErrorIs(c.T, n.Unregister("work01"), broach.ErrNotFound)
		require.NoError(c.T, n.Register("work01", func() {}))
	})
}

// Many may register at once; what the peers hear in the end is all of it.
func TestConcurrentRegistration(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n, peer := c.Start(0), c.Start(1, 0)
		var all sync.WaitGroup
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			all.Go(func() {
				require.NoError(c.T, n.Register(name, func() {}))
				if name > "d" {
					require.NoError(c.T, n.Unregister(name))
				}
			})
		}
		all.Wait()
		require.Len(c.T, n.Services(), 4)
		c.Until(5*time.Second, "the peer knows", func() bool { return len(peer.Services()) == 4 })
	})
}

func TestCloseTwiceAndConcurrently(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(0)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				require.NoError(c.T, n.Close())
				<-n.Done()
			})
		}
		all.Wait()
		require.NoError(c.T, n.Close())
	})
}

// A function may close its own node. It is waited for as long as any that does not return.
func TestCloseFromInsideAFunction(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		clustertest.Offer(c, provider, caller, "close", func() error { return provider.Close() })
		start := time.Now()
		_, err := caller.Caller("close").Call(c.T.Context())
		clustertest.RequireError(c.T, err, broach.Unreachable, broach.Maybe)
		<-provider.Done()
		require.Equal(c.T, time.Second, time.Since(start).Truncate(10*time.Millisecond))
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
func runSample(t *testing.T) *broach.Node {
	text, err := os.ReadFile("../../../testdata/application.json")
	require.NoError(t, err)
	var file map[string]any
	require.NoError(t, json.Unmarshal(text, &file))
	params := file["params"].(map[string]any)
	params["rpcPort"], params["clusterAddress"], file["logLevel"] = 0, []string{}, "off"
	text, err = json.Marshal(file)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "application.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	n, err := broach.Run(path)
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
	n, err := broach.Start(broach.Config{Join: []string{seed}, LogLevel: "off"})
	require.NoError(t, err)
	require.NoError(t, n.Register("pid", os.Getpid))
	<-n.Done() // until killed
}

// Two processes provide; one is killed in the midst of calls. The calls go on, and after the time to notice none fails.
func TestAProviderProcessIsKilled(t *testing.T) {
	n, err := broach.Start(broach.Config{LogLevel: "off"})
	require.NoError(t, err)
	defer n.Close()
	victim, other := startProcess(t, n), startProcess(t, n)
	require.NoError(t, n.WaitFor(t.Context(), "pid", 2))
	pid := n.Caller("pid")
	seen := map[int]int{}
	for range 200 {
		p, err := broach.Call[int](t.Context(), pid)
		require.NoError(t, err)
		seen[p]++
	}
	require.Len(t, seen, 2)

	require.NoError(t, victim.Process.Kill())
	_ = victim.Wait()
	for e := range n.Watch(t.Context()) {
		if e.Kind == broach.MemberOffline {
			break
		}
	}
	for range 200 {
		p, err := broach.Call[int](t.Context(), pid)
		require.NoError(t, err)
		require.Equal(t, other.Process.Pid, p)
	}
}

// startProcess starts a provider in a process of its own.
func startProcess(t *testing.T, seed *broach.Node) *exec.Cmd {
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

// What nobody else may know never comes from RandSeed: a process that starts anew with it, or another with the same,
// has other keys and tokens.
func TestSecretsDoNotComeFromRandSeed(t *testing.T) {
	for _, keys := range [][][]byte{nil, {clustertest.KeyOf(1)}} {
		public, tokens := map[wire.PublicKey]bool{}, map[uint64]bool{}
		for range 3 {
			m := firstOpen(t, broach.Config{LogLevel: "off", RandSeed: 7, Keys: keys})
			public[m.Key], tokens[m.Token] = true, true
		}
		require.Len(t, public, 3)
		require.Len(t, tokens, 3)
	}
}

// firstOpen is the first Open of a node. It has a real socket: by a simulated one RandSeed decides all.
func firstOpen(t *testing.T, cfg broach.Config) wire.Open {
	seed, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer seed.Close()
	cfg.Join = []string{seed.LocalAddr().String()}
	n, err := broach.Start(cfg)
	require.NoError(t, err)
	defer n.Close()
	b := make([]byte, 2000)
	size, _, err := seed.ReadFrom(b)
	require.NoError(t, err)
	m, err := wire.ConsumeOpen(b[:size])
	require.NoError(t, err)
	return m
}
