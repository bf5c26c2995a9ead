package broach

import (
	"net/netip"
	"sync"
)

// seedAnswer is what came from a seed that made no member of it.
type seedAnswer uint8

const (
	cameNothing seedAnswer = iota
	cameUnopened
	cameOtherCluster
	cameOtherVersion
	cameNoRoom
)

var cameTexts = [...]string{
	cameNothing:      "nothing came back: does a node run there, and do firewalls let UDP pass both ways?",
	cameUnopened:     "it sends what no key of this node opens: give both the same Keys",
	cameOtherCluster: "it is of another cluster: give both the same Cluster",
	cameOtherVersion: "it speaks another version of the protocol: bring both to the same version of broach",
	cameNoRoom:       "it has no room for another member: divide the cluster",
}

// seedNotes remember what came from seeds, and what the system said of sending to them. The zero value knows nothing.
type seedNotes struct {
	mu    sync.Mutex // protects all below: the reader notes, the loop reads
	came  map[netip.AddrPort]seedAnswer
	fails map[netip.AddrPort]string
}

// Note notes what came from an address. It is called for seeds alone, so that strangers cannot make it grow.
func (s *seedNotes) Note(addr netip.AddrPort, came seedAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.came == nil {
		s.came = make(map[netip.AddrPort]seedAnswer)
	}
	s.came[addr] = came
}

// NoteFailures notes what the system said of sending to seeds, in place of what it said before.
func (s *seedNotes) NoteFailures(fails map[netip.AddrPort]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = fails
}

// Text is what is known of an address. What came from there tells more than what the system says.
func (s *seedNotes) Text(addr netip.AddrPort) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fail := s.fails[addr]; fail != "" && s.came[addr] == cameNothing {
		return "the system says of sending to it: " + fail + ": does a node run there, and is there a way to it?"
	}
	return cameTexts[s.came[addr]]
}
