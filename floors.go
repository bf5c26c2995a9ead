package broach

import "sync"

// floors are what the numbers of a new link begin above: those of all links that are no more. The process at the other end may still know
// such a link, and would take a datagram, a call or a transfer for one that it has seen: [HDR-7], [CALL-17], [SEAL-3].
type floors struct {
	mu       sync.Mutex // links end in the loop and are made there, but talk at first need
	number   uint64     // of a datagram
	seq      uint32     // of a call in any slot; it may have gone round
	transfer uint32     // likewise
}

// raise notes the numbers of a link that ends.
func (f *floors) raise(number uint64, seq, transfer uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.number = max(f.number, number)
	f.seq = newer(f.seq, seq)
	f.transfer = newer(f.transfer, transfer)
}

func (f *floors) get() (number uint64, seq, transfer uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.number, f.seq, f.transfer
}

// newer is the larger of two numbers that go round, RFC 1982.
func newer(a, b uint32) uint32 {
	if int32(b-a) > 0 {
		return b
	}
	return a
}
