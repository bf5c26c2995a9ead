package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// refusalWait is how long the system is given to hear that nobody listens at an address: the ICMP message takes a round
// trip.
const refusalWait = 300 * time.Millisecond

// Refusals sends each datagram from a socket that is connected to its address: of those alone the system says what ICMP
// told it. It returns what that is, such as "connection refused", and nothing where the system has no objection. It
// takes a third of a second.
func Refusals(from netip.Addr, tries []Datagram) map[netip.AddrPort]string {
	texts := make([]string, len(tries))
	var all sync.WaitGroup
	for i, t := range tries {
		all.Go(func() { texts[i] = refusal(from, t) })
	}
	all.Wait()
	refusals := make(map[netip.AddrPort]string)
	for i, t := range tries {
		refusals[t.Addr] = texts[i]
	}
	return refusals
}

// refusal sends one, and returns what the system says against it.
func refusal(from netip.Addr, t Datagram) string {
	here := net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	conn, err := net.DialUDP("udp", here, net.UDPAddrFromAddrPort(t.Addr))
	if err != nil {
		return reasonOf(err)
	}
	defer conn.Close()
	if _, err := conn.Write(t.B); err != nil {
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
