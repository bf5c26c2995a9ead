package wire

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// MaxWanted is how many addresses a Join may ask for.
const MaxWanted = 60

// Join asks for a List.
type Join struct {
	Nonce  uint64
	Wanted []netip.AddrPort // who is asked for; none: all
}

// Kind is KindJoin.
func (m Join) Kind() Kind { return KindJoin }

// Append appends the message. It panics when there are more than MaxWanted addresses.
func (m Join) Append(b []byte) []byte {
	if len(m.Wanted) > MaxWanted {
		panic("broach: internal error: a Join asks for more addresses than it may")
	}
	start := len(b)
	b = binary.BigEndian.AppendUint64(startFrame(b, KindJoin), m.Nonce)
	b = append(b, byte(len(m.Wanted)))
	for _, a := range m.Wanted {
		b = AppendAddr(b, a)
	}
	return endFrame(b, start)
}

// ConsumeJoin decodes the body of a Join. The errors are ErrShort, ErrField for an address, and ErrLimit when there are
// more than MaxWanted.
func ConsumeJoin(body []byte) (Join, error) {
	f := fields{b: body}
	m := Join{Nonce: f.uint64()}
	count := int(f.uint8())
	if count > MaxWanted {
		f.fail(ErrLimit)
	}
	if err := checkAddrs(f, count); err != nil {
		return Join{}, err
	}
	m.Wanted = slices.Grow(m.Wanted, count)
	for range count {
		m.Wanted = append(m.Wanted, f.addr18())
	}
	return m, nil
}

// checkAddrs looks at the next n addresses in f, so that memory is set aside only for a Join that is right to its end.
func checkAddrs(f fields, n int) error {
	for range n {
		f.addr18()
	}
	return f.err
}
