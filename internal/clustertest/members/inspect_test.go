package members

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// atRest is a View without what changes while one looks.
func atRest(v broach.View) broach.View {
	v.CPU, v.HeapBytes, v.Goroutines, v.Uptime, v.Stats.JoinedSince = 0, 0, 0, 0, 0
	v.Stats.DatagramsIn, v.Stats.DatagramsOut, v.Stats.BytesIn, v.Stats.BytesOut = 0, 0, 0, 0
	var of []*broach.PeerStats
	for i := range v.Stats.Peers {
		of = append(of, &v.Stats.Peers[i])
	}
	for i := range v.Members {
		v.Members[i].RTT = 0
		of = append(of, &v.Members[i].Peer)
	}
	for _, p := range of {
		p.Since, p.BytesIn, p.BytesOut, p.LastHeard, p.RTT, p.Loss = 0, 0, 0, 0, 0, 0
	}
	return v
}

// inspect asks one node about another.
func inspect(t *testing.T, by, of *broach.Node, want ...broach.ViewPart) broach.View {
	t.Helper()
	v, err := by.Inspect(context.Background(), of.Addr(), want...)
	require.NoError(t, err)
	return v
}

// [VIEW-1] What a node says of itself is the same to a peer and to itself, and is what its own methods say.
func TestAViewIsTheNodesOwn(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) { cfg.Tags = map[string]string{"zone": "eu"} }
		c.StartAll(40) // the View is a transfer
		provider, caller := c.Nodes[0], c.Nodes[1]
		require.NoError(t, provider.Register("f", func(int) {}, broach.Doc("f(x)")))
		require.NoError(t, c.Nodes[7].Register("f", func(int) {}))
		require.NoError(t, caller.WaitFor(context.Background(), "f", 2))
		c.Settle(30 * time.Second)
		own, seen := inspect(t, provider, provider), inspect(t, caller, provider)
		require.Equal(t, atRest(own), atRest(seen))
		require.Equal(t, provider.Addr(), seen.Addr)
		require.Equal(t, "node0", seen.Name)
		require.Equal(t, map[string]string{"zone": "eu"}, seen.Tags)
		require.Equal(t, runtime.Version(), seen.GoVersion)
		require.Regexp(t, `^broach( |$)`, seen.Library)
		require.Equal(t, runtime.GOMAXPROCS(0), seen.Processors)
		require.Positive(t, seen.HeapBytes)
		require.Positive(t, seen.Goroutines)
		require.Positive(t, seen.Uptime)
		require.Equal(t, provider.Services(), seen.Services)
		require.Len(t, seen.Members, 40)
		require.Len(t, seen.Stats.Peers, 39)
		for i, m := range provider.Members() {
			is := seen.Members[i]
			is.RTT, m.RTT = 0, 0
			require.Equal(t, m, is.Member)
			require.Equal(t, m.Self, !is.Peer.Addr.IsValid())
		}
	})
}

// [VIEW-1] Only what is asked for is told.
func TestPartsOfAView(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(2)
		require.NoError(t, c.Nodes[0].Register("f", func(int) {}))
		require.NoError(t, c.Nodes[1].WaitFor(context.Background(), "f", 1))
		c.Settle(10 * time.Second)
		for i, want := range [][]broach.ViewPart{
			{}, {broach.ViewMembers}, {broach.ViewServices}, {broach.ViewStats}, {broach.ViewSettings},
			{broach.ViewStats, broach.ViewMembers}, {broach.ViewServices | broach.ViewSettings}, {0}, {1 << 30},
		} {
			for _, of := range c.Nodes {
				v := inspect(t, c.Nodes[1], of, want...)
				has := func(p broach.ViewPart) bool {
					return len(want) == 0 || slices.ContainsFunc(want, func(w broach.ViewPart) bool { return w&p != 0 })
				}
				require.Equal(t, of.Addr(), v.Addr)
				require.Equal(t, has(broach.ViewMembers), len(v.Members) > 0, "%d", i)
				require.Equal(t, has(broach.ViewServices), len(v.Services) > 0, "%d", i)
				require.Equal(t, has(broach.ViewSettings), len(v.Settings) > 0, "%d", i)
				require.Equal(t, has(broach.ViewStats), v.Stats.DatagramsOut > 0, "%d", i)
				require.Equal(t, has(broach.ViewStats) && has(broach.ViewMembers), len(v.Stats.Peers) > 0, "%d", i)
			}
			time.Sleep(time.Second)
		}
	})
}

