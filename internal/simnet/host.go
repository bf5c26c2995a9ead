package simnet

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
)

// shards is how many locks the table of hosts has, so that a thousand senders seldom meet at one.
const shards = 64

// host is an address, whether or not anybody listens there.
type host struct {
	addr netip.AddrPort
	key  uint64 // hash of addr, the same in each run
	id   uint32 // index of this host in the flows of others; differs from run to run, so nothing else may use it
	out  outbox
	in   inbox
}

// hosts finds the host of an address. A host is never removed: a restarted node goes on with the counts of its address,
// or the second process would have the luck of the first.
type hosts struct {
	ids    atomic.Uint32
	shards [shards]shard
}

// shard is a part of the table under a lock of its own.
type shard struct {
	mu     sync.RWMutex
	byAddr map[netip.AddrPort]*host
}

// at returns the host of addr, made on first sight.
func (t *hosts) at(addr netip.AddrPort) *host {
	key := addrKey(addr)
	s := &t.shards[key%shards]
	s.mu.RLock()
	h := s.byAddr[addr]
	s.mu.RUnlock()
	if h == nil {
		h = t.add(s, addr, key)
	}
	return h
}

// add makes the host of addr, unless somebody else has done so since at looked.
func (t *hosts) add(s *shard, addr netip.AddrPort, key uint64) *host {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.byAddr[addr]; h != nil {
		return h
	}
	if s.byAddr == nil {
		s.byAddr = make(map[netip.AddrPort]*host)
	}
	h := &host{addr: addr, key: key, id: t.ids.Add(1) - 1}
	s.byAddr[addr] = h
	return h
}

// all returns the hosts known by now, in no order.
func (t *hosts) all() []*host {
	var all []*host
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		for _, h := range s.byAddr {
			all = append(all, h)
		}
		s.mu.RUnlock()
	}
	return all
}

// addrKey hashes an address without its zone.
func addrKey(a netip.AddrPort) uint64 {
	ip := a.Addr().As16()
	key := mix(uint64(a.Port()))
	key = mix(key ^ binary.BigEndian.Uint64(ip[8:]))
	return mix(key ^ binary.BigEndian.Uint64(ip[:8]))
}
