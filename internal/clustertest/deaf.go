package clustertest

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"broach"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// Deaf is a socket that can lose what comes on some links: who reads from it comes to doubt them, and makes others. It
// knows links by the tokens of what it carries.
type Deaf struct {
	*simnet.Conn

	mu          sync.Mutex // protects what follows: readers, loops and the test
	heard, said map[netip.AddrPort][]uint64
	lost        []uint64
}

// MakeDeaf gives a node such a socket, which loses nothing at first.
func MakeDeaf(cfg *broach.Config) {
	cfg.Conn = &Deaf{
		Conn: cfg.Conn.(*simnet.Conn), heard: map[netip.AddrPort][]uint64{}, said: map[netip.AddrPort][]uint64{},
	}
}

// DeafOf is the socket of a node that was started so.
func (c *Cluster) DeafOf(n *broach.Node) *Deaf { return c.Configs[n].Conn.(*Deaf) }

func (d *Deaf) ReadFromUDPAddrPort(b []byte) (n int, from netip.AddrPort, err error) {
	for {
		if n, from, err = d.Conn.ReadFromUDPAddrPort(b); err != nil || d.hears(b[:n], from) {
			return n, from, err
		}
	}
}

func (d *Deaf) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if token, ok := LinkToken(b); ok {
		d.mu.Lock()
		d.said[to] = noted(d.said[to], token)
		d.mu.Unlock()
	}
	return d.Conn.WriteToUDPAddrPort(b, to)
}

// hears keeps the token of what came, and reports whether the node is to get it.
func (d *Deaf) hears(b []byte, from netip.AddrPort) bool {
	token, ok := LinkToken(b)
	if !ok {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.heard[from] = noted(d.heard[from], token)
	return wire.Form(b[3]) == wire.FormConfirm || !slices.Contains(d.lost, token)
}

// noted is a list with a token in it.
func noted(list []uint64, token uint64) []uint64 {
	if slices.Contains(list, token) {
		return list
	}
	return append(list, token)
}

// LinkToken is the token of a datagram of a link.
func LinkToken(b []byte) (token uint64, ok bool) {
	h, _, err := wire.ConsumeHeader(b)
	return h.Token, err == nil && (h.Form == wire.FormLink || h.Form == wire.FormConfirm)
}

// HasLink reports whether a node has a link on which datagrams come to it with a token: what comes with any other is a
// stranger's. What it asks with is nothing that the link would take: its number is that of the first datagram.
func (c *Cluster) HasLink(n *broach.Node, token uint64) bool {
	h := wire.Header{Token: token, Number: 1}
	if keys := c.Configs[n].Keys; len(keys) > 0 {
		h.KeyID = KeyIDOf(keys[0])
	}
	before := n.Stats().Strangers
	c.Net.Inject(StrangerAddr, n.Addr(), wire.AppendHeader(nil, h))
	time.Sleep(5 * time.Millisecond)
	return n.Stats().Strangers == before
}

// Heard are the tokens with which something came from an address, the oldest first.
func (d *Deaf) Heard(from netip.AddrPort) []uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.heard[from])
}

// Said are the tokens with which something went to an address, the oldest first.
func (d *Deaf) Said(to netip.AddrPort) []uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.said[to])
}

// Lose loses from now on what comes on the links that there are with some addresses, and on no others.
func (d *Deaf) Lose(from ...netip.AddrPort) {
	var tokens []uint64
	for _, addr := range from {
		tokens = append(tokens, d.Heard(addr)...)
	}
	d.LoseLinks(tokens...)
}

// LoseLinks loses from now on what comes with some tokens, and with no others.
func (d *Deaf) LoseLinks(tokens ...uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost = tokens
}

// Renew makes a node that MakeDeaf was for begin another link to a peer, because it doubts the one that there is.
func (c *Cluster) Renew(n, peer *broach.Node) {
	c.T.Helper()
	d, addr := c.DeafOf(n), peer.Addr()
	heard, said := len(d.Heard(addr)), len(d.Said(addr))
	d.Lose(addr)
	c.Until(5*time.Second, "there is no other link", func() bool {
		return len(d.Heard(addr)) > heard && len(d.Said(addr)) > said
	})
	d.Lose()
	time.Sleep(20 * time.Millisecond) // both loops know
	require.Equal(c.T, broach.Alive, MemberAt(n, addr).State)
}
