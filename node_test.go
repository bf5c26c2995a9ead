package broach

import (
	"math/bits"
	"testing"
	"time"
	"unsafe"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

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
