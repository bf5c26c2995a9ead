package wire

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

const (
	// FoundMost is how many providers a process lists of one function.
	FoundMost = 64
	// FoundWords is how long the signatures of those are together, at most.
	FoundWords = 16 << 10
)

// Found is what a process says of who offers a function: the result of the protocol's own function that guests ask.
type Found struct {
	More      uint32 // providers that are not listed: they cannot be called now, or there are too many
	Providers []Provider
}

// Provider is one of those who offer a function.
type Provider struct {
	Process
	Table      uint32 // version of its service table
	Signature  string
	Weight     uint16 // 0 is none said
	Idempotent bool   // it may run twice for one call
	Last       bool   // it is called when nobody else is left
}

// providerLast is a bit of a provider. The first two are those of a table, as is the last, rowMore; those between are
// ignored.
const providerLast = 1 << 2

// Add lists a provider, or counts it where there is no room.
func (m *Found) Add(p Provider) {
	words := 0
	for _, s := range m.signatures() {
		words += len(s)
	}
	if len(m.Providers) == FoundMost || words+len(p.Signature) > FoundWords {
		m.More++
		return
	}
	m.Providers = append(m.Providers, p)
}

// signatures are those of the providers, each once, as they first come.
func (m *Found) signatures() (list []string) {
	for i := range m.Providers {
		if s := m.Providers[i].Signature; !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// Append appends what was found.
func (m Found) Append(b []byte) []byte {
	words := m.signatures()
	b = append(binary.BigEndian.AppendUint32(b, m.More), byte(len(words)))
	for _, s := range words {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	b = append(b, byte(len(m.Providers)))
	for i := range m.Providers {
		b = m.Providers[i].append(b, words)
	}
	return b
}

func (p *Provider) append(b []byte, words []string) []byte {
	b = binary.BigEndian.AppendUint64(appendAddr(b, p.Addr), p.Boot)
	b = binary.BigEndian.AppendUint32(b, p.Table)
	b = append(b, byte(slices.Index(words, p.Signature)), p.bits())
	if p.Weight != 0 {
		b = binary.BigEndian.AppendUint16(b, p.Weight)
	}
	return b
}

func (p *Provider) bits() (bits byte) {
	if p.Idempotent {
		bits |= rowIdempotent
	}
	if p.Weight != 0 {
		bits |= rowWeight
	}
	if p.Last {
		bits |= providerLast
	}
	return bits
}

// ConsumeFound decodes what was found, as a copy. The errors are ErrShort, ErrField for what is out of its bounds, and
// ErrLimit for more providers or signatures than may be listed.
func ConsumeFound(b []byte) (Found, error) {
	f := fields{b: b}
	m := Found{More: f.uint32()}
	words, total := []string(nil), 0
	for range f.count() {
		s := f.bytes(int(f.uint16()))
		if total += len(s); !utf8.Valid(s) {
			f.fail(ErrField)
		}
		words = append(words, string(s))
	}
	if total > FoundWords {
		f.fail(ErrLimit)
	}
	for range f.count() {
		m.Providers = append(m.Providers, consumeProvider(&f, words))
	}
	if f.err != nil {
		return Found{}, f.err
	}
	return m, nil
}

// count takes how many providers or signatures follow.
func (f *fields) count() int {
	n := int(f.uint8())
	if n > FoundMost {
		f.fail(ErrLimit)
	}
	if f.err != nil {
		return 0
	}
	return n
}

func consumeProvider(f *fields, words []string) Provider {
	p := Provider{Process: Process{Addr: f.addr(), Boot: f.bootID()}, Table: f.uint32()}
	if i := int(f.uint8()); i < len(words) {
		p.Signature = words[i]
	} else {
		f.fail(ErrField)
	}
	bits := f.uint8()
	if bits&rowWeight != 0 {
		if p.Weight = f.uint16(); p.Weight == 0 {
			f.fail(ErrField)
		}
	}
	if bits&rowMore != 0 {
		f.bytes(int(f.uint16()))
	}
	p.Idempotent, p.Last = bits&rowIdempotent != 0, bits&providerLast != 0
	return p
}
