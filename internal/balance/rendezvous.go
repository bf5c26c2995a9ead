package balance

import "net/netip"

// Rendezvous scores an address for a key: FNV-1a over both, and mixed, without which similar addresses would win
// similar keys.
func Rendezvous(key string, addr netip.AddrPort) uint64 {
	h := uint64(14695981039346656037)
	add := func(b byte) { h = (h ^ uint64(b)) * 1099511628211 }
	for i := range len(key) {
		add(key[i])
	}
	for _, b := range addr.Addr().As16() {
		add(b)
	}
	add(byte(addr.Port() >> 8))
	add(byte(addr.Port()))
	return Mixed(h)
}

// Mixed is the finalizer of splitmix64 (Steele, Lea, Flood 2014): each bit of the result depends on each bit of x, and
// no two x have the same.
func Mixed(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
