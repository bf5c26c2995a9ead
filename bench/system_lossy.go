package main

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"broach"
)

// lossySystems are broach over sockets that lose datagrams.
var lossySystems = []system{lossy("loss0", 0), lossy("loss1", 0.01), lossy("loss5", 0.05), lossy("loss20", 0.20)}

const (
	doubled   = 0.02                 // of the datagrams, where any are lost
	reordered = 0.05                 // likewise
	heldBack  = 2 * time.Millisecond // at most, by one that is overtaken: some ten round trips

	// Linux doubles it and gives no more than net.core.rmem_max. A wrapped socket is the user's own: broach leaves its
	// buffers alone.
	lossyBuffer = 4 << 20
)

// lossy is broach with typed calls over sockets that lose that share of what they send.
func lossy(name string, loss float64) system {
	return system{
		name: "broach-" + name, title: "broach, " + name, lossy: true, loss: loss,
		serve: func() (server, error) { return serveLossy(loss) },
		dial:  func(addr string) (client, error) { return dialLossy(loss, addr) },
	}
}

func serveLossy(loss float64) (server, error) {
	conn, err := openLossy(loss)
	if err != nil {
		return server{}, err
	}
	cfg, runs := quiet(), newTally()
	cfg.Conn = conn
	s, err := serveBroach(cfg, func(x, y int) int { runs.note(x); return x + y })
	s.tally = runs
	return s, err
}

func dialLossy(loss float64, addr string) (client, error) {
	conn, err := openLossy(loss)
	if err != nil {
		return nil, err
	}
	cfg := quiet()
	cfg.Conn = conn
	return dialTyped(cfg, addr)
}

// lossyConn is a UDP socket that loses, doubles and holds back what it sends.
type lossyConn struct {
	*net.UDPConn
	loss float64
}

var _ broach.PacketConn = lossyConn{}

func openLossy(loss float64) (lossyConn, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return lossyConn{}, err
	}
	return lossyConn{conn, loss}, conn.SetReadBuffer(lossyBuffer)
}

// WriteToUDPAddrPort sends b, or seems to.
func (c lossyConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	switch fate := rand.Float64(); {
	case c.loss == 0:
	case fate < c.loss:
		return len(b), nil
	case fate < c.loss+doubled:
		c.UDPConn.WriteToUDPAddrPort(b, to)
	case fate < c.loss+doubled+reordered:
		c.sendLater(slices.Clone(b), to)
		return len(b), nil
	}
	return c.UDPConn.WriteToUDPAddrPort(b, to)
}

// sendLater lets others overtake b.
func (c lossyConn) sendLater(b []byte, to netip.AddrPort) {
	time.AfterFunc(rand.N(heldBack), func() { c.UDPConn.WriteToUDPAddrPort(b, to) })
}
