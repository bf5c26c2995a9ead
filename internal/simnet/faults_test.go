package simnet_test

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// trio is three nodes which say hello to each other.
type trio struct {
	conns map[netip.AddrPort]*simnet.Conn
	heard map[netip.AddrPort]func() []arrival
}

func newTrio(t *testing.T, n *simnet.Network) *trio {
	tr := &trio{make(map[netip.AddrPort]*simnet.Conn), make(map[netip.AddrPort]func() []arrival)}
	for _, a := range []netip.AddrPort{alice, bob, carol} {
		tr.conns[a] = listen(t, n, a)
		tr.heard[a] = record(tr.conns[a])
	}
	return tr
}

// hello makes each say hello to each and returns who heard whom, by their first letters.
func (tr *trio) hello(t *testing.T) []string {
	t.Helper()
	names := map[netip.AddrPort]string{alice: "a", bob: "b", carol: "c"}
	all := []netip.AddrPort{alice, bob, carol}
	before := make(map[netip.AddrPort]int)
	for _, to := range all {
		before[to] = len(tr.heard[to]())
	}
	for _, from := range all {
		for _, to := range all {
			if from != to {
				send(t, tr.conns[from], to, names[from]+names[to])
			}
		}
	}
	time.Sleep(time.Second)
	pairs := []string{}
	for _, to := range all {
		pairs = append(pairs, payloads(tr.heard[to]()[before[to]:])...)
	}
	return pairs
}

func TestACutStopsBothWaysUntilHealed(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		tr := newTrio(t, n)
		everybody := []string{"ba", "ca", "ab", "cb", "ac", "bc"}
		require.ElementsMatch(t, everybody, tr.hello(t))
		n.Cut([]netip.AddrPort{alice}, []netip.AddrPort{bob, carol})
		require.ElementsMatch(t, []string{"cb", "bc"}, tr.hello(t))
		require.EqualValues(t, 4, n.Stats().Cut)
		n.Cut([]netip.AddrPort{bob}, []netip.AddrPort{carol})
		require.Empty(t, tr.hello(t), "the second cut did not add to the first")
		n.Heal()
		require.ElementsMatch(t, everybody, tr.hello(t))
	})
}

func TestAOneWayCut(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		tr := newTrio(t, n)
		n.CutOneWay([]netip.AddrPort{alice}, []netip.AddrPort{bob})
		require.ElementsMatch(t, []string{"ba", "ca", "cb", "ac", "bc"}, tr.hello(t))
	})
}

// "Datagrams in flight still arrive." "What was written meanwhile stays lost."
func TestACutLosesWhatIsWrittenWhileItLasts(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		n.SetDefault(simnet.Link{Delay: time.Second})
		a, heard := listen(t, n, alice), recordAt(t, n, bob)
		send(t, a, bob, "in flight")
		n.Cut([]netip.AddrPort{alice}, []netip.AddrPort{bob})
		send(t, a, bob, "cut")
		n.Heal()
		send(t, a, bob, "healed")
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"in flight", "healed"}, payloads(heard()))
	})
}

// "Reads see nothing; what arrives waits in the receive queue." "The conn reads what has waited, in order and at once."
func TestAPausedNodeReadsWhenResumed(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, heard := listen(t, n, alice), recordAt(t, n, bob)
		n.Pause(bob)
		send(t, a, bob, "one")
		time.Sleep(time.Second)
		send(t, a, bob, "two")
		time.Sleep(time.Second)
		require.Empty(t, heard())
		n.Resume(bob)
		require.Equal(t, []string{"one", "two"}, payloads(heard()), "at the instant of Resume")
		require.Equal(t, 2*time.Second, heard()[1].at)
		send(t, a, bob, "three")
		time.Sleep(time.Second)
		require.Equal(t, []string{"one", "two", "three"}, payloads(heard()))
	})
}

