package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"broach"
)

// lossySystems are broach over sockets that lose datagrams.
var lossySystems = []system{lossy(0), lossy(1), lossy(5), lossy(20)}

const (
	doubled   = 0.02                 // of the datagrams, where any are lost
	reordered = 0.05                 // likewise
	heldBack  = 2 * time.Millisecond // at most, by one that is overtaken: some ten round trips
)

// lossy is broach with typed calls over sockets that lose so many of a hundred datagrams.
func lossy(percent int) system {
	loss := float64(percent) / 100
	return system{
		name:  fmt.Sprintf("broach-loss%d", percent),
		title: fmt.Sprintf("broach, %d %% loss", percent),
		lossy: true, broach: true,
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

// openLossy opens a socket. Its buffer is set here, as broach leaves those of a Conn that it was given alone.
func openLossy(loss float64) (lossyConn, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return lossyConn{}, err
	}
	return lossyConn{conn, loss}, conn.SetReadBuffer(udpBuffer)
}

// WriteToUDPAddrPort sends b, or seems to.
func (c lossyConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	switch fateOf(rand.Float64(), c.loss) {
	case lost:
		return len(b), nil
	case late:
		c.sendLater(slices.Clone(b), to)
		return len(b), nil
	case twice:
		c.UDPConn.WriteToUDPAddrPort(b, to)
	}
	return c.UDPConn.WriteToUDPAddrPort(b, to)
}

// fate is what happens to a datagram.
type fate int

const (
	sent fate = iota
	lost
	late
	twice
)

// fateOf picks a fate by x, which is drawn from 0 to 1. Without loss nothing else happens either.
func fateOf(x, loss float64) fate {
	switch {
	case loss == 0:
		return sent
	case x < loss:
		return lost
	case x < loss+reordered:
		return late
	case x < loss+reordered+doubled:
		return twice
	}
	return sent
}

// sendLater lets others overtake b.
func (c lossyConn) sendLater(b []byte, to netip.AddrPort) {
	time.AfterFunc(rand.N(heldBack), func() { c.UDPConn.WriteToUDPAddrPort(b, to) })
}
