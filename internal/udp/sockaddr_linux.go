package udp

import (
	"encoding/binary"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddrs translates addresses to and from the form the kernel uses on one socket. Every name
// lies in the space of an IPv6 one, the larger of the two; an IPv4 name uses its beginning.
type sockaddrs struct {
	family  int                               // of the socket: AF_INET or AF_INET6
	indexes atomic.Pointer[map[string]uint32] // zone name to interface index; copied to add one
	zones   map[uint32]string                 // interface index to zone name; the reader's
}

// maxZones bounds the interfaces remembered, in either direction. Machines which make and drop
// an interface per container count their indexes up for ever.
const maxZones = 256

// put writes to as a name for this socket and returns the name's length. IPv4 is mapped on an
// IPv6 socket. What cannot be reached is written all the same, and refused by the kernel.
func (s *sockaddrs) put(sa *unix.RawSockaddrInet6, to netip.AddrPort) uint32 {
	ip, port := to.Addr(), networkOrder(to.Port())
	if s.family == unix.AF_INET && ip.Unmap().Is4() {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*sa4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: ip.As4()}
		return unix.SizeofSockaddrInet4
	}
	*sa = unix.RawSockaddrInet6{
		Family:   unix.AF_INET6,
		Port:     port,
		Addr:     ip.As16(),
		Scope_id: s.index(ip.Zone()),
	}
	return unix.SizeofSockaddrInet6
}

// consume reads the name of a datagram's sender. Only the reader calls it.
func (s *sockaddrs) consume(sa *unix.RawSockaddrInet6) netip.AddrPort {
	if s.family == unix.AF_INET {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), networkOrder(sa4.Port))
	}
	ip := netip.AddrFrom16(sa.Addr).Unmap()
	if sa.Scope_id != 0 {
		ip = ip.WithZone(s.zone(sa.Scope_id))
	}
	return netip.AddrPortFrom(ip, networkOrder(sa.Port))
}

// index is the number of the interface a zone names. It is 0 if there is none, which leaves the
// choice of the interface to the kernel, as package net does.
func (s *sockaddrs) index(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if known := s.indexes.Load(); known != nil {
		if n, ok := (*known)[zone]; ok {
			return n
		}
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	ifi, err := net.InterfaceByName(zone)
	if err != nil {
		return 0
	}
	s.remember(zone, uint32(ifi.Index))
	return uint32(ifi.Index)
}

// remember keeps the index of a zone. Of two at the same moment one may be lost, and is looked
// up once more.
func (s *sockaddrs) remember(zone string, n uint32) {
	grown := map[string]uint32{zone: n}
	if known := s.indexes.Load(); known != nil && len(*known) < maxZones {
		maps.Copy(grown, *known)
	}
	s.indexes.Store(&grown)
}

// forget drops the known indexes: an interface that was made anew has another one, and the
// first sign of it is a datagram refused.
func (s *sockaddrs) forget() { s.indexes.Store(nil) }

// zone is the name of interface n, or its number if it has none.
func (s *sockaddrs) zone(n uint32) string {
	if name, ok := s.zones[n]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(n), 10)
	if ifi, err := net.InterfaceByIndex(int(n)); err == nil {
		name = ifi.Name
	}
	if s.zones == nil || len(s.zones) == maxZones {
		s.zones = make(map[uint32]string)
	}
	s.zones[n] = name
	return name
}

// networkOrder turns a port into network order, and back.
func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}
