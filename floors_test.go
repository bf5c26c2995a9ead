package broach

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [CALL-17] The seqs of a link's slots, and the numbers of its transfers, MUST begin above those of any earlier link between the same two
// processes. Else the provider would answer new calls with what it has kept of old ones.
func TestALinkMadeAnewIsNotTakenForTheOldOne(t *testing.T) {
	inPair(t, map[string]any{"echo": func(b []byte) []byte { return b }}, func(c *cluster, provider, caller *Node) {
		echo := func(b byte, size int) {
			sent := bytes.Repeat([]byte{b}, size)
			got, err := Call[[]byte](context.Background(), caller.Caller("echo"), sent)
			require.NoError(t, err)
			require.True(t, bytes.Equal(sent, got), "%d bytes of %d came back as %d bytes of %d", size, b, len(got), got[0])
		}
		for round := byte(1); round < 4; round++ {
			for _, size := range []int{1, 1000, 100_000} {
				echo(round, size)
			}
			c.net.Cut([]netip.AddrPort{addrOf(0)}, []netip.AddrPort{addrOf(1)})
			time.Sleep(2 * time.Second)
			require.NoError(t, caller.Forget(addrOf(0)))
			c.net.Heal()
			c.settle(5 * time.Second)
			require.NoError(t, caller.WaitFor(context.Background(), "echo", 1))
		}
	})
}
