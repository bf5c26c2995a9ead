package wire

import "encoding/binary"

// FragmentHead is the number of bytes before the data in the body of a Fragment.
const FragmentHead = 14

// The fixed parts of the other bodies of this file, in bytes.
const (
	fragmentAckHead = 16
	stopSize        = 9
)

// Fragment is a part of a message that does not fit one datagram. Consumed, its slice aliases the input.
type Fragment struct {
	Transfer uint32 // counts the transfers of one direction of a link, from 1
	Total    uint32 // bytes of the whole transfer, at least 1
	Size     uint16 // bytes of each fragment but the last, at least MinFragment
	Index    uint32 // from 0
	Data     []byte // begins at Index * Size of the transfer
	Rest     []byte // goes on behind Data, where that is in two pieces; consumed, there is none
}

// Append appends the message.
func (m Fragment) Append(b []byte) []byte {
	return append(append(m.AppendHead(b), m.Data...), m.Rest...)
}

// AppendHead appends all that is before the data.
func (m Fragment) AppendHead(b []byte) []byte {
	b = appendFrame(b, KindFragment, FragmentHead+len(m.Data)+len(m.Rest))
	b = binary.BigEndian.AppendUint32(b, m.Transfer)
	b = binary.BigEndian.AppendUint32(b, m.Total)
	b = binary.BigEndian.AppendUint16(b, m.Size)
	return binary.BigEndian.AppendUint32(b, m.Index)
}

// ConsumeFragment decodes the body of a Fragment. The errors are ErrShort, and ErrField for a fragment that cannot be
// part of such a transfer. So Index*Size+len(Data) <= Total, and only the last fragment is shorter than Size.
func ConsumeFragment(body []byte) (Fragment, error) {
	if len(body) < FragmentHead {
		return Fragment{}, ErrShort
	}
	total, size := binary.BigEndian.Uint32(body[4:]), binary.BigEndian.Uint16(body[8:])
	index := binary.BigEndian.Uint32(body[10:])
	data := body[FragmentHead:]
	if !fits(total, size, index, len(data)) {
		return Fragment{}, ErrField
	}
	return Fragment{Transfer: binary.BigEndian.Uint32(body), Total: total, Size: size, Index: index, Data: data}, nil
}

// fits reports whether n bytes of data are what total, size and index demand. It counts in 64 bits: a stranger's index
// times size goes over 32.
func fits(total uint32, size uint16, index uint32, n int) bool {
	start, end := uint64(index)*uint64(size), uint64(total)
	if size < MinFragment || start >= end {
		return false
	}
	return uint64(n) == min(uint64(size), end-start)
}

// FragmentAck says which fragments of a transfer have arrived. Consumed, its slice aliases the input.
type FragmentAck struct {
	Transfer uint32
	Base     uint32 // all fragments below it have arrived
	Limit    uint32 // fragments below it are welcome
	Newest   uint32 // low 32 bits of the number of the newest datagram that brought one; 0: not said
	Bitmap   []byte // bit i, from the lowest of the first byte: Base+1+i has arrived; at most MaxBitmap bytes
}

// Append appends the message.
func (m FragmentAck) Append(b []byte) []byte {
	start := len(b)
	b = startFrame(b, KindFragmentAck)
	b = binary.BigEndian.AppendUint32(b, m.Transfer)
	b = binary.BigEndian.AppendUint32(b, m.Base)
	b = binary.BigEndian.AppendUint32(b, m.Limit)
	b = binary.BigEndian.AppendUint32(b, m.Newest)
	return endFrame(append(b, m.Bitmap...), start)
}

// ConsumeFragmentAck decodes the body of a FragmentAck. The errors are ErrShort, and ErrLimit for the bitmap.
func ConsumeFragmentAck(body []byte) (FragmentAck, error) {
	if len(body) < fragmentAckHead {
		return FragmentAck{}, ErrShort
	}
	if len(body) > fragmentAckHead+MaxBitmap {
		return FragmentAck{}, ErrLimit
	}
	return FragmentAck{
		Transfer: binary.BigEndian.Uint32(body),
		Base:     binary.BigEndian.Uint32(body[4:]),
		Limit:    binary.BigEndian.Uint32(body[8:]),
		Newest:   binary.BigEndian.Uint32(body[12:]),
		Bitmap:   body[fragmentAckHead:],
	}, nil
}

// Stop ends a transfer before all of it has arrived.
type Stop struct {
	Transfer   uint32
	ByReceiver bool // its receiver refuses; false: its sender gives up
	Code       Code // the error code of the call that fails with it
}

// Append appends the message.
func (m Stop) Append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(startFrame(b, KindStop), m.Transfer)
	b = appendBool(b, m.ByReceiver)
	return endFrame(binary.BigEndian.AppendUint32(b, uint32(m.Code)), start)
}

// ConsumeStop decodes the body of a Stop. The errors are ErrShort, and ErrField when its byte is neither 0 nor 1.
func ConsumeStop(body []byte) (Stop, error) {
	if len(body) < stopSize {
		return Stop{}, ErrShort
	}
	if body[4] > 1 {
		return Stop{}, ErrField
	}
	return Stop{
		Transfer:   binary.BigEndian.Uint32(body),
		ByReceiver: body[4] == 1,
		Code:       Code(binary.BigEndian.Uint32(body[5:])),
	}, nil
}
