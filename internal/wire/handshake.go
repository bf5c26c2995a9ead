package wire

import (
	"encoding/binary"
	"net/netip"
)

const (
	// OpenSize is the size of an Open and of an Offer: one is the answer to the other and must not be larger.
	OpenSize = 116
	// ConfirmSize is the number of bytes before the first message of a Confirm.
	ConfirmSize = 90
	// ConfirmMore is by how much that is more than in other datagrams of a link.
	ConfirmMore = ConfirmSize - HeaderSize
	// ProofSize is the size of the proof that ends an Open or Offer.
	ProofSize = 16

	// KeySize is the size of a public key.
	KeySize = 32

	addrSize = 18
)

// PublicKey names a process: with keys the public key of its X25519 pair, without keys 32 random bytes.
type PublicKey [KeySize]byte

// Proof shows that the sender of an Open or Offer has a key of the cluster; without keys it is zeros.
type Proof [ProofSize]byte

// Open asks for a link.
type Open struct {
	KeyID   uint8
	Rank    uint32 // the highest of the links that the sender holds to the address; 0: none
	Cluster uint64
	Number  uint64 // makes each Open of a process another
	Token   uint64 // by which its sender will receive
	Key     PublicKey
	Addr    netip.AddrPort // advertised by its sender; unspecified: it does not know its address
	Proof   Proof
}

// Offer answers an Open.
type Offer struct {
	KeyID    uint8
	Rank     uint32 // of the link that is offered
	Echo     uint64 // the token in the Open
	Stamp    uint32 // milliseconds since its sender started
	Held     uint32 // the highest rank of the links that its sender holds with who opened; 0: none
	Token    uint64 // by which its sender will receive; 0: none, the Open named no address
	Key      PublicKey
	Addr     netip.AddrPort // advertised by its sender
	Observed netip.AddrPort // where the Open came from
	Proof    Proof
}

// Confirm is a datagram of a link that says what its receiver needs to make the link: Header is followed by the fields
// of the Open and Offer that the link is made of, then by messages.
type Confirm struct {
	Header
	Echo  uint64 // the token in the Open
	Key   PublicKey
	Addr  netip.AddrPort // as in the Open
	Rank  uint32         // as in the Offer
	Stamp uint32         // as in the Offer
}

// AppendOpen appends an Open. The proof is its last ProofSize bytes.
func AppendOpen(b []byte, m Open) []byte {
	b = append(b, magic, version, m.KeyID, byte(FormOpen))
	b = binary.BigEndian.AppendUint32(b, m.Rank)
	b = binary.BigEndian.AppendUint64(b, m.Cluster)
	b = binary.BigEndian.AppendUint64(b, m.Number)
	b = binary.BigEndian.AppendUint64(b, m.Token)
	b = append(b, m.Key[:]...)
	b = AppendAddr(b, m.Addr)
	b = append(b, make([]byte, addrSize)...) // an Offer has one address more
	return append(b, m.Proof[:]...)
}

// ConsumeOpen decodes an Open, whose form is known; bytes behind it are ignored. The errors are ErrShort, and ErrField
// for a token of 0 or a port of 0.
func ConsumeOpen(b []byte) (Open, error) {
	f, m := fields{b: b}, Open{}
	f.bytes(2)
	m.KeyID = f.uint8()
	f.bytes(1)
	m.Rank, m.Cluster, m.Number, m.Token = f.uint32(), f.uint64(), f.uint64(), f.token()
	copy(m.Key[:], f.bytes(KeySize))
	m.Addr = f.addr18()
	f.bytes(addrSize)
	copy(m.Proof[:], f.bytes(ProofSize))
	return m, f.err
}

// AppendOffer appends an Offer. The proof is its last ProofSize bytes.
func AppendOffer(b []byte, m Offer) []byte {
	b = append(b, magic, version, m.KeyID, byte(FormOffer))
	b = binary.BigEndian.AppendUint32(b, m.Rank)
	b = binary.BigEndian.AppendUint64(b, m.Echo)
	b = binary.BigEndian.AppendUint32(b, m.Stamp)
	b = binary.BigEndian.AppendUint32(b, m.Held)
	b = binary.BigEndian.AppendUint64(b, m.Token)
	b = append(b, m.Key[:]...)
	b = AppendAddr(b, m.Addr)
	b = AppendAddr(b, m.Observed)
	return append(b, m.Proof[:]...)
}

// ConsumeOffer decodes an Offer, whose form is known; bytes behind it are ignored. The errors are ErrShort, and
// ErrField for an echo of 0 or a port of 0.
func ConsumeOffer(b []byte) (Offer, error) {
	f, m := fields{b: b}, Offer{}
	f.bytes(2)
	m.KeyID = f.uint8()
	f.bytes(1)
	m.Rank, m.Echo, m.Stamp, m.Held, m.Token = f.uint32(), f.token(), f.uint32(), f.uint32(), f.uint64()
	copy(m.Key[:], f.bytes(KeySize))
	m.Addr, m.Observed = f.addr18(), f.addr18()
	copy(m.Proof[:], f.bytes(ProofSize))
	return m, f.err
}

// AppendConfirm appends what a Confirm has before its messages.
func AppendConfirm(b []byte, m Confirm) []byte {
	m.Form = FormConfirm
	b = AppendHeader(b, m.Header)
	b = binary.BigEndian.AppendUint64(b, m.Echo)
	b = append(b, m.Key[:]...)
	b = AppendAddr(b, m.Addr)
	b = binary.BigEndian.AppendUint32(b, m.Rank)
	return binary.BigEndian.AppendUint32(b, m.Stamp)
}

// ConsumeConfirm decodes a Confirm, whose form is known; its messages, which may be sealed, are the rest. The errors
// are ErrShort, and ErrField for a token of 0 or a port of 0.
func ConsumeConfirm(b []byte) (m Confirm, rest []byte, err error) {
	f := fields{b: b}
	f.bytes(2)
	m.KeyID, m.Form = f.uint8(), Form(f.uint8())
	m.TableVersion, m.Token, m.Number, m.Echo = f.uint32(), f.token(), f.uint64(), f.token()
	copy(m.Key[:], f.bytes(KeySize))
	m.Addr = f.addr18()
	m.Rank, m.Stamp = f.uint32(), f.uint32()
	return m, f.b, f.err
}

// token takes a token. None is 0, so that 0 can stand for no link everywhere else.
func (f *fields) token() uint64 {
	v := f.uint64()
	if v == 0 {
		f.fail(ErrField)
	}
	return v
}

// addr18 takes an address of 18 bytes.
func (f *fields) addr18() netip.AddrPort {
	ip, _ := netip.AddrFromSlice(f.bytes(addrSize - 2)) // of nil it is the zero Addr, and there is an error already
	port := f.uint16()
	if port == 0 {
		f.fail(ErrField)
	}
	return netip.AddrPortFrom(ip.Unmap(), port)
}

// AppendAddr appends an address in 18 bytes: an IP of IPv6, or IPv4 mapped to it, and the port. Zones mean something on
// their own host only and do not travel.
func AppendAddr(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr().As16()
	b = append(b, ip[:]...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}
