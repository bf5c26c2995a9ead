package broach

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"

	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// deaf is a socket that loses what comes on some links: who reads from it comes to doubt them, and makes others.
type deaf struct {
	*simnet.Conn
	mu     sync.Mutex
	tokens []uint64
}

// makeDeaf gives a node such a socket.
func makeDeaf(cfg *Config) { cfg.Conn = &deaf{Conn: cfg.Conn.(*simnet.Conn)} }

func (d *deaf) ReadFromUDPAddrPort(b []byte) (n int, from netip.AddrPort, err error) {
	for {
		if n, from, err = d.Conn.ReadFromUDPAddrPort(b); err != nil || !d.loses(b[:n]) {
			return n, from, err
		}
	}
}

func (d *deaf) loses(b []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(b) >= wire.HeaderSize && wire.Form(b[3]) == wire.FormLink && slices.Contains(d.tokens, binary.BigEndian.Uint64(b[8:]))
}

// doubt makes the node lose what comes on the links that it has with some addresses, and notice that.
func (n *Node) doubt(now time.Time, peers ...netip.AddrPort) {
	var tokens []uint64
	for _, addr := range peers {
		for _, l := range n.linking.tokens.At(addr) {
			tokens = append(tokens, l.Token)
		}
	}
	n.hear(tokens...)
	for _, token := range tokens {
		n.loop.members.Unanswered(now, token)
	}
	n.carryOut(now)
}

// hear makes the node lose what comes on no other links than some, if any.
func (n *Node) hear(not ...uint64) {
	d := n.cfg.Conn.(*deaf)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tokens = not
}

// renew makes a node begin another link to a peer, because it doubts the one that there is.
func (c *cluster) renew(n, peer *Node) {
	c.t.Helper()
	before := append(n.linksWith(peer), peer.linksWith(n)...)
	isNew := func(l *conn) bool { return !slices.Contains(before, l) }
	require.NoError(c.t, n.do(func(now time.Time) { n.doubt(now, peer.Addr()) }))
	c.until(5*time.Second, "there is no other link", func() bool {
		return slices.ContainsFunc(n.linksWith(peer), isNew) && slices.ContainsFunc(peer.linksWith(n), isNew)
	})
	n.hear()
	time.Sleep(20 * time.Millisecond) // both loops know
}