// [VIEW-5] Who wants the members in brief adds 16 to 1: it gets the same of each, but for what they say themselves.
func TestMembersInBrief(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(4)
		c.Settle(10 * time.Second)
		c.Net.Cut([]netip.AddrPort{c.Nodes[1].Addr()}, []netip.AddrPort{c.Nodes[2].Addr()})
		c.Settle(10 * time.Second)
		for _, of := range c.Nodes {
			want := inspect(t, c.Nodes[0], of, broach.ViewMembers).Members
			for i, m := range want {
				m.RTT = (m.RTT + time.Microsecond - 1).Truncate(time.Microsecond)
				want[i] = broach.MemberView{Member: broach.Member{Addr: m.Addr, State: m.State, Self: m.Self,
					Unreachable: m.Unreachable, RTT: m.RTT}}
			}
			v := inspect(t, c.Nodes[0], of, broach.ViewMembers, broach.ViewBrief, broach.ViewStats)
			require.Equal(t, want, v.Members)
			require.Empty(t, v.Stats.Peers)
			time.Sleep(time.Second)
		}
	})
}

// opinion is what one node says of another.
func opinion(t *testing.T, by, of *broach.Node, about netip.AddrPort) broach.MemberView {
	t.Helper()
	v := inspect(t, by, of, broach.ViewMembers)
	i := slices.IndexFunc(v.Members, func(m broach.MemberView) bool { return m.Addr == about })
	require.GreaterOrEqual(t, i, 0)
	return v.Members[i]
}

// The Views of several members show who reaches whom.
func TestViewsShowWhoReachesWhom(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(4)
		c.Settle(10 * time.Second)
		a, b, other := c.Nodes[1], c.Nodes[2], c.Nodes[3]
		c.Net.Cut([]netip.AddrPort{a.Addr()}, []netip.AddrPort{b.Addr()})
		c.Until(10*time.Second, "a does not reach b", func() bool {
			return clustertest.MemberAt(a, b.Addr()).Unreachable
		})
		require.True(t, opinion(t, other, a, b.Addr()).Unreachable)
		require.False(t, opinion(t, other, other, b.Addr()).Unreachable)
		require.False(t, opinion(t, other, c.Nodes[0], b.Addr()).Unreachable)
		c.Net.Heal()
		c.Until(10*time.Second, "a reaches b", func() bool {
			return !clustertest.MemberAt(a, b.Addr()).Unreachable
		})
		require.False(t, opinion(t, other, a, b.Addr()).Unreachable)
	})
}

// And who suspects whom.
func TestViewsShowWhoSuspectsWhom(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(8)
		c.Settle(10 * time.Second)
		dead, asker := c.Nodes[1], c.Nodes[0]
		c.Kill(dead)
		c.Until(10*time.Second, "somebody suspects it", func() bool {
			for _, n := range c.Nodes[2:] {
				if clustertest.MemberAt(n, dead.Addr()).State == broach.Suspect {
					is := opinion(t, asker, n, dead.Addr())
					require.Equal(t, broach.Suspect, is.State)
					require.Equal(t, broach.Suspect, is.Peer.State)
					require.True(t, is.Peer.SuspectedBy.IsValid())
					return true
				}
			}
			return false
		})
	})
}

// Loss delays a View, and no more.
func TestAViewComesThroughLoss(t *testing.T) {
	clustertest.Run(t, 3, func(c *clustertest.Cluster) {
		c.StartAll(30)
		c.Settle(10 * time.Second)
		c.Net.SetDefault(simnet.Link{Loss: 0.2, Delay: 5 * time.Millisecond})
		for range 20 {
			require.Len(t, inspect(t, c.Nodes[3], c.Nodes[4]).Members, 30)
			time.Sleep(200 * time.Millisecond)
		}
	})
}

