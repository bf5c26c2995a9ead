package attacks

import (
	"net/netip"
	"testing"
	"time"

	"broach"
	"broach/internal/intruder"

	"github.com/stretchr/testify/require"
)

// [MEM-32] A node that does not know its address and is lied to by the first that it asks is nobody's peer at the false
// one, and takes the true one when another sees it there. Afterwards all is well.
func TestALearnerThatWasLiedTo(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(3)
		lie := netip.MustParseAddrPort("10.77.0.1:77")
		liar := f.member(0, f.nodes[0], func(i *intruder.Intruder) {
			i.Observe = func(netip.AddrPort) netip.AddrPort { return lie }
		})
		f.blind = true
		f.edit = func(cfg *broach.Config) {
			cfg.Join = []string{liar.Addr.String(), nodeAddr(1).String(), nodeAddr(2).String()}
		}
		learner := f.start(3)
		f.until(5*time.Second, "it believes the first", func() bool { return learner.Addr() == lie })
		took := f.untilEach(100*time.Millisecond, 90*time.Second, "it finds out",
			func() bool { return learner.Addr() == nodeAddr(3) })
		t.Logf("after %v", took)
		f.untilEach(100*time.Millisecond, 30*time.Second, "all meet", f.allMet)
		f.call(learner, f.nodes[0])
		f.call(f.nodes[0], learner)
		time.Sleep(2 * time.Minute)
		require.Equal(t, nodeAddr(3), learner.Addr(), "one liar does not change that")
		require.True(t, f.allMet())
	})
}

// A liar that is asked second changes nothing, however often it is asked.
func TestALearnerThatKnowsIsNotTalkedAway(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(3)
		f.member(0, f.nodes[0], func(i *intruder.Intruder) {
			i.Observe = func(netip.AddrPort) netip.AddrPort { return netip.MustParseAddrPort("10.77.0.1:77") }
		})
		f.blind = true
		learner := f.start(3, 0)
		f.untilEach(100*time.Millisecond, 10*time.Second, "all meet", f.allMet)
		for range 200 {
			time.Sleep(time.Second)
			require.Equal(t, nodeAddr(3), learner.Addr())
		}
		require.True(t, f.allMet())
	})
}
