package troubles

import (
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// Who is not let in finds out from its own log, and the other side from its. Neither is told more than once a minute,
// and who gets no answer ever more rarely.
func TestBothSidesAreToldWhyANodeIsNotLetIn(t *testing.T) {
	one, another, none := keyed(key), keyed(otherKey), func(*broach.Config) {}
	const otherKeys = "no key of this node opens: who sends them has other Keys, or none"
	for name, test := range map[string]struct {
		in, out func(*broach.Config)
		told    string // to the node that is asked
	}{
		"another key":         {one, another, otherKeys},
		"no key":              {one, none, otherKeys},
		"a key where no are":  {none, another, "no key of this node opens, for it has none"},
		"another cluster":     {none, inCluster("other"), "a node of another cluster"},
		"no way back to it":   {none, advertising("127.0.0.1:7000"), "it needs Advertise"},
		"a seed that is away": {func(cfg *broach.Config) { cfg.Conn.Close() }, none, ""},
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.Edit = test.in
				in := loggedBy(c)
				c.Start(0)
				c.Edit = test.out
				out := loggedBy(c)
				c.Start(1, 0)
				time.Sleep(silentFirst - time.Second)
				require.NotContains(t, out.String(), noSeed)
				time.Sleep(2 * time.Second)
				require.Equal(t, 1, strings.Count(out.String(), noSeed))
				require.Contains(t, out.String(), clustertest.AddrOf(0).String())
				require.Contains(t, in.String(), test.told)
				time.Sleep(10*time.Minute - 2*time.Second)
				for _, n := range c.Nodes {
					n.Close() // nobody writes any more
				}
				require.Equal(t, 4, strings.Count(out.String(), noSeed), "after 1, 2 and 4 minutes again: %s", out)
				if test.told != "" {
					require.InDelta(t, 10, strings.Count(in.String(), test.told), 1, in.String())
				}
				require.NotContains(t, in.String(), noSeed)
			})
		})
	}
}

// Of two processes that advertise one address, the one that gets what is sent there is told as soon as the other comes
// to it, and counts that.
func TestTwoThatAdvertiseOneAddressAreTold(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		front := clustertest.AddrOf(200)
		forwardTo(c, front, clustertest.AddrOf(0))
		in := loggedBy(c)
		c.Start(0)
		out := loggedBy(c)
		c.StartWith(1, func(cfg *broach.Config) {
			cfg.Advertise, cfg.Join = clustertest.AddrOf(0).String(), []string{front.String()}
		})
		time.Sleep(2 * silentFirst)
		require.Contains(t, in.String(), "another node advertises the address of this one")
		require.Contains(t, out.String(), noSeed)
		require.NotZero(t, c.Nodes[0].Stats().Unusable)
		require.False(t, clustertest.IsJoined(c.Nodes[1]))
	})
}

// A third that is asked by who advertises the address of a member says so too: that one does not hear what it is
// offered.
func TestAThirdTellsOfWhoAdvertisesTheAddressOfAMember(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		log := loggedBy(c)
		c.Start(0)
		c.Edit = func(*broach.Config) {}
		c.Start(1, 0)
		c.Start(2, 0)
		time.Sleep(30 * time.Second)
		require.NotContains(t, log.String(), "hears nothing")
		c.StartWith(3, func(cfg *broach.Config) { cfg.Advertise = clustertest.AddrOf(1).String() }, 0)
		time.Sleep(2 * silentFirst)
		require.Contains(t, log.String(), "hears nothing at that one")
		require.Contains(t, log.String(), "advertised="+clustertest.AddrOf(1).String())
		require.True(t, clustertest.AllSee(c.Nodes[:3], 2), "the member stays")
	})
}

// Who is let in, or has nobody to ask, is told nothing; who cannot find out where its seeds are is.
func TestNothingIsToldOfSeedsThatAnswer(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		log := loggedBy(c)
		c.Start(0, 0)
		c.Start(1, 0, 7)
		time.Sleep(5 * time.Minute)
		c.Kill(c.Nodes[0])
		time.Sleep(5 * time.Minute)
		c.Kill(c.Nodes[1])
		require.NotContains(t, log.String(), noSeed)
	})
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		alone := loggedBy(c)
		c.Start(0)
		lost := loggedBy(c)
		c.StartWith(1, func(cfg *broach.Config) { cfg.Join = []string{unknownHost + ":1"} })
		time.Sleep(silentFirst - 500*time.Millisecond)
		require.NotContains(t, lost.String(), noSeed)
		time.Sleep(time.Second)
		require.Equal(t, 1, strings.Count(lost.String(), noSeed))
		time.Sleep(5 * time.Minute)
		require.NotContains(t, alone.String(), noSeed)
	})
}

// A node of version 1 that was forgotten when the others were brought up to date is told of by its address.
func TestAnotherVersionIsToldOf(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		log := loggedBy(c)
		n := c.Start(0)
		d := wire.AppendHeader(nil, wire.Header{})
		d[1] = 1
		for range 10 {
			c.Net.Inject(clustertest.StrangerAddr, n.Addr(), d)
		}
		time.Sleep(time.Second)
		require.EqualValues(t, 10, n.Stats().ForeignVersion)
		n.Close()
		require.Equal(t, 1, strings.Count(log.String(), "another version of the protocol"), log.String())
		require.Contains(t, log.String(), clustertest.StrangerAddr.String())
	})
}