// Who cannot be asked is an error that says why, and the second time as the first.
func TestInspectFails(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(3)
		c.Settle(10 * time.Second)
		left, dead, asker := c.Nodes[0], c.Nodes[1], c.Nodes[2]
		ask := func(ctx context.Context, addr netip.AddrPort) error {
			v, err := asker.Inspect(ctx, addr)
			require.Equal(t, err != nil, !v.Addr.IsValid())
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for range 2 {
			require.EqualError(t, ask(context.Background(), clustertest.AddrOf(9)),
				"broach: Inspect on 10.0.0.10:7000: NotFound: there is no such member (executed: no)")
			clustertest.RequireError(t, ask(context.Background(), netip.AddrPort{}), broach.NotFound, broach.No)
			clustertest.RequireError(t, ask(ctx, left.Addr()), broach.Canceled, broach.No)
			clustertest.RequireError(t, ask(ctx, asker.Addr()), broach.Canceled, broach.No)
		}
		require.NoError(t, left.Leave(context.Background()))
		clustertest.RequireError(t, ask(context.Background(), left.Addr()), broach.Unreachable, broach.No)

		c.Kill(dead)
		began := time.Now()
		require.Error(t, ask(context.Background(), dead.Addr()))
		require.Less(t, time.Since(began), 7*time.Second)
		time.Sleep(5 * time.Second)
		clustertest.RequireError(t, ask(context.Background(), dead.Addr()), broach.Unreachable, broach.No)

		again := c.Start(1, 2)
		c.Until(10*time.Second, "it is back", func() bool {
			return clustertest.MemberAt(asker, again.Addr()).State == broach.Alive
		})
		require.Less(t, inspect(t, asker, again).Uptime, 10*time.Second, "of the new process")
		require.NoError(t, asker.Close())
		clustertest.RequireError(t, ask(context.Background(), again.Addr()), broach.Closed, broach.No)
		clustertest.RequireError(t, ask(context.Background(), asker.Addr()), broach.Closed, broach.No)
	})
}

// A member whose way is silent keeps its asker as long as ctx says.
func TestInspectEndsWithItsContext(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(2)
		c.Settle(10 * time.Second)
		c.Net.SetDefault(simnet.Link{Loss: 1})
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := c.Nodes[0].Inspect(ctx, c.Nodes[1].Addr())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 100*time.Millisecond, time.Since(began))
	})
}

// What is asked has no room in the answer that the member may give: another part has.
func TestAViewThatIsTooLarge(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) { cfg.MaxMessage = 2 << 10 }
		c.StartAll(40)
		c.Settle(10 * time.Second)
		_, err := c.Nodes[0].Inspect(context.Background(), c.Nodes[1].Addr(), broach.ViewMembers)
		clustertest.RequireError(t, err, broach.TooLarge, broach.Yes)
		require.NotEmpty(t, inspect(t, c.Nodes[0], c.Nodes[1], broach.ViewSettings).Settings)
	})
}

// A Tracer is told of calls of functions, not of what nodes ask of each other.
func TestATracerIsNotToldOfInspect(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		told := &told{}
		c.Edit = func(cfg *broach.Config) { cfg.Tracer = told }
		c.StartAll(2)
		c.Settle(10 * time.Second)
		inspect(t, c.Nodes[0], c.Nodes[1])
		inspect(t, c.Nodes[0], c.Nodes[0])
		require.Empty(t, told.names)
	})
}

// told is a Tracer that notes what it is told of.
type told struct{ names []string }

func (s *told) StartCall(ctx context.Context, name string, _ broach.CallKind) (context.Context, broach.Span) {
	s.names = append(s.names, name)
	return ctx, nil
}

func (s *told) StartServe(
	ctx context.Context, name string, _ broach.CallKind, _ netip.AddrPort, _ map[string]string,
) (context.Context, broach.Span) {
	s.names = append(s.names, name)
	return ctx, nil
}

