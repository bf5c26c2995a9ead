package main

import (
	"net/netip"
	"sync/atomic"
)

// A system is a membership that can be measured.
type system struct {
	name  string
	title string
	start func(birth) (member, error)

	reasons bool // it tells the application whether a node left or failed
}

// A birth is what a node starts with.
type birth struct {
	net  *network
	news *news
	at   netip.AddrPort // port 0: a free one
	seed netip.AddrPort // the node to join by; the zero value for the first of all
	run  string         // metadata that tells this process from the one that had the address before
}

// A member is a running node of a system.
type member interface {
	addr() netip.AddrPort

	// sees has the run of each node that is up in this one's view, itself included, and "" for one that is up but out
	// of reach.
	sees() map[netip.AddrPort]string

	leave() // says goodbye and ends
	kill()  // ends without a goodbye
}

// news counts what the nodes of a cluster tell the application of each other.
type news struct {
	down atomic.Int64 // a node failed, is out of reach or, where the system has no reasons, left
	left atomic.Int64 // a node said goodbye
}

// systems are all that can be measured, in the order of the table.
var systems = []system{broachSystem, memberlistLAN, memberlistFast}

var loopback = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
