package main

import (
	"context"
	"net"
	"net/netip"

	"broach"
)

// broachSystem is broach with its defaults.
var broachSystem = system{name: "broach", title: "broach", start: startBroach, reasons: true}

// broachMember is a node of broach.
type broachMember struct {
	node *broach.Node
	conn broachConn
}

// broachConn is a socket whose datagrams pass through a port.
type broachConn struct {
	*net.UDPConn
	port *port
}

var _ broach.PacketConn = broachConn{}

// udpBuffer is what broach asks for itself: it leaves alone the buffer of a Conn that it was given.
const udpBuffer = 4 << 20

func openBroachConn(b birth) (broachConn, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(b.at))
	if err != nil {
		return broachConn{}, err
	}
	self := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return broachConn{conn, &port{net: b.net, self: self}}, conn.SetReadBuffer(udpBuffer)
}

// WriteToUDPAddrPort sends p, or seems to.
func (c broachConn) WriteToUDPAddrPort(p []byte, to netip.AddrPort) (int, error) {
	if !c.port.sends(to, len(p)) {
		return len(p), nil
	}
	return c.UDPConn.WriteToUDPAddrPort(p, to)
}

func startBroach(b birth) (member, error) {
	conn, err := openBroachConn(b)
	if err != nil {
		return nil, err
	}
	cfg := broach.Config{Conn: conn, LogLevel: "off", Tags: map[string]string{"run": b.run}}
	if b.seed.IsValid() {
		cfg.Join = []string{b.seed.String()}
	}
	node, err := broach.Start(cfg)
	if err != nil {
		conn.Close()
		return nil, err
	}
	go watchBroach(node, b.news)
	return broachMember{node, conn}, nil
}

// watchBroach counts events until the node is closed.
func watchBroach(node *broach.Node, n *news) {
	for e := range node.Watch(context.Background()) {
		switch e.Kind {
		case broach.MemberOffline, broach.MemberUnreachable:
			n.down.Add(1)
		case broach.MemberLeft:
			n.left.Add(1)
		}
	}
}

func (m broachMember) addr() netip.AddrPort { return m.conn.port.self }
func (m broachMember) leave()               { m.node.Close() }

func (m broachMember) sees() map[netip.AddrPort]string {
	view := make(map[netip.AddrPort]string)
	for _, one := range m.node.Members() {
		switch {
		case one.State == broach.Offline || one.State == broach.Left:
		case one.Unreachable:
			view[one.Addr] = ""
		default:
			view[one.Addr] = one.Tags["run"]
		}
	}
	return view
}

func (m broachMember) kill() {
	m.conn.port.silent.Store(true)
	m.conn.Close()
	m.node.Close()
}
