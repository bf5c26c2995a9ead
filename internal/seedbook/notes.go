package seedbook

import (
	"net/netip"
	"sync"
)

// Answer is what came from a seed that made no member of it.
type Answer uint8

const (
	CameNothing Answer = iota
	CameUnopened
	CameOtherCluster
	CameOtherVersion
	CameNoRoom
)

var cameTexts = [...]string{
	CameNothing:      "nothing came back: does a node run there, and do firewalls let UDP pass both ways?",
	CameUnopened:     "it sends what no key of this node opens: give both the same Keys",
	CameOtherCluster: "it is of another cluster: give both the same Cluster",
	CameOtherVersion: "it speaks another version of the protocol: bring both to the same version of broach",
	CameNoRoom:       "it has no room for another member: divide the cluster",
}

// Notes remember what came from seeds, and what the system said of sending to them. The zero value knows nothing.
type Notes struct {
	mu    sync.Mutex // protects all below: the reader notes, the loop reads
	came  map[netip.AddrPort]Answer
	fails map[netip.AddrPort]string
}

// Note notes what came from an address. It is called for seeds alone, so that strangers cannot make it grow.
func (s *Notes) Note(addr netip.AddrPort, came Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.came == nil {
		s.came = make(map[netip.AddrPort]Answer)
	}
	s.came[addr] = came
}

// NoteFailures notes what the system said of sending to seeds, in place of what it said before.
func (s *Notes) NoteFailures(fails map[netip.AddrPort]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = fails
}

// Text is what is known of an address. What came from there tells more than what the system says.
func (s *Notes) Text(addr netip.AddrPort) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fail := s.fails[addr]; fail != "" && s.came[addr] == CameNothing {
		return "the system says of sending to it: " + fail + ": does a node run there, and is there a way to it?"
	}
	return cameTexts[s.came[addr]]
}
