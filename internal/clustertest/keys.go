package clustertest

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"broach"
	"broach/internal/seal"
)

// KeyOf is a key that is told from others.
func KeyOf(b byte) []byte {
	k := bytes.Repeat([]byte{b}, seal.KeySize)
	k[0] ^= 0xff
	return k
}

// WithKeys gives the nodes that start from now on these keys.
func (c *Cluster) WithKeys(keys ...[]byte) {
	c.Edit = func(cfg *broach.Config) { cfg.Keys = keys }
}

// Recording is a datagram that was overheard.
type Recording struct {
	From, To netip.AddrPort
	Payload  []byte
}

// StrangerAddr is where nobody is.
var StrangerAddr = netip.MustParseAddrPort("10.9.9.9:9")

// KeyIDOf is the key id of a key.
func KeyIDOf(key []byte) byte {
	ring, err := seal.NewRing([][]byte{key})
	if err != nil {
		panic(err)
	}
	return ring.KeyID()
}

// SameID returns another key with the key id of one.
func SameID(t testing.TB, key []byte) []byte {
	want := KeyIDOf(key)
	for n := range 1 << 16 {
		if other := append(KeyOf(9)[:30], byte(n>>8), byte(n)); KeyIDOf(other) == want {
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

// Rubbish is so many bytes of it.
func Rubbish(n int) []byte {
	at := rand.N(1<<20 - n)
	return slices.Clone(noiseSource()[at : at+n])
}

// Noise is bytes that do not look alike.
func Noise(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewPCG(uint64(n), 1)
	for i := range b {
		b[i] = byte(rng.Uint64())
	}
	return b
}
