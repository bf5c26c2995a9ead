package wire

import "encoding/binary"

// HeaderSize is the number of bytes before the first message of a datagram.
const HeaderSize = 40

const (
	magic   = 0xb7
	version = 1
)

// numberOffset is where the header has its number, which it is given last: when the datagram leaves.
const numberOffset = 32

// Header is what every datagram begins with.
type Header struct {
	KeyID        uint8  // the key it is sealed with; 0: not sealed
	TableVersion uint32 // of the sender's service table, at least 1
	Cluster      uint64 // ClusterID of the cluster's name
	Sender       uint64 // boot id of the sending process
	Receiver     uint64 // boot id of the process it is meant for; 0: outside of a link
	Number       uint64 // on a link rises by one with each datagram, from 1
}

// ClusterID is how a header names a cluster: FNV-1a 64 of its name.
func ClusterID(name string) uint64 {
	return fnv1a(name)
}

// AppendHeader appends h, which begins a datagram.
func AppendHeader(b []byte, h Header) []byte {
	b = append(b, magic, version, h.KeyID, 0)
	b = binary.BigEndian.AppendUint32(b, h.TableVersion)
	b = binary.BigEndian.AppendUint64(b, h.Cluster)
	b = binary.BigEndian.AppendUint64(b, h.Sender)
	b = binary.BigEndian.AppendUint64(b, h.Receiver)
	return binary.BigEndian.AppendUint64(b, h.Number)
}

// ConsumeHeader takes the header off a datagram; rest are the messages, sealed if it has a key id. The errors are ErrShort, ErrMagic and
// ErrVersion. The identities in it are not judged: a node compares them with those it knows.
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
	return Header{
		KeyID:        b[2],
		TableVersion: binary.BigEndian.Uint32(b[4:]),
		Cluster:      binary.BigEndian.Uint64(b[8:]),
		Sender:       binary.BigEndian.Uint64(b[16:]),
		Receiver:     binary.BigEndian.Uint64(b[24:]),
		Number:       binary.BigEndian.Uint64(b[numberOffset:]),
	}, b[HeaderSize:], nil
}

// SetNumber gives an encoded datagram its number. The datagram must have its header.
func SetNumber(datagram []byte, n uint64) {
	binary.BigEndian.PutUint64(datagram[numberOffset:], n)
}
