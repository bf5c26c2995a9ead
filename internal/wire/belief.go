package wire

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"
)

// BeliefsMost is how many beliefs are decoded at once, at most: many times what a cluster has members.
const BeliefsMost = 1 << 15

// Belief is what a process believes of a member, and has measured, in brief.
type Belief struct {
	Addr        netip.AddrPort
	State       uint8 // 0 to 3, as in a view
	Self        bool  // it is the process itself
	Unreachable bool
	Unsteady    bool
	Draining    bool
	RTT         time.Duration // to the microsecond, 71 minutes at most; 0: not measured
	Loss        float64       // share of its datagrams that did not arrive, 0 to 1
}

// The bits of a belief. The first two are its state, the last two are ignored.
const (
	beliefStates      = 3
	beliefSelf        = 1 << 2
	beliefUnreachable = 1 << 3
	beliefUnsteady    = 1 << 4
	beliefDraining    = 1 << 5

	beliefLeast = 1 + 1 + 4 + 2 + 4 + 2 // bytes, of an address of IPv4
	lossUnits   = math.MaxUint16
)

// Append appends the belief.
func (m Belief) Append(b []byte) []byte {
	b = appendAddr(append(b, m.bits()), m.Addr)
	b = binary.BigEndian.AppendUint32(b, microseconds(m.RTT))
	return binary.BigEndian.AppendUint16(b, uint16(math.Round(lossUnits*min(max(m.Loss, 0), 1))))
}

// microseconds are rounded up: a round trip that was measured is not 0.
func microseconds(d time.Duration) uint32 {
	return uint32(min((d+time.Microsecond-1)/time.Microsecond, math.MaxUint32))
}

func (m Belief) bits() byte {
	bits := m.State & beliefStates
	for _, mark := range []struct {
		isSet bool
		bit   byte
	}{
		{m.Self, beliefSelf}, {m.Unreachable, beliefUnreachable},
		{m.Unsteady, beliefUnsteady}, {m.Draining, beliefDraining},
	} {
		if mark.isSet {
			bits |= mark.bit
		}
	}
	return bits
}

// ConsumeBeliefs decodes beliefs to the end of b. The errors are ErrShort, ErrField for what is no address, and
// ErrLimit for more than BeliefsMost.
func ConsumeBeliefs(b []byte) ([]Belief, error) {
	f := fields{b: b}
	list := make([]Belief, 0, min(len(b)/beliefLeast, BeliefsMost))
	for f.err == nil && len(f.b) > 0 {
		if len(list) == BeliefsMost {
			return nil, ErrLimit
		}
		list = append(list, f.belief())
	}
	if f.err != nil {
		return nil, f.err
	}
	return list, nil
}

func (f *fields) belief() Belief {
	bits := f.uint8()
	return Belief{
		State: bits & beliefStates, Self: bits&beliefSelf != 0, Unreachable: bits&beliefUnreachable != 0,
		Unsteady: bits&beliefUnsteady != 0, Draining: bits&beliefDraining != 0,
		Addr: f.addr(), RTT: time.Duration(f.uint32()) * time.Microsecond, Loss: float64(f.uint16()) / lossUnits,
	}
}
