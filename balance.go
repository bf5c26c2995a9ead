package broach

import (
	"net/netip"
	"sync"
	"time"

	"broach/internal/balance"
)

// Balancer chooses who gets a call. It may be used by many calls at once.
type Balancer interface {
	// Pick returns the index of one of the providers, of which there is at least one, sorted by address. They are those
	// that a call can go to and that it has not been at yet; suspect and unsteady ones only if there are no others. A
	// Balancer that panics, or returns an index that there is not, fails the call with Internal.
	Pick(call CallInfo, from []Provider) int
}

// CallInfo is what a Balancer knows of a call.
type CallInfo struct {
	Service string
	Key     string // of the option Key
	Random  uint64 // drawn for this choice: with Config.RandSeed a simulation can be replayed
}

// Provider is a node that a call can go to.
type Provider struct {
	Addr     netip.AddrPort
	Self     bool          // the calling node
	InFlight int           // calls of this node at it, of any function
	Latency  time.Duration // of this function there lately; 0: not known
	Weight   int           // of this function there, see Weight
}

// LeastLoaded is the default strategy: of two random providers the one with fewer of our calls in flight, and rather
// the faster one if one is twice as fast (Mitzenmacher 2001, "The power of two choices"). A provider that comes gets
// its share little by little, in 10 s.
func LeastLoaded() Balancer { return leastLoaded{} }

// leastLoaded is recognized by the node, which knows more than a Balancer is told. This is for others that ask it.
type leastLoaded struct{}

func (leastLoaded) Pick(call CallInfo, from []Provider) int {
	i, j := two(call.Random, len(from))
	if from[j].InFlight < from[i].InFlight {
		return j
	}
	return i
}

// two makes two different indexes below n of a random number, or the same if n is 1.
func two(random uint64, n int) (i, j int) {
	i = int(random >> 32 % uint64(n))
	if n == 1 {
		return i, i
	}
	return i, (i + 1 + int(random&0xffffffff%uint64(n-1))) % n // an int may have 32 bits
}

// Random chooses by chance.
func Random() Balancer { return randomly{} }

type randomly struct{}

func (randomly) Pick(call CallInfo, from []Provider) int { return int(call.Random % uint64(len(from))) }

// Weighted chooses by chance, in proportion to each provider's Weight.
func Weighted() Balancer { return weighted{} }

type weighted struct{}

func (weighted) Pick(call CallInfo, from []Provider) int {
	sum := 0
	for i := range from {
		sum += from[i].Weight
	}
	at := int(call.Random % uint64(sum))
	for i := range from {
		if at -= from[i].Weight; at < 0 {
			return i
		}
	}
	panic("broach: internal error: weights do not add up")
}

// RoundRobin goes round the providers in the order of their addresses, from a random one on. It remembers where it is,
// also when others come or go: share one Balancer among the Callers that are to take turns.
func RoundRobin() Balancer { return new(roundRobin) }

type roundRobin struct {
	mu   sync.Mutex
	last netip.AddrPort // who was chosen; not valid: nobody yet
}

func (b *roundRobin) Pick(call CallInfo, from []Provider) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := 0
	if !b.last.IsValid() {
		i = int(call.Random % uint64(len(from)))
	} else {
		for i < len(from) && from[i].Addr.Compare(b.last) <= 0 {
			i++
		}
		i %= len(from)
	}
	b.last = from[i].Addr
	return i
}

// Sticky sends calls with the same Key to the same provider, by rendezvous hashing (Thaler and Ravishankar 1998): when
// a provider goes, only its keys move, to all others alike. All nodes choose the same.
func Sticky() Balancer { return sticky{} }

type sticky struct{}

func (sticky) Pick(call CallInfo, from []Provider) int {
	best, highest := 0, uint64(0)
	for i := range from {
		if score := balance.Rendezvous(call.Key, from[i].Addr); i == 0 || score > highest {
			best, highest = i, score
		}
	}
	return best
}
