package wire

import (
	"encoding/binary"
)

const (
	// of an entry, in bytes. It is the same for all addresses, so that what names one pays for what is sent there
	EntrySize    = addrSize + 8
	ListOverhead = FrameSize + 8 + 2 + 2 // of a List without entries
)

// Digest is FNV-1a 64 of an entry as a List has it. The membership of a node is digested as the XOR over its entries.
func Digest(e Process) uint64 {
	var room [EntrySize]byte
	return fnv1a(appendEntry(room[:0], e))
}

// List is a part of the alive peers that its sender knows.
type List struct {
	Echo         uint64    // the nonce of the Join that this answers; 0: it answers none
	Index, Count uint16    // this part, from 0, and the number of parts
	Entries      []Process // may be none
}

// Kind is KindList.
func (m List) Kind() Kind { return KindList }

// Append appends the message.
func (m List) Append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(startFrame(b, KindList), m.Echo)
	b = binary.BigEndian.AppendUint16(b, m.Index)
	b = binary.BigEndian.AppendUint16(b, m.Count)
	for _, e := range m.Entries {
		b = appendEntry(b, e)
	}
	return endFrame(b, start)
}

// ConsumeList decodes the body of a List. The errors are ErrShort, also when it ends within an entry, and ErrField for
// an index that is not below count, an address or a boot id.
func ConsumeList(body []byte) (List, error) {
	f := fields{b: body}
	m := List{Echo: f.uint64(), Index: f.uint16(), Count: f.uint16()}
	if m.Index >= m.Count {
		f.fail(ErrField)
	}
	n := len(f.b) / EntrySize
	if err := checkEntries(f); err != nil {
		return List{}, err
	}
	m.Entries = make([]Process, 0, n)
	for range n {
		m.Entries = append(m.Entries, f.entry())
	}
	return m, nil
}

// checkEntries looks at the entries in the rest of f, so that memory is set aside only for a List that is right to its
// end.
func checkEntries(f fields) error {
	for f.err == nil && len(f.b) > 0 {
		f.entry()
	}
	return f.err
}

func appendEntry(b []byte, e Process) []byte {
	return binary.BigEndian.AppendUint64(AppendAddr(b, e.Addr), e.Boot)
}

func (f *fields) entry() Process {
	return Process{Addr: f.addr18(), Boot: f.bootID()}
}
