package broach

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// sharedLog is a log that may be read while nodes write.
type sharedLog struct {
	mu   sync.Mutex // protects text: readers, loops and the test
	text bytes.Buffer
}

func (l *sharedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *sharedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// loggedBy gives the nodes that start from now on a log, of warnings only.
func (c *cluster) loggedBy() *sharedLog {
	log, edit := new(sharedLog), c.edit
	c.edit = func(cfg *Config) {
		edit(cfg)
		cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	return log
}

const noSeed = "no seed has answered"

// Who is not let in finds out from its own log, and the other side from its. Neither is told more than once a minute,
// and who gets no answer ever more rarely.
func TestBothSidesAreToldWhyANodeIsNotLetIn(t *testing.T) {
	keys := func(list ...[]byte) func(*Config) { return func(cfg *Config) { cfg.Keys = list } }
	none := func(*Config) {}
	for name, test := range map[string]struct {
		in, out func(*Config)
		told    string // to the node that is asked
	}{
		"another key":         {keys(keyOf(1)), keys(keyOf(2)), "no key of this node opens: who sends them has other Keys, or none"},
		"no key":              {keys(keyOf(1)), none, "no key of this node opens: who sends them has other Keys, or none"},
		"a key where no are":  {none, keys(keyOf(2)), "no key of this node opens, for it has none"},
		"another cluster":     {none, func(cfg *Config) { cfg.Cluster = "other" }, "a node of another cluster"},
		"no way back to it":   {none, func(cfg *Config) { cfg.Advertise = "127.0.0.1:7000" }, "it needs Advertise"},
		"a seed that is away": {func(cfg *Config) { cfg.Conn.Close() }, none, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 1, func(c *cluster) {
				c.edit = test.in
				in := c.loggedBy()
				c.start(0)
				c.edit = test.out
				out := c.loggedBy()
				c.start(1, 0)
				time.Sleep(silentFirst - time.Second)
				require.NotContains(t, out.String(), noSeed)
				time.Sleep(2 * time.Second)
				require.Equal(t, 1, strings.Count(out.String(), noSeed))
				require.Contains(t, out.String(), addrOf(0).String())
				require.Contains(t, in.String(), test.told)
				time.Sleep(10*time.Minute - 2*time.Second)
				for _, n := range c.nodes {
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
	inCluster(t, 1, func(c *cluster) {
		c.forwardTo(addrOf(200), func(int64) netip.AddrPort { return addrOf(0) })
		in := c.loggedBy()
		c.start(0)
		out := c.loggedBy()
		c.startWith(1, func(cfg *Config) { cfg.Advertise, cfg.Join = addrOf(0).String(), []string{addrOf(200).String()} })
		time.Sleep(2 * silentFirst)
		require.Contains(t, in.String(), "another node advertises the address of this one")
		require.Contains(t, out.String(), noSeed)
		require.NotZero(t, c.nodes[0].Stats().Unusable)
		require.False(t, c.nodes[1].calling.view.Load().joined)
	})
}

// A third that is asked by who advertises the address of a member says so too: that one does not hear what it is
// offered.
func TestAThirdTellsOfWhoAdvertisesTheAddressOfAMember(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		log := c.loggedBy()
		c.start(0)
		c.edit = func(*Config) {}
		c.start(1, 0)
		c.start(2, 0)
		time.Sleep(30 * time.Second)
		require.NotContains(t, log.String(), "hears nothing")
		c.startWith(3, func(cfg *Config) { cfg.Advertise = addrOf(1).String() }, 0)
		time.Sleep(2 * silentFirst)
		require.Contains(t, log.String(), "hears nothing at that one")
		require.Contains(t, log.String(), "advertised="+addrOf(1).String())
		require.True(t, allSee(c.nodes[:3], 2), "the member stays")
	})
}

// Who is let in, or has nobody to ask, is told nothing; who cannot find out where its seeds are is.
func TestNothingIsToldOfSeedsThatAnswer(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		log := c.loggedBy()
		c.start(0, 0)
		c.start(1, 0, 7)
		time.Sleep(5 * time.Minute)
		c.kill(c.nodes[0])
		time.Sleep(5 * time.Minute)
		c.kill(c.nodes[1])
		require.NotContains(t, log.String(), noSeed)
	})
	require.True(t, side(t, 1, Config{Join: []string{"nowhere.invalid:1"}}).loop.members.IsUnanswered())
	require.False(t, side(t, 1, Config{}).loop.members.IsUnanswered())
}

// A node of version 1 that was forgotten when the others were brought up to date is told of by its address.
func TestAnotherVersionIsToldOf(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		log := c.loggedBy()
		n := c.start(0)
		d := wire.AppendHeader(nil, wire.Header{})
		d[1] = 1
		for range 10 {
			c.net.Inject(strangerAddr, n.Addr(), d)
		}
		time.Sleep(time.Second)
		require.EqualValues(t, 10, n.Stats().ForeignVersion)
		n.Close()
		require.Equal(t, 1, strings.Count(log.String(), "another version of the protocol"), log.String())
		require.Contains(t, log.String(), strangerAddr.String())
	})
}
