package broach

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// Only who asks for long and without a pause is told of; however many ask, few are remembered.
func TestPleas(t *testing.T) {
	var s pleas
	now := time.Now()
	at := func(after time.Duration, i int) bool { return s.add(now.Add(after), addrOf(i)) }
	require.False(t, at(0, 1))
	require.False(t, at(unheardFor-1, 1))
	require.True(t, at(unheardFor, 1))
	require.False(t, at(unheardFor+unheardGap+1, 1), "it has begun anew")
	for i := range 10 * unheardMax {
		require.False(t, at(unheardFor+unheardGap+1, 2+i))
		require.LessOrEqual(t, len(s.by), unheardMax)
	}
}

// Who sends from another address than it advertises, and is reached at that one, is told of by nobody: a host may have
// several addresses.
func TestWhoIsReachedIsNotTold(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		log := c.loggedBy()
		n := c.start(0)
		r := &reader{node: n}
		c.start(1, 0)
		c.settle(time.Second)
		for i := range 100 {
			r.noteUnheard(time.Now().Add(time.Duration(i)*time.Second), addrOf(7), c.nodes[1].linking.wires.Process.Key, addrOf(1))
		}
		require.NotContains(t, log.String(), "from another address")
		for i := range 100 {
			r.noteUnheard(time.Now().Add(time.Duration(i)*time.Second), addrOf(7), wire.PublicKey{1}, addrOf(2))
		}
		time.Sleep(time.Millisecond)
		require.Contains(t, log.String(), "from another address")
	})
}
