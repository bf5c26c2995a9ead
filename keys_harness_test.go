package broach

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"broach/internal/seal"
)

// keyOf is a key that is told from others.
func keyOf(b byte) []byte {
	k := bytes.Repeat([]byte{b}, seal.KeySize)
	k[0] ^= 0xff
	return k
}

// strangerAddr is where nobody is.
var strangerAddr = netip.MustParseAddrPort("10.9.9.9:9")

// linkWith is the link of a node to another.
func (n *Node) linkWith(other *Node) *conn { return n.linking.tokens.Link(n.tokenTo(other.Addr())) }

// tokenTo is the token of the link that a node has with a peer; 0: none.
func (n *Node) tokenTo(addr netip.AddrPort) uint64 {
	for _, p := range n.calling.view.Load().peers {
		if p.Addr == addr {
			return p.Link
		}
	}
	return 0
}

// keyIDOf is the key id of a key.
func keyIDOf(key []byte) byte {
	ring, err := seal.NewRing([][]byte{key})
	if err != nil {
		panic(err)
	}
	return ring.KeyID()
}

// sameID returns another key with the key id of one.
func sameID(t testing.TB, key []byte) []byte {
	want := keyIDOf(key)
	for n := range 1 << 16 {
		if other := append(keyOf(9)[:30], byte(n>>8), byte(n)); keyIDOf(other) == want {
			return other
		}
	}
	t.Fatal("there is no such key")
	return nil
}

// noiseSource is random bytes: making them anew for each datagram would cost more than throwing it.
var noiseSource = sync.OnceValue(func() []byte {
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
})

// rubbish is so many bytes of it.
func rubbish(n int) []byte {
	at := rand.N(1<<20 - n)
	return slices.Clone(noiseSource()[at : at+n])
}
