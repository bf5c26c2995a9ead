package wire

import "encoding/binary"

// HeaderSize is the number of bytes before the first message of a datagram of a link.
const HeaderSize = 24

// ControlPacket is the payload of a datagram with membership messages, [MSG-4]: it fits tunnels and VPNs.
const ControlPacket = 1200

const (
	magic   = 0xb7
	version = 2
)

// Form tells the datagrams apart. Messages travel in those of a link and in a Confirm, which is of a link too.
type Form uint8

// The forms of a datagram.
const (
	FormLink Form = iota
	FormOpen
	FormOffer
	FormConfirm
	forms // how many there are
)

// Header is what every datagram with messages begins with.
type Header struct {
	KeyID        uint8  // the key it is sealed with; 0: not sealed
	Form         Form   // FormLink or FormConfirm
	TableVersion uint32 // of the sender's service table, at least 1
	Token        uint64 // of the link, chosen by the receiver
	Number       uint64 // rises by one with each datagram of the link and direction, from 1
}

// ClusterID is how an Open names a cluster: FNV-1a 64 of its name.
func ClusterID(name string) uint64 {
	return fnv1a(name)
}

// AppendHeader appends h, which begins a datagram.
func AppendHeader(b []byte, h Header) []byte {
	b = append(b, magic, version, h.KeyID, byte(h.Form))
	b = binary.BigEndian.AppendUint32(b, h.TableVersion)
	b = binary.BigEndian.AppendUint64(b, h.Token)
	return binary.BigEndian.AppendUint64(b, h.Number)
}

// ConsumeHeader takes the header off a datagram of any form: an Open has its cluster where others have their token, and
// a Confirm has more before its messages, which ConsumeConfirm takes. The errors are ErrShort, ErrMagic, ErrVersion
// and, for an unknown form, ErrField.
func ConsumeHeader(b []byte) (h Header, rest []byte, err error) {
	if len(b) < HeaderSize {
		return Header{}, nil, ErrShort
	}
	if b[0] != magic {
		return Header{}, nil, ErrMagic
	}
	if b[1] != version {
		return Header{}, nil, ErrVersion
	}
	if Form(b[3]) >= forms {
		return Header{}, nil, ErrField
	}
	return Header{
		KeyID:        b[2],
		Form:         Form(b[3]),
		TableVersion: binary.BigEndian.Uint32(b[4:]),
		Token:        binary.BigEndian.Uint64(b[8:]),
		Number:       binary.BigEndian.Uint64(b[16:]),
	}, b[HeaderSize:], nil
}
