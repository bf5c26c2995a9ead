package broach

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"broach/internal/wire"

	"golang.org/x/sync/errgroup"
)

// refusalWait is how long the system is given to hear that nobody listens at an address: the ICMP message takes a round trip.
const refusalWait = 300 * time.Millisecond

// seedTry is an Open to a seed that is sent once more, where the system tells what becomes of it.
type seedTry struct {
	addr netip.AddrPort
	b    []byte
}

// seedTries are the Opens of the contacts with seeds that go on. A socket that is not ours to ask the system about has none.
func (n *Node) seedTries() (tries []seedTry) {
	if n.cfg.Conn != nil {
		return nil
	}
	ring := n.wires.Ring.Load()
	for _, o := range n.members.OpensToSeeds(troubleMax) {
		keyID := byte(0)
		if ring != nil {
			keyID = ring.KeyID()
		}
		b := wire.AppendOpen(nil, n.openOf(keyID, o.Token, o.Rank, o.Self))
		if ring != nil {
			ring.Prove(b, 0)
		}
		tries = append(tries, seedTry{o.To, b})
	}
	return tries
}

// trySending sends each from a socket that is connected to its address: of those alone the system says what ICMP told it.
func trySending(from netip.AddrPort, tries []seedTry) map[netip.AddrPort]string {
	texts := make([]string, len(tries))
	var all errgroup.Group
	for i, t := range tries {
		all.Go(func() error { texts[i] = sendFailure(from.Addr(), t); return nil })
	}
	_ = all.Wait()
	fails := make(map[netip.AddrPort]string)
	for i, t := range tries {
		fails[t.addr] = texts[i]
	}
	return fails
}

// sendFailure sends one, and returns what the system says against it; nothing if it has no objection.
func sendFailure(from netip.Addr, t seedTry) string {
	conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(t.addr))
	if err != nil {
		return reasonOf(err)
	}
	defer conn.Close()
	if _, err := conn.Write(t.b); err != nil {
		return reasonOf(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(refusalWait))
	if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return reasonOf(err)
	}
	return ""
}

// reasonOf is the reason within an error of package net, such as "connection refused".
func reasonOf(err error) string {
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