// [VIEW-3] Keys, tokens, arguments, metadata and addresses of guests MUST NOT be in a view, nor what a configuration
// says to the application alone.
func TestAViewHasNoSecrets(t *testing.T) {
	const argument, metadata, appSecret = "argument 4711", "metadata 4712", "application 4713"
	keys := [][]byte{clustertest.KeyOf(1), clustertest.KeyOf(2)}
	misplaced := base64.StdEncoding.EncodeToString(clustertest.KeyOf(3))
	text, err := json.Marshal(map[string]any{
		"name": misplaced, "app": map[string]string{"password": appSecret}, "params": map[string]any{"keys": keys},
	})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "shop.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	loaded, err := broach.LoadConfig(path)
	require.NoError(t, err)
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) {
			is := loaded
			is.Name, is.Version, is.Conn, is.Join = cfg.Name, misplaced, cfg.Conn, cfg.Join
			is.RandSeed, is.Logger = cfg.RandSeed, cfg.Logger
			*cfg = is
			clustertest.MakeDeaf(cfg)
		}
		provider, caller := c.Start(0), c.Start(1, 0)
		got := make(chan string, 1)
		clustertest.Offer(c, provider, caller, "f", func(ctx context.Context, s string) string {
			in, _ := broach.InvocationFrom(ctx)
			got <- in.Meta()["m"]
			return s
		})
		_, err := caller.Caller("f", broach.Meta("m", metadata)).Call(c.T.Context(), argument)
		require.NoError(t, err)
		require.Equal(t, metadata, <-got)
		v, err := caller.Inspect(c.T.Context(), provider.Addr())
		require.NoError(t, err)
		require.NotEmpty(t, v.Settings)
		v.Version = "" // which every member sees
		for i := range v.Members {
			v.Members[i].Version = ""
		}
		b, err := msgpack.Marshal(v)
		require.NoError(t, err)
		b = fmt.Append(b, v)
		secrets := [][]byte{[]byte(argument), []byte(metadata), []byte(appSecret), []byte(misplaced)}
		for _, key := range append(keys, clustertest.KeyOf(3)) {
			secrets = append(secrets, key, fmt.Appendf(nil, "%x", key),
				[]byte(base64.StdEncoding.EncodeToString(key)), []byte(base64.RawURLEncoding.EncodeToString(key)))
		}
		tokens := append(c.DeafOf(provider).Said(caller.Addr()), c.DeafOf(provider).Heard(caller.Addr())...)
		require.GreaterOrEqual(t, len(tokens), 2, "of a link, one each way")
		for _, token := range tokens {
			secrets = append(secrets, fmt.Append(nil, token), binary.BigEndian.AppendUint64(nil, token))
		}
		for i, secret := range secrets {
			require.False(t, bytes.Contains(b, secret), "secret %d", i)
		}
	})
}

// Who has no key is no member, and gets nothing: neither to be asked nor an answer.
func TestStrangersDoNotInspect(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) { cfg.Keys = [][]byte{clustertest.KeyOf(1)} }
		provider := c.Start(0)
		c.Edit = func(*broach.Config) {}
		stranger := c.Start(1, 0)
		time.Sleep(5 * time.Second)
		_, err := stranger.Inspect(c.T.Context(), provider.Addr())
		clustertest.RequireError(t, err, broach.NotFound, broach.No)
		_, err = provider.Inspect(c.T.Context(), stranger.Addr())
		clustertest.RequireError(t, err, broach.NotFound, broach.No)
		require.Empty(t, provider.Stats().Peers, "there is no link to ask on")
	})
}

// [VIEW-2] A node that keeps its views to itself answers Unauthenticated, executed no.
func TestASilentNode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"params": {"silent": "yes"}}`), 0o600))
	_, err := broach.LoadConfig(path)
	require.EqualError(t, err, "broach: "+path+`: params.silent: "yes": must be true or false`)
	require.NoError(t, os.WriteFile(path, []byte(`{"params": {"silent": true}}`), 0o600))
	cfg, err := broach.LoadConfig(path)
	require.NoError(t, err)
	require.True(t, cfg.Silent)
	shown, err := json.Marshal(broach.Config{Silent: true})
	require.NoError(t, err)
	require.Contains(t, string(shown), `"Silent":true`)

	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(x *broach.Config) { x.Silent = cfg.Silent }
		silent := c.Start(0)
		c.Edit = func(*broach.Config) {}
		caller := c.Start(1, 0)
		c.Settle(10 * time.Second)
		for range 100 {
			_, err := caller.Inspect(c.T.Context(), silent.Addr(), broach.ViewStats)
			clustertest.RequireError(t, err, broach.Unauthenticated, broach.No)
		}
		v, err := silent.Inspect(c.T.Context(), silent.Addr())
		require.NoError(t, err, "it may look at itself")
		require.Len(t, v.Members, 2)
		_, err = silent.Inspect(c.T.Context(), caller.Addr())
		require.NoError(t, err, "and at others")
	})
}
