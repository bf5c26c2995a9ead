package broach

import (
	"bytes"
	"net/netip"

	"broach/internal/seal"
)

// keyOf is a key that is told from others.
func keyOf(b byte) []byte {
	k := bytes.Repeat([]byte{b}, seal.KeySize)
	k[0] ^= 0xff
	return k
}

// withKeys gives the nodes that start from now on these keys.
func (c *cluster) withKeys(keys ...[]byte) {
	c.edit = func(cfg *Config) { cfg.Keys = keys }
}

// recording is a datagram that was overheard.
type recording struct {
	from, to netip.AddrPort
	payload  []byte
}

// strangerAddr is where nobody is.
var strangerAddr = netip.MustParseAddrPort("10.9.9.9:9")

// linkWith is the link of a node to another.
func (n *Node) linkWith(other *Node) *link {
	for _, p := range n.view.Load().peers {
		if p.addr == other.Addr() {
			return n.tokens.link(p.link)
		}
	}
	return nil
}
