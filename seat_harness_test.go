package broach

import (
	"net/netip"
	"time"

	"broach/internal/handshake"
	"broach/internal/member"
	"broach/internal/wire"
)

// seat has a node believe in a peer that there is not: a link to it leads nowhere, and what it says is given to the
// membership. Who is to believe in it for long must not miss its beats.
func (n *Node) seat(now time.Time, i int, table []byte) *conn {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 7000)
	l := n.connFrom(wire.PublicKey{byte(i >> 8), byte(i)}, addr)
	if !n.linking.tokens.Add(l) {
		panic("the link has no place")
	}
	n.loop.members.Made(now, l.ID, l.Token, l.Order())
	n.says(now, l, 1, wire.Announce{Hello: wire.Hello{Inc: 1, Addr: addr, Name: "app", HasTable: true, Table: table}})
	return l
}

// connFrom is a link that a process with a public key has begun, which is in no table yet.
func (n *Node) connFrom(key wire.PublicKey, addr netip.AddrPort) *conn {
	l, err := newConn(time.Now(), &n.linking.wires, &handshake.Terms{
		Rank: 1, Stamp: n.linking.wires.Process.Stamp(time.Now()), TokenA: 0xa, KeyA: key, AddrA: addr, TokenB: n.draw() | 1, KeyB: n.linking.wires.Process.Key,
	}, false, nil, 1)
	if err != nil {
		panic("the link could not be made")
	}
	return l
}

// says has a peer say something on its link, under a version of its table: to the membership, without a datagram.
func (n *Node) says(now time.Time, l *conn, version uint32, msg wire.Message) {
	n.loop.members.Receive(now, member.Source{Addr: l.ID.Addr, Link: l.Token, Tver: version}, msg)
}
