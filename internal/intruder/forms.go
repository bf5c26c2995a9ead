package intruder

import (
	"encoding/binary"
	"net/netip"
)

// The forms of a datagram.
const (
	FormLink byte = iota
	FormOpen
	FormOffer
	FormConfirm
)

const (
	// LinkHead and ConfirmHead are the bytes before the messages.
	LinkHead    = 24
	ConfirmHead = 90
	// HandshakeSize is that of an Open, and of an Offer.
	HandshakeSize = 116

	proofSize = 16
	proven    = HandshakeSize - proofSize // what a proof is made of
)

var be = binary.BigEndian

// Open asks for a link. KeyID is that of Key unless it is set.
type Open struct {
	Key    []byte // proves it; nil: zeros in place of a proof
	KeyID  byte
	Rank   uint32
	Number uint64
	Token  uint64 // of who asks
	Process
	Spare [18]byte
}

// Bytes is the datagram.
func (o Open) Bytes() []byte {
	b := be.AppendUint32(start(o.KeyID, o.Key, FormOpen), o.Rank)
	b = be.AppendUint64(be.AppendUint64(be.AppendUint64(b, o.Cluster), o.Number), o.Token)
	b = appendAddr18(append(b, o.Public[:]...), o.Addr)
	return appendProof(append(b, o.Spare[:]...), o.Key)
}

// ParseOpen takes an Open apart; its proof is not looked at.
func ParseOpen(b []byte) (o Open, ok bool) {
	if Form(b) != FormOpen || len(b) < HandshakeSize {
		return Open{}, false
	}
	o = Open{KeyID: b[2], Rank: be.Uint32(b[4:]), Number: be.Uint64(b[16:]), Token: be.Uint64(b[24:]),
		Spare: [18]byte(b[82:])}
	o.Process = Process{Cluster: be.Uint64(b[8:]), Public: [32]byte(b[32:]), Addr: addr18(b[64:])}
	return o, true
}

// Offer answers an Open.
type Offer struct {
	Key      []byte
	KeyID    byte
	Rank     uint32
	Asker    uint64 // token of who asked
	Stamp    uint32 // milliseconds since the start of who answers
	Held     uint32
	Token    uint64 // of who answers
	Public   [32]byte
	Addr     netip.AddrPort
	Observed netip.AddrPort // source of the Open
}

// Bytes is the datagram.
func (o Offer) Bytes() []byte {
	b := be.AppendUint32(start(o.KeyID, o.Key, FormOffer), o.Rank)
	b = be.AppendUint32(be.AppendUint64(b, o.Asker), o.Stamp)
	b = be.AppendUint64(be.AppendUint32(b, o.Held), o.Token)
	b = appendAddr18(append(b, o.Public[:]...), o.Addr)
	return appendProof(appendAddr18(b, o.Observed), o.Key)
}

// ParseOffer takes an Offer apart; its proof is not looked at.
func ParseOffer(b []byte) (o Offer, ok bool) {
	if Form(b) != FormOffer || len(b) < HandshakeSize {
		return Offer{}, false
	}
	return Offer{
		KeyID: b[2], Rank: be.Uint32(b[4:]), Asker: be.Uint64(b[8:]), Stamp: be.Uint32(b[16:]), Held: be.Uint32(b[20:]),
		Token:  be.Uint64(b[24:]),
		Public: [32]byte(b[32:]), Addr: addr18(b[64:]), Observed: addr18(b[82:]),
	}, true
}

// Confirm is the head of the first datagrams of a link. Messages follow.
type Confirm struct {
	KeyID  byte
	Table  uint32
	Token  uint64 // of the receiver
	Number uint64
	Asker  uint64 // token of the sender
	Public [32]byte
	Addr   netip.AddrPort
	Rank   uint32
	Stamp  uint32
}

// Bytes is the head.
func (c Confirm) Bytes() []byte {
	b := linkHead(c.KeyID, FormConfirm, c.Table, c.Token, c.Number)
	b = appendAddr18(append(be.AppendUint64(b, c.Asker), c.Public[:]...), c.Addr)
	return be.AppendUint32(be.AppendUint32(b, c.Rank), c.Stamp)
}

// ParseConfirm takes the head of a Confirm apart.
func ParseConfirm(b []byte) (c Confirm, ok bool) {
	if Form(b) != FormConfirm || len(b) < ConfirmHead {
		return Confirm{}, false
	}
	return Confirm{
		KeyID: b[2], Table: be.Uint32(b[4:]), Token: be.Uint64(b[8:]), Number: be.Uint64(b[16:]),
		Asker:  be.Uint64(b[24:]),
		Public: [32]byte(b[32:]), Addr: addr18(b[64:]), Rank: be.Uint32(b[82:]), Stamp: be.Uint32(b[86:]),
	}, true
}

// linkHead is what datagrams of a link begin with.
func linkHead(keyID, form byte, table uint32, token, number uint64) []byte {
	b := be.AppendUint32([]byte{0xb7, 2, keyID, form}, table)
	return be.AppendUint64(be.AppendUint64(b, token), number)
}

// Form is the form of a datagram; 255 if it is none of this protocol.
func Form(b []byte) byte {
	if len(b) < LinkHead || b[0] != 0xb7 || b[1] != 2 {
		return 255
	}
	return b[3]
}

// HeadSize is how many bytes of a datagram stand before its messages.
func HeadSize(form byte) int {
	if form == FormConfirm {
		return ConfirmHead
	}
	return LinkHead
}

func start(keyID byte, key []byte, form byte) []byte {
	if keyID == 0 && key != nil {
		keyID = KeyID(key)
	}
	return []byte{0xb7, 2, keyID, form}
}

// appendAddr18 appends an address as the handshake and lists have it. That which is not valid is the unspecified one
// with port 0.
func appendAddr18(b []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return append(b, make([]byte, 18)...)
	}
	ip := a.Addr().As16()
	return be.AppendUint16(append(b, ip[:]...), a.Port())
}

func addr18(b []byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)).Unmap(), be.Uint16(b[16:]))
}