func TestTheQueueOfAPausedNodeHasALimit(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, b := listen(t, n, alice), listen(t, n, bob)
		b.SetQueueLimit(2)
		heard := record(b)
		n.Pause(bob)
		for _, s := range []string{"one", "two", "three"} {
			send(t, a, bob, s)
		}
		time.Sleep(time.Second)
		require.EqualValues(t, 1, n.Stats().Overflowed)
		n.Resume(bob)
		require.Equal(t, []string{"one", "two"}, payloads(heard()))
	})
}

// "Each goes on until it writes, and waits there."
func TestAPausedNodeIsMute(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, heard := listen(t, n, alice), recordAt(t, n, bob)
		n.Pause(alice)
		n.Pause(alice) // it is already
		written := make(chan time.Time, 1)
		go func() {
			send(t, a, bob, "late")
			written <- time.Now()
		}()
		time.Sleep(time.Second)
		require.Empty(t, heard())
		require.Zero(t, n.Stats().Sent)
		n.Resume(alice)
		require.Zero(t, time.Since(<-written))
		time.Sleep(time.Second)
		require.Equal(t, []string{"late"}, payloads(heard()))
	})
}

// "Until Resume or Close."
func TestAWriteThatWaitsEndsWithTheProcess(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, heard := listen(t, n, alice), recordAt(t, n, bob)
		n.Pause(alice)
		failed := make(chan error, 1)
		go func() {
			_, err := a.WriteToUDPAddrPort([]byte("never"), bob)
			failed <- err
		}()
		time.Sleep(time.Second)
		require.NoError(t, a.Close())
		require.ErrorIs(t, <-failed, net.ErrClosed)
		require.Empty(t, heard())
	})
}

// "A conn opened at addr after the close of a paused one is not paused."
func TestAPauseEndsWithTheProcess(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		n.Pause(bob) // nobody is there yet
		b := listen(t, n, bob)
		n.Pause(bob)
		require.NoError(t, b.Close())
		a, heard := listen(t, n, alice), recordAt(t, n, bob)
		send(t, a, bob, "hello")
		time.Sleep(time.Second)
		require.Equal(t, []string{"hello"}, payloads(heard()))
	})
}

// "Drop loses the datagrams that f picks. It replaces the function of an earlier call; nil ends it."
func TestDropLosesWhatItsFunctionPicks(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, heard := listen(t, n, alice), recordAt(t, n, bob)
		picks := func(word string) func(from, to netip.AddrPort, payload []byte) bool {
			return func(from, to netip.AddrPort, payload []byte) bool {
				require.Equal(t, alice, from)
				require.Equal(t, bob, to)
				return string(payload) == word
			}
		}
		say := func() {
			for _, word := range []string{"one", "two"} {
				send(t, a, bob, word)
			}
		}
		n.Drop(picks("one"))
		say()
		n.Drop(picks("two"))
		say()
		n.Drop(nil)
		say()
		n.Drop(func(_, _ netip.AddrPort, _ []byte) bool { return true })
		time.Sleep(time.Second)
		n.Inject(carol, bob, []byte("forged"))
		time.Sleep(time.Second)
		require.Equal(t, []string{"two", "one", "one", "two", "forged"}, payloads(heard()))
		require.EqualValues(t, 2, n.Stats().Lost)
	})
}

// "One that was picked is lost, and costs the later ones nothing of their luck."
func TestDropDoesNotChangeTheLuckOfOthers(t *testing.T) {
	run := func(drops bool) (got []string) {
		simulate(t, 3, func(t *testing.T, n *simnet.Network) {
			n.SetDefault(simnet.Link{Loss: 0.5})
			n.Drop(func(_, _ netip.AddrPort, b []byte) bool { return drops && b[0] == 'x' })
			a, heard := listen(t, n, alice), recordAt(t, n, bob)
			for i := range 50 {
				send(t, a, bob, "x")
				send(t, a, bob, string(rune('A'+i)))
			}
			time.Sleep(time.Second)
			got = slices.DeleteFunc(payloads(heard()), func(s string) bool { return s == "x" })
		})
		return got
	}
	require.Equal(t, run(false), run(true))
}
