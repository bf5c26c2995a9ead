package broach

import (
	"net/netip"
	"time"

	"broach/internal/member"
	"broach/internal/wire"
)

// seat has a node believe in a peer that there is not: a link to it leads nowhere, and what it says is given to the membership. Who is to believe
// in it for long must not miss its beats.
func (n *Node) seat(now time.Time, i int, table []byte) *link {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 7000)
	l := linkFrom(&n.wires, wire.PublicKey{byte(i >> 8), byte(i)}, addr)
	if !n.tokens.add(l) {
		panic("the link has no place")
	}
	n.members.Made(now, l.id, l.token, l.order())
	n.says(now, l, 1, wire.Announce{Hello: wire.Hello{Inc: 1, Addr: addr, Name: "app", HasTable: true, Table: table}})
	return l
}

// says has a peer say something on its link, under a version of its table: to the membership, without a datagram.
func (n *Node) says(now time.Time, l *link, version uint32, msg wire.Message) {
	n.members.Receive(now, member.Source{Addr: l.id.Addr, Link: l.token, Tver: version}, msg)
}
