package main

import (
	"io"
	"log"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// listTransport is memberlist's own transport, whose datagrams and streams pass through a port.
type listTransport struct {
	*memberlist.NetTransport
	port *port
}

var _ memberlist.NodeAwareTransport = listTransport{}

// openListTransport tries again when the free TCP port that it found is taken for UDP.
func openListTransport(b birth) (listTransport, error) {
	cfg := &memberlist.NetTransportConfig{
		BindAddrs: []string{b.at.Addr().String()}, BindPort: int(b.at.Port()),
		Logger: log.New(io.Discard, "", 0),
	}
	var err error
	for range 10 {
		var inner *memberlist.NetTransport
		if inner, err = memberlist.NewNetTransport(cfg); err == nil {
			self := netip.AddrPortFrom(b.at.Addr(), uint16(inner.GetAutoBindPort()))
			return listTransport{inner, &port{net: b.net, self: self}}, nil
		}
	}
	return listTransport{}, err
}

func (t listTransport) WriteTo(p []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(p, memberlist.Address{Addr: addr})
}

// WriteToAddress sends p, or seems to.
func (t listTransport) WriteToAddress(p []byte, a memberlist.Address) (time.Time, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return time.Time{}, err
	}
	if !t.port.sends(to, len(p)) {
		return time.Now(), nil
	}
	return t.NetTransport.WriteToAddress(p, a)
}

func (t listTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (t listTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return nil, err
	}
	if err := t.port.dials(to); err != nil {
		return nil, err
	}
	conn, err := t.NetTransport.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	return stream{conn, t.port.net}, nil
}

// stream counts what passes, both ways: the accepting end need not.
type stream struct {
	net.Conn
	net *network
}

func (s stream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.net.stream(n)
	return n, err
}

func (s stream) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	s.net.stream(n)
	return n, err
}
